"""Arms that steer every block at once: v of each steered block, and v + v_perp of each.

Single-layer access is a premise of the published argument: what an orthogonal piece does at one
block, later blocks may undo, and pieces at several blocks may add up. An arm at dose alpha adds
alpha / n at each of the n steered blocks, so that it is as large in all as one at a single block.
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
    """Vectors that are added together, each at its own block.

    layer: the middle one of the blocks; v there is what `multi_layer` is compared with.
    """

    vector_id: str
    family: str
    layer: int
    parts: tuple[str, ...]


def multi_vectors(study: Study, steer: list[int]) -> list[MultiVector]:
    """Those of a study, given its steered blocks; none where it asks for none.

    Raises:
        ValueError: the steered blocks of this model are one and the same.
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
    """What names vectors in tests (vector_id, family, null_space, layer), these among them."""
    named = vectors.select("vector_id", "family", "null_space", "layer")
    rows = [(m.vector_id, m.family, "", m.layer) for m in multi_vectors(study, steer)]
    return pl.concat([named, pl.DataFrame(rows, schema=named.schema, orient="row")])
