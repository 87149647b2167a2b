"""Stage: logit distances and null spaces of the protocols, which need no texts and no scorer."""

from __future__ import annotations

from collections.abc import Iterator

from steer_assets.assets.protocols import _jacobians, _logits
from steer_assets.assets.protocols._measured import Measured
from steer_assets.catalog.protocols import Protocol
from steer_assets.pipeline.design import protocol_sites, scopes
from steer_assets.pipeline.design.protocol_settings import Setting, settings
from steer_assets.pipeline.design.protocol_sites import Site, site_of
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.schema import frame_of

_LOGITS = ("logit_equivalence", "kl_share")
_CONTROL = ("logit_equivalence", "distance_reduction")
_JACOBIAN = ("null_space_size", "jacobian_null_fraction")
_COVARIANCE = ("null_space_size", "covariance_null_fraction")


def _fractions(run: StageRun, layers: list[int]) -> _jacobians.Fractions:
    """Every null fraction that a setting needs; those of the float16 model last."""
    wanted: dict[bool, set[Site]] = {False: set(), True: set()}
    for protocol in run.study.switched_protocols:
        for setting in settings(protocol, *_JACOBIAN, run.trait):
            wanted["finite_difference" in setting.on].add(site_of(setting.on))
    found: _jacobians.Fractions = {}
    for layer in layers:
        found |= _jacobians.covariance(run, protocol_sites.sites(run.study), layer)
    for finite, sites in wanted.items():
        for layer in layers if sites else ():
            found |= _jacobians.jacobian(run, sorted(sites), layer, finite=finite)
    return found


def _row(
    protocol: Protocol, layer: int, asked: tuple[str, str], setting: Setting, measured: Measured
) -> dict[str, object]:
    return {
        "protocol": protocol.name,
        "layer": layer,
        "conclusion": asked[0],
        "quantity": asked[1],
        "setting": setting.name,
        "switch": setting.switch,
        **measured.columns(),
    }


def _rows(run: StageRun, layers: list[int]) -> Iterator[dict[str, object]]:
    # Only one model is in memory: everything in float32 comes before everything in float16.
    divergences = {layer: _logits.divergences(run, layer) for layer in layers}
    fractions = _fractions(run, layers)
    for layer in layers:
        for protocol in run.study.switched_protocols:
            for setting in settings(protocol, *_LOGITS, run.trait):
                measured = _logits.kl_share(run, divergences[layer], setting)
                yield _row(protocol, layer, _LOGITS, setting, measured)
            for setting in settings(protocol, *_CONTROL, run.trait):
                measured = _logits.reduction(run, divergences[layer], setting)
                yield _row(protocol, layer, _CONTROL, setting, measured)
            for setting in settings(protocol, *_JACOBIAN, run.trait):
                kind = "finite" if "finite_difference" in setting.on else "exact"
                measured = fractions[site_of(setting.on), layer, kind]
                yield _row(protocol, layer, _JACOBIAN, setting, measured)
            for setting in settings(protocol, *_COVARIANCE, run.trait):
                measured = fractions[site_of(setting.on), layer, "covariance"]
                yield _row(protocol, layer, _COVARIANCE, setting, measured)


@stage(
    dimensions=("model", "trait"),
    group="protocols",
    kinds={"pytorch", "scipy", "duckdb"},
    code_version="3",
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
    sources=scopes.sources,
)
def protocol_measures(run: StageRun) -> Produced:
    """Numbers of the protocols that need no texts: logit distances and sizes of null spaces.

    `kl_share`: KL from v to v + v_perp as a share of KL from v to the unsteered model.
    `distance_reduction`: how much closer the logits of v + v_perp are to those of v than the logits
    of a control, which is v_perp in place of v, or a step of equal length along the same direction.
    Null fractions of the Jacobian, by finite differences in float16 or exact, and of the
    covariance, at the last prompt token whatever the scope of arms. `by_itself` is the value that
    the method gives any model, null where no bound is known. Logits and exact derivatives are in
    float32 or higher, independent of the study's precision. A number that does not exist for this
    model, scope or number of prompts is null, and `reason` says why.
    """
    layers = protocol_sites.layers(run.study, run.model_facts()["n_layers"])
    rows = list(_rows(run, layers))
    for reason in sorted({str(row["reason"]) for row in rows if row["reason"]}):
        run.log.warning(f"not measured: {reason}")
    return Produced(
        rows=[Rows("protocol_measures", frame_of("protocol_measures", rows))],
        metadata={
            "layers": str(layers),
            "numbers": sum(not row["reason"] for row in rows),
            "not measured": sum(bool(row["reason"]) for row in rows),
        },
    )
