"""Rows of `dose_response` and `equivalence_radius`: divergence as a function of step length.

The table answers two questions. From the unsteered model: up to which share of |h| does the Fisher
form predict the divergence of a step along any of the vectors? Around v: up to which length is
v_perp harmless in v + c v_perp, along null, range and random directions, and does the Fisher form
predict that length?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from steer_assets.assets.geometry.activation_caches import read_activations
from steer_assets.assets.vectors._next_tokens import Asked, Measured, Step, measured
from steer_assets.geometry.vector_ids import NONE_ID, base_id
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.schema import own_columns

#: Families that are v + |v| u with u in a null space or its complement.
_ADDED = ("base_plus_null", "base_plus_range")
_ARM = ("layer", "reference_id", "vector_id", "family", "null_space")


@dataclass(frozen=True, slots=True)
class _Curves:
    """Directions of unit length, each scaled by `steps`, from one starting point."""

    reference_id: str
    origin: np.ndarray | None
    identity: pl.DataFrame
    directions: np.ndarray
    lengths: tuple[float, ...]

    @property
    def steps(self) -> list[Step]:
        """Every direction at every length."""
        return [Step(row, length) for row in range(len(self.directions)) for length in self.lengths]


def _units(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _from_unsteered(run: StageRun, rows: pl.DataFrame, table: np.ndarray, size: float) -> _Curves:
    """Small steps along every vector, as shares of |h|."""
    lengths = tuple(share * size for share in run.study.dose.relative_steps)
    return _Curves(NONE_ID, None, rows, _units(table), lengths)


def _around_base(
    run: StageRun, layer: int, rows: pl.DataFrame, table: np.ndarray, base: np.ndarray
) -> _Curves | None:
    """v_perp along null, range and random directions, in multiples of |v|."""
    numbered = rows.with_row_index("at")
    added = numbered.filter(pl.col("family").is_in(_ADDED))
    random = numbered.filter(pl.col("family") == "orthogonal")
    parts = [table[added["at"].to_numpy()] - base, table[random["at"].to_numpy()]]
    directions = np.concatenate(parts)
    if not len(directions):
        return None
    norm = float(np.linalg.norm(base))
    return _Curves(
        base_id(layer),
        run.dose_at(layer) * base,
        pl.concat([added, random]).drop("at"),
        _units(directions),
        tuple(multiple * norm for multiple in run.study.dose.multiples),
    )


def _residual_norms(run: StageRun, layer: int, prompts: pl.DataFrame) -> np.ndarray:
    """|h| of each prompt [n], unsteered, at the last prompt token."""
    cached, activations = read_activations(run, layer)
    rows = prompts.join(cached.select("prompt_id", "row"), on="prompt_id", maintain_order="left")
    chosen = activations[rows["row"].to_numpy()].astype(np.float64)
    return np.asarray(np.linalg.norm(chosen, axis=1))


@dataclass(frozen=True, slots=True)
class _Block:
    """Curves of one block, and the prompts, with their |h|, at which they are measured."""

    layer: int
    prompts: pl.DataFrame
    norms: np.ndarray
    base_norm: float
    curves: list[_Curves]


def _frames(
    block: _Block, curves: _Curves, measured_at: Iterable[Measured]
) -> Iterator[pl.DataFrame]:
    steps, prompts = curves.steps, block.prompts
    lengths = np.array([step.scale for step in steps])
    identity = curves.identity[[step.direction for step in steps]]
    for found in measured_at:
        yield identity.with_columns(
            pl.lit(block.layer).alias("layer"),
            pl.lit(curves.reference_id).alias("reference_id"),
            pl.lit(prompts.item(found.prompt, "environment")).alias("environment"),
            pl.lit(prompts.item(found.prompt, "prompt_id")).alias("prompt_id"),
            pl.Series("step_norm", lengths),
            pl.Series("relative_step", lengths / block.norms[found.prompt]),
            pl.Series("dose", lengths / block.base_norm),
            pl.Series("kl", found.columns["kl"]),
            pl.Series("predicted_kl", found.columns["predicted_kl"]),
        )


def _block(
    run: StageRun, layer: int, vectors: pl.DataFrame, values: np.ndarray, prompts: pl.DataFrame
) -> _Block:
    """Without curves where every state is zero."""
    chosen = vectors.with_row_index("row").filter(pl.col("layer") == layer)
    table = values[chosen["row"].to_numpy()]
    identity = chosen.select("vector_id", "family", "null_space")
    base = table[chosen["vector_id"].to_list().index(base_id(layer))]
    norms = _residual_norms(run, layer, prompts)
    if not (moving := norms > 0).all():
        # A step relative to a norm of zero is undefined.
        run.log.warning(f"left out: {(~moving).sum()} prompts with a zero state at block {layer}")
        prompts, norms = prompts.filter(pl.Series(moving)), norms[moving]
    block = _Block(layer, prompts, norms, float(np.linalg.norm(base)), [])
    if len(norms):
        # The harmonic mean makes the mean of |e|/|h| over prompts equal to the requested share.
        size = float(1.0 / (1.0 / norms).mean())
        block.curves.append(_from_unsteered(run, identity, table, size))
        if around := _around_base(run, layer, identity, table, base):
            block.curves.append(around)
    return block


def rows(
    run: StageRun, vectors: pl.DataFrame, values: np.ndarray, prompts: pl.DataFrame
) -> pl.DataFrame:
    """Rows of `dose_response`, block by block."""
    blocks = [_block(run, layer, vectors, values, prompts) for layer in run.steer_layers()]
    named = {
        f"block {block.layer} from {curves.reference_id}": (block, curves)
        for block in blocks
        for curves in block.curves
    }
    asked = {
        name: Asked(block.prompts, block.layer, curves.directions, curves.steps, curves.origin)
        for name, (block, curves) in named.items()
    }
    parts: dict[int, list[pl.DataFrame]] = {block.layer: [] for block in blocks}
    for name, found in measured(run, asked, "doses"):
        block, curves = named[name]
        parts[block.layer] += _frames(block, curves, found)
    order = ("reference_id", "vector_id", "step_norm", "prompt_id")
    empty = pl.DataFrame(schema=own_columns("dose_response"))
    return pl.concat(
        _finite(run, layer, pl.concat(own).sort(*order)) if own else empty
        for layer, own in parts.items()
    )


def _finite(run: StageRun, layer: int, found: pl.DataFrame) -> pl.DataFrame:
    """Without steps whose divergence or prediction is not finite at some prompt."""
    finite = pl.all_horizontal(pl.col("kl", "predicted_kl").is_finite())
    kept = found.filter(finite.all().over(*_ARM, "step_norm"))
    if n := len(found) - len(kept):
        run.log.warning(f"left out: {n} rows of steps that overflow at block {layer}")
    return kept


def radii(doses: pl.DataFrame, tolerances: tuple[float, ...]) -> pl.DataFrame:
    """Rows of `equivalence_radius` from those of `dose_response`, KL averaged over prompts."""
    from steer_assets.geometry import dose as radius

    found = []
    curves = doses.group_by(*_ARM, "step_norm").agg(pl.col("kl", "predicted_kl").mean(), pl.len())
    for names, curve in curves.sort(*_ARM, "step_norm").group_by(*_ARM, maintain_order=True):
        steps, kl, predicted = (curve[n].to_numpy() for n in ("step_norm", "kl", "predicted_kl"))
        # The Fisher form along the direction; the prediction is half of it times the squared step.
        form = np.array([[2.0 * predicted[-1] / steps[-1] ** 2]])
        limit = radius.quadratic_limit(steps, predicted, kl)
        for tolerance in tolerances:
            foreseen = radius.predicted_radius(
                form, np.ones(1), tolerance, largest=float(steps[-1])
            )
            seen = radius.measured_radius(steps, kl, tolerance)
            found.append(
                {
                    **dict(zip(_ARM, names, strict=True)),
                    "n_prompts": int(curve["len"].to_numpy().min()),
                    "tolerance": tolerance,
                    "predicted_radius": foreseen.value,
                    "predicted_reached": foreseen.reached,
                    "measured_radius": seen.value,
                    "measured_reached": seen.reached,
                    "largest_step": float(steps[-1]),
                    "quadratic_limit": limit,
                }
            )
    return pl.DataFrame(found, schema=own_columns("equivalence_radius"))
