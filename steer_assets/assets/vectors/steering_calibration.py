"""Stage: where v steers, and how strongly, before anything rests on it."""

from __future__ import annotations

import numpy as np
import polars as pl

from steer_assets.assets.geometry.activation_caches import pair_activations, read_activations
from steer_assets.assets.vectors import _working_point
from steer_assets.assets.vectors._sweep import Direction, NoCalibrationError
from steer_assets.catalog.layers import resolve_layers
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design import scopes
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.resources import scorers
from steer_assets.storage.layout import PartitionKey
from steer_assets.storage.schema import frame_of


def given_doses(run: StageRun) -> dict[int, list[float]]:
    """Doses at which the study adds v, by steered block; none where the blocks are not named."""
    if run.study.layers.automatic:
        return {}
    n_layers = run.model_facts()["n_layers"]
    doses: dict[int, set[float]] = {layer: set() for layer in run.steer_layers()}
    for arms in run.study.generation.arms:
        if "base" in arms.families:
            named = resolve_layers(arms.layers, n_layers) if arms.layers else list(doses)
            for layer in named:
                doses[layer] |= set(arms.alphas)
    return {layer: sorted(own) for layer, own in doses.items()}


def direction(positive: np.ndarray, negative: np.ndarray) -> Direction:
    """v from activations [pairs, d] of both sides."""
    from steer_assets.geometry.directions import base

    residual = np.linalg.norm(np.concatenate([positive, negative]), axis=1).mean()
    return Direction(base(positive, negative), float(residual))


def _stored(run: StageRun, layer: int) -> Direction:
    prompts, activations = read_activations(run, layer)
    return direction(*pair_activations(prompts, activations, "contrast"))


def _sources(key: PartitionKey, study: Study) -> dict[str, str]:
    return {**scorers.sources(key, study), **scopes.sources(key, study)}


@stage(
    dimensions=("model", "trait"),
    group="vectors",
    kinds={"pytorch", "duckdb"},
    code_version="2",
    needs=("model_snapshot", "prompt_sets", "activation_caches"),
    settings=(
        "seed",
        "numerics",
        "layers.steer",
        "prompts.test",
        "calibration",
        "generation.temperature",
        "generation.top_p",
        "generation.arms",
        "scoring.scorers",
        "fluency.perplexity_factor",
        "fluency.repetition",
        "statistics.significance",
    ),
    sources=_sources,
)
def steering_calibration(run: StageRun) -> Produced:
    """What v does at each block and dose, and where it is added: chosen here, or given by hand.

    Blocks are compared at equal divergence from unsteered: at the alpha where the 95th percentile
    over prompts of the next token's KL is `calibration.target_kl` nats. Under `layers.steer: auto`
    the candidates lie between L/4 and 7L/8, and those are chosen where the score moves most per nat
    while texts stay fluent. The prompts are none of those that verdicts are given on:
    `calibration_prompts` names both.
    """
    given = given_doses(run)
    layers = run.steer_layers()
    try:
        rows = _working_point.calibrated(run, {b: _stored(run, b) for b in layers}, given)
    except NoCalibrationError as why:
        if run.study.automatic:
            raise
        run.log.warning(f"what is given by hand is not measured: {why}")
        rows = frame_of("steering_calibration", [])
    chosen = rows.filter(pl.col("rank") > 0).sort("rank")
    for layer, reason in chosen.select("layer", "reason").unique(maintain_order=True).rows():
        run.log.info(f"block {layer} is chosen{f', but {reason}' if reason else ''}")
    return Produced(
        rows=[
            Rows("steering_calibration", rows),
            Rows("calibration_prompts", _working_point.prompt_rows(run)),
        ],
        metadata={"blocks": layers, "chosen": chosen["layer"].to_list() or "given by hand"},
        metrics={"n_points": len(rows)},
    )
