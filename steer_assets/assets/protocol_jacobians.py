"""Null fractions of the Jacobian and of the covariance as each protocol takes them.

`finite_difference`: central differences in float16, z(h + s u) - z(h - s u) over 2 s, along
orthonormal random directions u (at most as many as there are), at one prompt: the mean over several
such prompts is shown, with its interval. Otherwise the exact derivative, its Gram averaged over
prompts. Directions that were not probed count as null, which is the floor of the method.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from steer_assets.assets import seeds, selection
from steer_assets.assets.protocol_sites import Site
from steer_assets.assets.protocol_vectors import read_contrast
from steer_assets.assets.stage import StageRun
from steer_assets.stats import bootstrap, jackknife
from steer_assets.stats.stratified import Estimate

#: Probes whose logits are held at once.
_CHUNK = 64
#: Groups of prompts that are left out in turn.
_GROUPS = 10
#: By (site, block, kind): the number, and the null fraction that the method gives any model.
Fractions = dict[tuple[Site, int, str], tuple[Estimate, float]]


def _null_fraction(gram: np.ndarray, n_samples: int, ambient: int, estimator: str) -> float:
    from steer_assets.geometry.ranks import rank
    from steer_assets.geometry.spectra import form_spectrum

    return 1 - rank(form_spectrum(gram, n_samples), estimator) / ambient


def _probes(run: StageRun, d: int) -> np.ndarray:
    """Orthonormal random directions [n, d]."""
    assert run.study.protocol_texts is not None
    n = min(run.study.protocol_texts.probes, d)
    draws = seeds.generator(run.study, "probes", run.model).standard_normal((d, n))
    return np.ascontiguousarray(np.linalg.qr(draws)[0].T)


def _finite_differences(
    run: StageRun, prompts: list[list[int]], layer: int
) -> Iterator[np.ndarray]:
    """Gram [n, n] of the probed Jacobian at every prompt, from a model in float16."""
    from steer_assets.lm.intervene import Addition
    from steer_assets.lm.logits import next_token_logits
    from steer_assets.lm.progress import Progress

    assert run.study.protocol_texts is not None
    step = run.study.protocol_texts.step
    model = run.language_model("float16")
    probes = _probes(run, model.hidden_size)
    report = run.progress(f"finite differences at block {layer}")
    for done, prompt in enumerate(prompts, start=1):
        columns = []
        for start in range(0, len(probes), _CHUNK):
            chosen = probes[start : start + _CHUNK]
            arms = [
                (Addition(layer, row, sign * step),)
                for row in range(len(chosen))
                for sign in (1, -1)
            ]
            logits = next(iter(next_token_logits(model, [prompt], arms, chosen)))[1]
            columns.append((logits[::2] - logits[1::2]) / np.float32(2 * step))
        j = np.concatenate(columns)
        yield (j @ j.T).astype(np.float64)
        report(Progress(done, len(prompts), "prompts", None))


def jacobian(run: StageRun, chosen: list[Site], layer: int, *, finite: bool) -> Fractions:
    """Null fractions of the Jacobian at every site, by finite differences or exactly."""
    from steer_assets.lm import derivatives

    settings = run.study.protocol_texts
    assert settings is not None
    estimator = run.study.spectra.estimator["jacobian"]
    tests = selection.protocol_tests(run.rows("prompt_sets"), run.study)
    prompts = selection.spread_over_environments(tests, settings.jacobian_prompts)
    d = run.model_facts()["hidden_size"]
    found: Fractions = {}
    kind = "finite" if finite else "exact"
    for raw in sorted({site.raw for site in chosen}):
        sites = [site for site in chosen if site.raw == raw]
        layers = sorted({site.read_layer(layer) for site in sites})
        model = run.language_model("float16" if finite else "")
        ids = selection.encoded(model, prompts, chat_template=not raw)
        grams: dict[int, list[np.ndarray]] = {at: [] for at in layers}
        if finite:
            for at in layers:
                grams[at] = list(_finite_differences(run, ids, at))
        else:
            report = run.progress(f"exact derivatives at blocks {layers}")
            for form in derivatives.prompt_forms(model, ids, layers, on_progress=report):
                for at in layers:
                    grams[at].append(form.jacobian_gram[at])
        for site in sites:
            own = grams[site.read_layer(layer)]
            number = _finite_number if finite else _exact_number
            floor = 1 - len(own[0]) / d
            found[site, layer, kind] = number(run, own, d, estimator), floor
    return found


def _finite_number(run: StageRun, grams: list[np.ndarray], d: int, estimator: str) -> Estimate:
    """Mean over prompts of what one prompt gives."""
    values = np.array([_null_fraction(gram, 1, d, estimator) for gram in grams])
    statistics = run.study.statistics
    interval = bootstrap.mean(
        values,
        level=statistics.confidence,
        n_boot=statistics.n_boot,
        rng=seeds.generator(run.study, "finite differences", run.model, run.trait),
    )
    return Estimate(float(values.mean()), interval.low, interval.high)


def _exact_number(run: StageRun, grams: list[np.ndarray], d: int, estimator: str) -> Estimate:
    """Null fraction of the averaged Gram, with its interval by leaving out prompts."""
    stacked = np.stack(grams)
    n = len(stacked)
    value = _null_fraction(stacked.mean(axis=0), n, d, estimator)
    total = stacked.sum(axis=0)
    left = [_null_fraction((total - one) / (n - 1), n - 1, d, estimator) for one in stacked]
    return _share(value, left, run.study.statistics.confidence)


def covariance(run: StageRun, chosen: list[Site], layer: int) -> Fractions:
    """Null fraction of the covariance of the contrast prompts at every site."""
    from steer_assets.geometry.ranks import covariance_floor, rank
    from steer_assets.geometry.spectra import activation_spectrum

    estimator = run.study.spectra.estimator["covariance"]
    found: Fractions = {}
    for site in chosen:
        x = read_contrast(run, site, layer).astype(np.float64)
        n, d = x.shape

        def fraction(rows: np.ndarray, d: int = d) -> float:
            return 1 - rank(activation_spectrum(rows), estimator) / d

        # Prompts come in pairs, which stay together; groups of pairs are left out.
        group = np.arange(n) // 2 % _GROUPS
        left = [fraction(x[group != g]) for g in range(min(_GROUPS, n // 2))]
        number = _share(fraction(x), left, run.study.statistics.confidence)
        found[site, layer, "covariance"] = number, covariance_floor(n, d)
    return found


def _share(value: float, left: list[float], level: float) -> Estimate:
    """A share of 0 to 1 with its jackknife interval."""
    interval = jackknife.interval(value, left, level=level)
    return Estimate(value, max(0.0, interval.low), min(1.0, interval.high))
