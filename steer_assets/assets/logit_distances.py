"""Stage 8: next-token distributions under every vector."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from steer_assets.assets import selection
from steer_assets.assets.behavioral_spectra import read_form
from steer_assets.assets.stage import Produced, Rows, StageRun, stage
from steer_assets.assets.vector_families import NONE_ID, read_table


@dataclass(frozen=True, slots=True)
class _Dose:
    """One arm of one layer: a vector, its row in the table of vectors, and alpha."""

    vector_id: str
    row: int
    alpha: float


def _doses(vectors: pl.DataFrame, layer: int, alphas: tuple[float, ...]) -> list[_Dose]:
    numbered = vectors.with_row_index("row").filter(pl.col("layer") == layer)
    return [
        _Dose(vector_id, row, alpha)
        for vector_id, row in numbered.select("vector_id", "row").iter_rows()
        for alpha in alphas
    ]


@dataclass(frozen=True, slots=True)
class _Reference:
    """What a set of arms is compared with, and the second-order prediction for each arm."""

    reference_id: str
    position: int
    arms: list[int]
    predicted: np.ndarray


def _references(
    run: StageRun, layer: int, doses: list[_Dose], values: np.ndarray
) -> Iterator[_Reference]:
    """Unsteered for every dose; the base vector at the dose where its Fisher form was taken.

    Arm 0 is unsteered, arm i + 1 is dose i.
    """
    from steer_assets.geometry.kl import predicted_kl

    steps = np.stack([dose.alpha * values[dose.row] for dose in doses])
    unsteered = read_form(run, "fisher", "unsteered", layer)
    everything = list(range(len(doses)))
    yield _Reference(NONE_ID, 0, everything, predicted_kl(unsteered, steps))
    base_id, dose = f"L{layer}.base", run.study.behaviour.steered_alpha
    same = [i for i in everything if doses[i].alpha == dose]
    base = next((i for i in same if doses[i].vector_id == base_id), None)
    if base is None:
        return
    others = [i for i in same if i != base]
    steered = read_form(run, "fisher", "steered", layer)
    yield _Reference(base_id, base + 1, others, predicted_kl(steered, steps[others] - steps[base]))


def _layer_rows(
    run: StageRun, layer: int, vectors: pl.DataFrame, values: np.ndarray, prompts: pl.DataFrame
) -> pl.DataFrame:
    from steer_assets.geometry.kl import distances
    from steer_assets.lm.intervene import Addition
    from steer_assets.lm.logits import next_token_logits

    model = run.language_model()
    doses = _doses(vectors, layer, run.study.logits.alphas)
    arms = [(), *((Addition(layer, dose.row, dose.alpha),) for dose in doses)]
    references = list(_references(run, layer, doses, values))
    ids = model.encode(prompts["text"].to_list())
    parts = []
    report = run.progress(f"block {layer}")
    for prompt, logits in next_token_logits(model, ids, arms, values, on_progress=report):
        for reference in references:
            chosen = [i + 1 for i in reference.arms]
            measured = distances(logits[chosen], logits[reference.position])
            parts.append(
                pl.DataFrame(
                    {
                        "vector_id": [doses[i].vector_id for i in reference.arms],
                        "reference_id": reference.reference_id,
                        "layer": layer,
                        "alpha": [doses[i].alpha for i in reference.arms],
                        "environment": prompts.item(prompt, "environment"),
                        "prompt_id": prompts.item(prompt, "prompt_id"),
                        **measured,
                        "predicted_kl": reference.predicted,
                    }
                )
            )
    return pl.concat(parts).sort("reference_id", "vector_id", "alpha", "prompt_id")


@stage(
    dimensions=("model", "trait"),
    group="vectors",
    kinds={"pytorch", "duckdb"},
    code_version="1",
    needs=("model_snapshot", "prompt_sets", "behavioral_spectra", "vector_families"),
    settings=("numerics", "layers.steer", "prompts.test", "logits", "behaviour.steered_alpha"),
)
def logit_distances(run: StageRun) -> Produced:
    """How far each vector moves the next-token distribution, beside what the Fisher form predicts.

    Against the unsteered model at every dose, and against v at its own dose. KL in nats;
    `predicted_kl` is half e'Ge with G averaged over prompts, so it is compared with the mean
    measured KL, and holds for small steps only.
    """
    vectors, values = read_table(run)
    tests = selection.generation_tests(run.rows("prompt_sets"), run.study)
    prompts = selection.spread_over_environments(tests, run.study.logits.prompts)
    frame = pl.concat(
        [_layer_rows(run, layer, vectors, values, prompts) for layer in run.steer_layers()]
    )
    return Produced(
        rows=[Rows("logit_distances", frame)],
        metadata={"prompts": len(prompts), "vectors": len(vectors)},
        metrics={"mean_kl": float(frame["kl"].to_numpy().mean())},
    )
