"""Stage 8: next-token distributions under every vector."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from steer_assets.assets import dose_response, selection
from steer_assets.assets.next_tokens import Step, measure
from steer_assets.assets.stage import Produced, Rows, StageRun, stage
from steer_assets.assets.vector_families import NONE_ID, read_table


def _frames(
    run: StageRun,
    layer: int,
    reference_id: str,
    ids: list[str],
    directions: np.ndarray,
    alphas: tuple[float, ...],
    prompts: pl.DataFrame,
    origin: np.ndarray | None,
) -> Iterator[pl.DataFrame]:
    """Rows of every vector at every alpha, prompt by prompt, against one reference."""
    model = run.language_model()
    steps = [Step(row, alpha) for row in range(len(ids)) for alpha in alphas]
    for found in measure(
        model,
        selection.encoded(model, prompts),
        layer,
        directions,
        steps,
        origin=origin,
        on_progress=run.progress(f"block {layer} against {reference_id}"),
    ):
        yield pl.DataFrame(
            {
                "vector_id": [ids[step.direction] for step in steps],
                "reference_id": reference_id,
                "layer": layer,
                "alpha": [step.scale for step in steps],
                "environment": prompts.item(found.prompt, "environment"),
                "prompt_id": prompts.item(found.prompt, "prompt_id"),
                **found.columns,
            }
        )


def _layer_rows(
    run: StageRun, layer: int, vectors: pl.DataFrame, values: np.ndarray, prompts: pl.DataFrame
) -> pl.DataFrame:
    """Unsteered for every dose; the base vector at the dose where its Fisher form was taken."""
    chosen = vectors.with_row_index("row").filter(pl.col("layer") == layer)
    ids, table = chosen["vector_id"].to_list(), values[chosen["row"].to_numpy()]
    alphas, dose = run.study.logits.alphas, run.study.behaviour.steered_alpha
    parts = list(_frames(run, layer, NONE_ID, ids, table, alphas, prompts, None))
    base_id = f"L{layer}.base"
    others = [i for i, name in enumerate(ids) if name != base_id]
    if dose in alphas and others:
        base = table[ids.index(base_id)]
        names, from_base = [ids[i] for i in others], table[others] - base
        parts += _frames(run, layer, base_id, names, from_base, (dose,), prompts, dose * base)
    return pl.concat(parts).sort("reference_id", "vector_id", "alpha", "prompt_id")


@stage(
    dimensions=("model", "trait"),
    group="vectors",
    kinds={"pytorch", "duckdb"},
    code_version="2",
    needs=("model_snapshot", "prompt_sets", "activation_caches", "vector_families"),
    settings=(
        "numerics",
        "layers.steer",
        "prompts.test",
        "logits",
        "dose",
        "behaviour.steered_alpha",
    ),
)
def logit_distances(run: StageRun) -> Produced:
    """How far each vector moves the next-token distribution, beside what the Fisher form predicts.

    Against the unsteered model at every dose, and against v at its own dose. KL in nats;
    `predicted_kl` is half e'Ge with the Fisher form G of the same prompt at the reference: exact
    to second order in the step e. `dose_response` follows small steps along every vector and
    v + c v_perp along null, range and random directions; `equivalence_radius` says up to which
    length a step stays within a tolerance, as predicted and as measured.
    """
    vectors, values = read_table(run)
    tests = selection.generation_tests(run.rows("prompt_sets"), run.study)
    prompts = selection.spread_over_environments(tests, run.study.logits.prompts)
    layers = run.steer_layers()
    frame = pl.concat([_layer_rows(run, layer, vectors, values, prompts) for layer in layers])
    prompts = selection.spread_over_environments(tests, run.study.dose.prompts)
    doses = pl.concat(
        [dose_response.rows(run, layer, vectors, values, prompts) for layer in layers]
    )
    return Produced(
        rows=[
            Rows("logit_distances", frame),
            Rows("dose_response", doses),
            Rows("equivalence_radius", dose_response.radii(doses, run.study.dose.tolerances)),
        ],
        metadata={"prompts": len(prompts), "vectors": len(vectors)},
        metrics={"mean_kl": float(frame["kl"].to_numpy().mean())},
    )
