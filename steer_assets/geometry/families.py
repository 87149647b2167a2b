"""Families of steering vectors at one layer, from contrast pairs and null spaces (SPEC 7).

Norms: `pca`, `logistic`, `orthogonal`, `subspace_k`, `random`, `other_trait` and the `_matched`
families have the base vector's norm |v|; `base_plus_*` are sqrt(2) |v| long by construction;
`base_range` and `base_null` are components of v; `external` vectors are the user's, unchanged.

Directions of `orthogonal`, `base_plus_orthogonal` and `base_plus_orthogonal_matched` with the same
seed are equal, so that the three families differ only in their construction. The `subspace_k` are
nested: each is spanned by the first k of one orthonormal set in v's complement.
"""

from collections.abc import Callable

from steer_assets.geometry import directions
from steer_assets.geometry.errors import DegenerateError
from steer_assets.geometry.family_inputs import (
    KINDS,
    FamilyInputs,
    FamilyPlan,
    Skipped,
    SteeringVector,
)
from steer_assets.geometry.family_recipes import FAMILIES

__all__ = [
    "FAMILIES", "KINDS", "FamilyInputs", "FamilyPlan", "Skipped", "SteeringVector", "build",
]  # fmt: skip


def build(
    inputs: FamilyInputs,
    plan: FamilyPlan,
    *,
    on_skip: Callable[[Skipped], None] | None = None,
) -> list[SteeringVector]:
    """Every vector of the plan, in the order of `plan.families`.

    A vector that does not exist for these inputs (no direction in an empty null space, no component
    of v in a subspace) raises `DegenerateError`, or is passed to `on_skip` if given. Raises
    `ValueError` for an unknown family, a kind of null space outside `KINDS` or a size of subspace
    beyond `plan.subspace_directions`; `ShapeError`, `NotFiniteError` and `DegenerateError` for
    unusable activations or vectors.
    """
    _check(inputs, plan)
    v = directions.base(inputs.positive, inputs.negative)
    vectors = []
    for family in plan.families:
        for draft in FAMILIES[family](inputs, plan, v):
            vector_id = str(draft.vector_id(inputs.layer))
            try:
                values = draft.make()
            except DegenerateError as error:
                if on_skip is None:
                    raise DegenerateError(f"{vector_id}: {error}") from error
                on_skip(Skipped(vector_id, str(error)))
                continue
            vectors.append(
                SteeringVector(
                    vector_id, draft.family, inputs.layer, draft.seed or 0, draft.null_space, values
                )
            )
    return vectors


def _check(inputs: FamilyInputs, plan: FamilyPlan) -> None:
    for family in plan.families:
        if family not in FAMILIES:
            raise ValueError(f"unknown family {family!r}; known: {', '.join(FAMILIES)}")
    for kind in inputs.null_bases:
        if kind not in KINDS:
            raise ValueError(f"unknown null space {kind!r}; known: {', '.join(KINDS)}")
    for size in plan.subspace_sizes:
        if not 1 <= size <= plan.subspace_directions:
            raise ValueError(
                f"subspace size {size} is outside 1..{plan.subspace_directions} directions"
            )
