"""Arms that steer several blocks at once: v at each steered block, and v + v_perp at each.

The published argument assumes access to a single layer: later blocks may undo an orthogonal
component added at one block, and components at several blocks may accumulate. An arm at dose alpha
adds alpha / n at each of the n steered blocks, so that its total dose equals that of a single-block
arm.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.catalog.traits import Environment
from steer_assets.geometry.vector_ids import VectorId, base_id

FAMILY = "multi_layer"
PLUS = "multi_layer_plus_orthogonal"


@dataclass(frozen=True, slots=True)
class MultiVector:
    """Vectors added together, each at its own block.

    layer: the middle one of the blocks; `multi_layer` is compared with v at that block.
    """

    vector_id: str
    family: str
    layer: int
    parts: tuple[str, ...]


def multi_vectors(study: Study, steer: list[int]) -> list[MultiVector]:
    """Multi-layer vectors of a study, given its steered blocks; empty if the study has none.

    Raises:
        ValueError: the blocks to be steered coincide in this model.
    """
    plan = study.generation.multi_layer
    if plan is None:
        return []
    if len(steer) < 2:
        raise ValueError(f"generation.multi_layer needs two steered blocks, this model has {steer}")
    layer = steer[(len(steer) - 1) // 2]
    plain = VectorId(layer, FAMILY)
    found = [MultiVector(str(plain), FAMILY, layer, tuple(base_id(block) for block in steer))]
    for seed in study.vectors.orthogonal_seeds[: plan.seeds]:
        parts = tuple(str(VectorId(block, "base_plus_orthogonal", seed=seed)) for block in steer)
        found.append(MultiVector(str(VectorId(layer, PLUS, seed=seed)), PLUS, layer, parts))
    return found


def doses(study: Study) -> Iterable[tuple[Environment, float]]:
    """Environments and doses of these arms."""
    plan = study.generation.multi_layer
    return [(e, alpha) for e in plan.environments for alpha in plan.alphas] if plan else []


def with_multi_layer(vectors: pl.DataFrame, study: Study, steer: list[int]) -> pl.DataFrame:
    """Names of vectors in tests: (vector_id, family, null_space, layer), with these vectors."""
    named = vectors.select("vector_id", "family", "null_space", "layer")
    rows = [(m.vector_id, m.family, "", m.layer) for m in multi_vectors(study, steer)]
    return pl.concat([named, pl.DataFrame(rows, schema=named.schema, orient="row")])
