"""Stage 8: next-token distributions under every vector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from steer_assets.assets.vectors import _dose_response
from steer_assets.assets.vectors._next_tokens import Asked, Measured, Step, measured
from steer_assets.assets.vectors.vector_families import read_table
from steer_assets.geometry.vector_ids import NONE_ID, base_id
from steer_assets.pipeline.design import prompt_selection, scopes
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.schema import frame_of

#: Family whose vectors replace v; distances are normalised by its step lengths.
_CONTROL = "random"
_TABLES = ("logit_distances", "dose_response", "equivalence_radius")


@dataclass(frozen=True, slots=True)
class _Arms:
    """Vectors of a block relative to one reference, and the length of v.

    directions: steps [n, d] from the reference at dose 1.
    """

    layer: int
    reference_id: str
    vectors: pl.DataFrame
    directions: np.ndarray
    alphas: tuple[float, ...]
    base_norm: float
    origin: np.ndarray | None = None

    @property
    def steps(self) -> list[Step]:
        """Every vector at every alpha."""
        return [Step(row, alpha) for row in range(len(self.vectors)) for alpha in self.alphas]


def _frames(
    arms: _Arms, measured_at: Iterable[Measured], prompts: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """Rows of every vector at every alpha, prompt by prompt, against one reference."""
    from steer_assets.geometry.kl import isotropic_distances

    ids, steps = arms.vectors["vector_id"].to_list(), arms.steps
    scales = np.array([step.scale for step in steps])
    at = [step.direction for step in steps]
    displacement = scales * np.linalg.norm(arms.directions, axis=1)[at] / arms.base_norm
    random = (arms.vectors["family"] == _CONTROL).to_numpy()[at]
    for found in measured_at:
        floor = np.full(len(steps), np.nan)
        for alpha in arms.alphas:
            own = scales == alpha
            of_length = isotropic_distances(
                found.columns["l2"][own], displacement[own], random[own]
            )
            floor[own] = np.nan if of_length is None else of_length
        yield pl.DataFrame(
            {
                "vector_id": [ids[row] for row in at],
                "reference_id": arms.reference_id,
                "layer": arms.layer,
                "alpha": scales,
                "environment": prompts.item(found.prompt, "environment"),
                "prompt_id": prompts.item(found.prompt, "prompt_id"),
                **found.columns,
                "displacement": displacement,
                "displacement_floor": pl.Series(floor).fill_nan(None),
            }
        )


def _compared(
    run: StageRun, layer: int, vectors: pl.DataFrame, values: np.ndarray
) -> Iterator[_Arms]:
    """Unsteered for every dose; the base vector at the dose where its Fisher form was computed."""
    chosen = vectors.with_row_index("row").filter(pl.col("layer") == layer)
    table = values[chosen["row"].to_numpy()]
    dose = run.dose_at(layer)
    alphas = run.study.logits.alphas or (dose,)
    v = base_id(layer)
    is_base = (chosen["vector_id"] == v).to_numpy()
    base = table[is_base][0]
    norm = float(np.linalg.norm(base))
    yield _Arms(layer, NONE_ID, chosen, table, alphas, norm)
    if dose in alphas and not is_base.all():
        others = chosen.filter(pl.col("vector_id") != v)
        steps = table[~is_base] - base
        yield _Arms(layer, v, others, steps, (dose,), norm, dose * base)


def _rows(
    run: StageRun, vectors: pl.DataFrame, values: np.ndarray, prompts: pl.DataFrame
) -> pl.DataFrame:
    """Rows of `logit_distances`, block by block."""
    compared = {
        f"block {layer} against {arms.reference_id}": arms
        for layer in run.steer_layers()
        for arms in _compared(run, layer, vectors, values)
    }
    asked = {
        name: Asked(prompts, arms.layer, arms.directions, arms.steps, arms.origin)
        for name, arms in compared.items()
    }
    parts: dict[int, list[pl.DataFrame]] = {layer: [] for layer in run.steer_layers()}
    for name, found in measured(run, asked, "distances"):
        parts[compared[name].layer] += _frames(compared[name], found, prompts)
    order = ("reference_id", "vector_id", "alpha", "prompt_id")
    return pl.concat([pl.concat(own).sort(*order) for own in parts.values()])


@stage(
    dimensions=("model", "trait"),
    group="vectors",
    kinds={"pytorch", "duckdb"},
    code_version="4",
    needs=("model_snapshot", "prompt_sets", "activation_caches", "vector_families"),
    settings=(
        "numerics",
        "layers.steer",
        "prompts.test",
        "logits",
        "dose",
        "behaviour.steered_alpha",
    ),
    sources=scopes.sources,
)
def logit_distances(run: StageRun) -> Produced:
    """Distance of each vector's next-token distribution, measured and predicted by the Fisher form.

    Against the unsteered model at every dose, and against v at its own dose. KL in nats;
    `predicted_kl` is half e'Ge with the Fisher form G of the same prompt at the reference: exact to
    second order in the step e. `displacement` is the length of the step from the reference in units
    of |v|, `displacement_floor` the distance of logits expected from this length alone: that of
    random vectors per unit of length, at the same prompt, reference and dose. `dose_response`
    follows small steps along every vector and v + c v_perp along null, range and random directions;
    `equivalence_radius` gives the length up to which a step stays within a tolerance, as predicted
    and as measured. Vectors are added at the last prompt token, under `all_prompt_and_generated` at
    every one; under scopes without the last prompt token no next token moves and there are no rows.
    """
    if why := scopes.next_token_unmoved(run.study):
        run.log.info(f"no distances of next tokens: {why}")
        return Produced(
            rows=[Rows(table, frame_of(table, [])) for table in _TABLES], metadata={"note": why}
        )
    vectors, values = read_table(run)
    tests = prompt_selection.generation_tests(run.rows("prompt_sets"), run.study)
    prompts = prompt_selection.spread_over_environments(tests, run.study.logits.prompts)
    frame = _rows(run, vectors, values, prompts)
    prompts = prompt_selection.spread_over_environments(tests, run.study.dose.prompts)
    doses = _dose_response.rows(run, vectors, values, prompts)
    return Produced(
        rows=[
            Rows("logit_distances", frame),
            Rows("dose_response", doses),
            Rows("equivalence_radius", _dose_response.radii(doses, run.study.dose.tolerances)),
        ],
        metadata={"prompts": len(prompts), "vectors": len(vectors)},
        metrics={"mean_kl": float(frame["kl"].to_numpy().mean())},
    )
