"""Null fractions of the Jacobian and of the covariance, as each protocol computes them.

`finite_difference`: central differences in float16, z(h + s u) - z(h - s u) over 2 s, along
orthonormal random directions u (at most d), at one prompt: the mean over several such prompts is
reported, with its interval. Otherwise the exact derivative is used, with its Gram averaged over
prompts. Directions that were not probed count as null; their share is the floor of the method.

A residual stream beyond 65,504 overflows float16, and a step of 0.01 may be below its rounding: for
such a model finite differences do not exist, and its row gives that as the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from steer_assets.assets.geometry._prompt_forms import forms_of_prompts
from steer_assets.assets.protocols._measured import Measured
from steer_assets.pipeline.design import prompt_selection, random_streams
from steer_assets.pipeline.design.protocol_sites import Site
from steer_assets.pipeline.design.site_vectors import read_contrast
from steer_assets.pipeline.resuming import Pieces
from steer_assets.pipeline.stage import StageRun
from steer_assets.stats.intervals import bootstrap, jackknife
from steer_assets.stats.validation import Estimate

#: Number of probes whose logits are in memory at once.
_CHUNK = 64
#: Number of groups of prompts for the jackknife.
_GROUPS = 10
#: Without one pair, a spectrum still needs three prompts.
_FEWEST_PAIRS = 3
#: By (site, block, kind): the null fraction, with the fraction that the method gives any model.
Fractions = dict[tuple[Site, int, str], Measured]


def _null_fraction(gram: np.ndarray, n_samples: int, ambient: int, estimator: str) -> float:
    from steer_assets.geometry.null_spaces.ranks import rank
    from steer_assets.geometry.null_spaces.spectra import form_spectrum

    return 1 - rank(form_spectrum(gram, n_samples), estimator) / ambient


def _probes(run: StageRun, d: int) -> np.ndarray:
    """Orthonormal random directions [n, d]."""
    assert run.study.protocol_texts is not None
    n = min(run.study.protocol_texts.probes, d)
    draws = random_streams.generator(run.study, "probes", run.model).standard_normal((d, n))
    return np.ascontiguousarray(np.linalg.qr(draws)[0].T)


def _finite_differences(
    run: StageRun, prompts: list[list[int]], layer: int
) -> Iterator[np.ndarray]:
    """Gram [n, n] of the probed Jacobian at every prompt, from a model in float16.

    Not finite where the forward pass overflows.
    """
    from steer_assets.lm.forward.intervene import Addition
    from steer_assets.lm.measurements.logits import next_token_logits
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
            with np.errstate(invalid="ignore"):
                columns.append((logits[::2] - logits[1::2]) / np.float32(2 * step))
        with np.errstate(invalid="ignore", over="ignore"):
            j = np.concatenate(columns).astype(np.float64)
            yield j @ j.T
        report(Progress(done, len(prompts), "prompts", None))


def jacobian(run: StageRun, chosen: list[Site], layer: int, *, finite: bool) -> Fractions:
    """Null fractions of the Jacobian at every site, by finite differences or exact derivatives."""
    settings = run.study.protocol_texts
    assert settings is not None
    estimator = run.study.spectra.estimator["jacobian"]
    tests = prompt_selection.protocol_tests(run.rows("prompt_sets"), run.study)
    prompts = prompt_selection.spread_over_environments(tests, settings.jacobian_prompts)
    d = run.model_facts()["hidden_size"]
    found: Fractions = {}
    kind = "finite" if finite else "exact"
    for raw in sorted({site.raw for site in chosen}):
        sites = [site for site in chosen if site.raw == raw]
        layers = sorted({site.read_layer(layer) for site in sites})
        model = run.language_model("float16") if finite else run.derivative_model()
        ids = prompt_selection.encoded(model, prompts, chat_template=not raw)
        grams: dict[int, list[np.ndarray]] = {at: [] for at in layers}
        if finite:
            for at in layers:
                grams[at] = list(_finite_differences(run, ids, at))
        else:
            report = run.progress(f"exact derivatives at blocks {layers}")
            named = {str(row): prompt for row, prompt in enumerate(ids)}
            pieces = Pieces(report, len(ids), "prompts")
            made = forms_of_prompts(run, named, layers, pieces)
            of_prompt = {name: form.jacobian_gram for name, form in made}
            for at in layers:
                grams[at] = [of_prompt[name][at] for name in named]
        for site in sites:
            own = grams[site.read_layer(layer)]
            number = _finite_number if finite else _exact_number
            # At one prompt the floor is the share not probed; for an average over few prompts it is
            # the forced fraction.
            floor = 1 - len(own[0]) / d if finite else _forced(own, estimator)
            taken = partial(number, run, own, d, estimator)
            found[site, layer, kind] = _measured(taken, floor, len(own))
    return found


def _forced(grams: list[np.ndarray], estimator: str) -> float | None:
    """Null fraction that the number of prompts forces on the averaged Gram; None if unknown."""
    from steer_assets.geometry.null_spaces.floors import form_eigenvalues, part_floors

    try:
        return part_floors([form_eigenvalues(gram) for gram in grams], len(grams[0]))[estimator]
    # zero or not finite: the number does not exist either, and its row gives the reason
    except ValueError:
        return None


def _measured(take: Callable[[], Estimate], by_itself: float | None, n_prompts: int) -> Measured:
    """The result of `take`, or the reason for which it raised."""
    try:
        return Measured(take(), by_itself, n_prompts)
    except ValueError as error:
        return Measured(None, by_itself, n_prompts, str(error))


def _finite_number(run: StageRun, grams: list[np.ndarray], d: int, estimator: str) -> Estimate:
    """Mean of the per-prompt null fractions."""
    broken = sum(not np.isfinite(gram).all() for gram in grams)
    if broken:
        raise ValueError(
            f"the forward pass in float16 overflows at {broken} of {len(grams)} prompts"
        )
    _require_prompts(len(grams))
    values = np.array([_null_fraction(gram, 1, d, estimator) for gram in grams])
    statistics = run.study.statistics
    interval = bootstrap.mean(
        values,
        level=statistics.confidence,
        n_boot=statistics.n_boot,
        rng=random_streams.generator(run.study, "finite differences", run.model, run.trait),
    )
    return Estimate(float(values.mean()), interval.low, interval.high)


def _exact_number(run: StageRun, grams: list[np.ndarray], d: int, estimator: str) -> Estimate:
    """Null fraction of the averaged Gram, with a jackknife interval over prompts."""
    stacked = np.stack(grams)
    n = len(stacked)
    _require_prompts(n)
    value = _null_fraction(stacked.mean(axis=0), n, d, estimator)
    total = stacked.sum(axis=0)
    left = [_null_fraction((total - one) / (n - 1), n - 1, d, estimator) for one in stacked]
    return _share(value, left, run.study.statistics.confidence)


def _require_prompts(n: int) -> None:
    if n < 2:
        raise ValueError(f"an interval over prompts needs 2 prompts or more, not {n}")


def covariance(run: StageRun, chosen: list[Site], layer: int) -> Fractions:
    """Null fraction of the covariance of the contrast prompts at every site."""
    from steer_assets.geometry.null_spaces.ranks import covariance_floor, rank
    from steer_assets.geometry.null_spaces.spectra import activation_spectrum

    estimator = run.study.spectra.estimator["covariance"]
    level = run.study.statistics.confidence

    def fraction(rows: np.ndarray) -> float:
        return float(1 - rank(activation_spectrum(rows), estimator) / rows.shape[1])

    def number(x: np.ndarray) -> Estimate:
        # Both prompts of a pair stay in one group; groups of pairs are left out.
        n_pairs = len(x) // 2
        if n_pairs < _FEWEST_PAIRS:
            raise ValueError(
                f"an interval over pairs needs {_FEWEST_PAIRS} pairs or more, not {n_pairs}"
            )
        group = np.arange(len(x)) // 2 % _GROUPS
        left = [fraction(x[group != g]) for g in range(min(_GROUPS, n_pairs))]
        return _share(fraction(x), left, level)

    found: Fractions = {}
    for site in chosen:
        x = read_contrast(run, site, layer).astype(np.float64)
        floor = covariance_floor(*x.shape)
        found[site, layer, "covariance"] = _measured(partial(number, x), floor, len(x))
    return found


def _share(value: float, left: list[float], level: float) -> Estimate:
    """A share between 0 and 1 with its jackknife interval."""
    interval = jackknife.interval(value, left, level=level)
    return Estimate(value, max(0.0, interval.low), min(1.0, interval.high))
