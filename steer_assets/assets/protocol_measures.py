"""Stage: what protocols say of logits and null spaces, which needs no text and no scorer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from steer_assets.assets import protocol_jacobians, protocol_sites, seeds, selection
from steer_assets.assets.protocol_settings import Setting, settings
from steer_assets.assets.protocol_sites import MATCHED, UNMATCHED, Site, site_of
from steer_assets.assets.protocol_vectors import read_site
from steer_assets.assets.stage import Produced, Rows, StageRun, stage
from steer_assets.catalog.protocols import Protocol
from steer_assets.stats.stratified import Arms, Estimate, estimate
from steer_assets.storage.schema import columns

_LOGITS = ("logit_equivalence", "kl_share")
_JACOBIAN = ("null_space_size", "jacobian_null_fraction")
_COVARIANCE = ("null_space_size", "covariance_null_fraction")
#: Prompt-level KL in nats by (site, matched): [prompts, seeds] to v + v_perp, [prompts] to nothing.
Divergences = dict[tuple[Site, bool], tuple[np.ndarray, np.ndarray]]


def _divergences(run: StageRun, layer: int) -> Divergences:
    """KL of next-token distributions from that of v, at every site."""
    from steer_assets.geometry.kl import distances
    from steer_assets.lm.intervene import Addition
    from steer_assets.lm.logits import next_token_logits

    model = run.language_model()
    prompts = selection.protocol_tests(run.rows("prompt_sets"), run.study)
    dose = protocol_sites.headline_dose(run.study)
    families = (UNMATCHED, MATCHED)
    moved = [v for f in families for v in protocol_sites.orthogonal_ids(run.study, f, layer)]
    found: Divergences = {}
    for site in protocol_sites.sites(run.study):
        values = read_site(run, site, [f"L{layer}.base", *moved])
        arms = [(), *((Addition(layer, row, dose),) for row in range(len(values)))]
        ids = selection.encoded(model, prompts, chat_template=not site.raw)
        report = run.progress(f"logits {site.name}")
        kl = np.empty((len(ids), len(arms)))
        for prompt, logits in next_token_logits(model, ids, arms, values, on_progress=report):
            kl[prompt] = distances(logits, logits[1])["kl"]
        n = len(moved) // 2
        for matched in (False, True):
            chosen = kl[:, 2 + n : 2 + 2 * n] if matched else kl[:, 2 : 2 + n]
            found[site, matched] = chosen, kl[:, 0]
    return found


def _kl_share(run: StageRun, divergences: Divergences, setting: Setting) -> Estimate:
    """KL from v to v + v_perp over KL from v to the unsteered model."""
    to_perp, to_nothing = divergences[site_of(setting.on), "unmatched_norm" not in setting.on]

    def share(arms: list[np.ndarray]) -> np.ndarray:
        return np.asarray(arms[0].mean(axis=(1, 2)) / arms[1].mean(axis=(1, 2)))

    statistics = run.study.statistics
    return estimate(
        [Arms([to_perp, to_nothing[:, None]])],
        share,  # type: ignore[arg-type]
        clustered=True,
        level=statistics.confidence,
        n_boot=statistics.n_boot,
        rng=seeds.generator(run.study, "logit equivalence", run.model, run.trait),
    )


def _fractions(run: StageRun, layer: int) -> protocol_jacobians.Fractions:
    """Every null fraction that some setting needs."""
    wanted: dict[bool, set[Site]] = {False: set(), True: set()}
    for protocol in run.study.switched_protocols:
        for setting in settings(protocol, *_JACOBIAN, run.trait):
            wanted["finite_difference" in setting.on].add(site_of(setting.on))
    found = protocol_jacobians.covariance(run, protocol_sites.sites(run.study), layer)
    for finite, sites in wanted.items():
        if sites:
            found |= protocol_jacobians.jacobian(run, sorted(sites), layer, finite=finite)
    return found


def _row(
    protocol: Protocol,
    layer: int,
    asked: tuple[str, str],
    setting: Setting,
    number: Estimate,
    by_itself: float,
    n_prompts: int,
) -> dict[str, object]:
    return {
        "protocol": protocol.name,
        "layer": layer,
        "conclusion": asked[0],
        "quantity": asked[1],
        "setting": setting.name,
        "switch": setting.switch,
        "value": number.value,
        "low": number.low,
        "high": number.high,
        "by_itself": by_itself,
        "n_prompts": n_prompts,
    }


def _rows(run: StageRun, layer: int) -> Iterator[dict[str, object]]:
    texts = run.study.protocol_texts
    assert texts is not None
    divergences, fractions = _divergences(run, layer), _fractions(run, layer)
    n_tests = sum(texts.prompts.values())
    for protocol in run.study.switched_protocols:
        for setting in settings(protocol, *_LOGITS, run.trait):
            number = _kl_share(run, divergences, setting)
            yield _row(protocol, layer, _LOGITS, setting, number, 0.0, n_tests)
        for setting in settings(protocol, *_JACOBIAN, run.trait):
            kind = "finite" if "finite_difference" in setting.on else "exact"
            number, floor = fractions[site_of(setting.on), layer, kind]
            n = texts.jacobian_prompts
            yield _row(protocol, layer, _JACOBIAN, setting, number, floor, n)
        for setting in settings(protocol, *_COVARIANCE, run.trait):
            number, floor = fractions[site_of(setting.on), layer, "covariance"]
            n = 2 * run.study.prompts.contrast_pairs
            yield _row(protocol, layer, _COVARIANCE, setting, number, floor, n)


@stage(
    dimensions=("model", "trait"),
    group="protocols",
    kinds={"pytorch", "scipy", "duckdb"},
    code_version="1",
    needs=("model_snapshot", "prompt_sets", "protocol_vectors"),
    settings=(
        "seed",
        "numerics",
        "prompts.contrast_pairs",
        "vectors.orthogonal_seeds",
        "behaviour.steered_alpha",
        "spectra.estimator",
        "protocols",
        "protocol_texts",
        "statistics",
    ),
)
def protocol_measures(run: StageRun) -> Produced:
    """Numbers of the protocols that need no text: logit distances and sizes of null spaces.

    `kl_share`: KL from v to v + v_perp as a share of KL from v to the unsteered model. Null
    fractions of the Jacobian, by finite differences in float16 or exact, and of the covariance.
    `by_itself` is what the method gives any model.
    """
    layers = protocol_sites.layers(run.study, run.model_facts()["n_layers"])
    rows = [row for layer in layers for row in _rows(run, layer)]
    names = set(columns("protocol_measures")) - {"model", "trait", "run_id", "code_version"}
    schema = {n: t for n, t in columns("protocol_measures").items() if n in names}
    return Produced(
        rows=[Rows("protocol_measures", pl.DataFrame(rows, schema=schema))],
        metadata={"layers": str(layers), "numbers": len(rows)},
    )
