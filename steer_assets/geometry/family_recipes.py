"""Construction of each vector of a family from v, null spaces and a seed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from steer_assets.geometry import directions
from steer_assets.geometry.family_inputs import FamilyInputs, FamilyPlan, Vector
from steer_assets.geometry.validation import as_direction, length
from steer_assets.geometry.vector_ids import EXTERNAL, OTHER_TRAIT, VectorId


@dataclass(frozen=True)
class Draft:
    """A vector to be computed: the parts of its id after the layer, and its recipe."""

    family: str
    make: Callable[[], Vector]
    seed: int | None = None
    null_space: str = ""
    name: str = ""

    def vector_id(self, layer: int) -> VectorId:
        """The vector's id at a block."""
        return VectorId(layer, self.family, self.null_space or self.name, self.seed)


Family = Callable[[FamilyInputs, FamilyPlan, Vector], Iterator[Draft]]


def _simple(family: str, recipe: Callable[[FamilyInputs, Vector], Vector]) -> Family:
    """A family of one vector, without randomness."""

    def drafts(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[Draft]:
        yield Draft(family, lambda: recipe(inputs, v))

    return drafts


def _perpendicular(family: str, recipe: Callable[[Vector, Vector], Vector]) -> Family:
    """A family made from v and v_perp; all such families use the same v_perp for a seed."""

    def drafts(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[Draft]:
        for seed in plan.orthogonal_seeds:

            def make(seed: int = seed) -> Vector:
                rng = directions.generator(plan.root_entropy, inputs.layer, "orthogonal", seed)
                return recipe(v, directions.orthogonal(v, rng))

            yield Draft(family, make, seed)

    return drafts


def _base_plus(family: str, side: int) -> Family:
    """v + |v| u with u orthogonal to v in the leading (0) or null (1) subspace of each kind."""

    def drafts(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[Draft]:
        for kind, bases in inputs.null_bases.items():
            for seed in plan.null_seeds:

                def make(
                    kind: str = kind, basis: np.ndarray = bases[side], s: int = seed
                ) -> Vector:
                    purpose = f"{family}.{kind}"
                    rng = directions.generator(plan.root_entropy, inputs.layer, purpose, s)
                    return directions.plus(v, directions.orthogonal_in(v, basis, rng))

                yield Draft(family, make, seed, kind)

    return drafts


def _own_part(family: str, side: int) -> Family:
    """The component of v in the leading (0) or null (1) subspace of each kind."""

    def drafts(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[Draft]:
        for kind, bases in inputs.null_bases.items():

            def make(basis: np.ndarray = bases[side]) -> Vector:
                return directions.part_in(v, basis)

            yield Draft(family, make, null_space=kind)

    return drafts


def _subspace(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[Draft]:
    for size in plan.subspace_sizes:
        family = f"subspace_{size}"
        for seed in plan.random_seeds:

            def make(size: int = size, family: str = family, seed: int = seed) -> Vector:
                shared = directions.generator(plan.root_entropy, inputs.layer, "subspace", 0)
                rows = directions.orthonormal_complement(v, plan.subspace_directions, shared)
                rng = directions.generator(plan.root_entropy, inputs.layer, family, seed)
                return directions.in_span(rows[:size], length(v), rng)

            yield Draft(family, make, seed)


def _random(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[Draft]:
    for seed in plan.random_seeds:

        def make(seed: int = seed) -> Vector:
            rng = directions.generator(plan.root_entropy, inputs.layer, "random", seed)
            return directions.random(v, rng)

        yield Draft("random", make, seed)


def _other_trait(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[Draft]:
    for name, other in inputs.other_traits.items():

        def make(name: str = name, other: Vector = other) -> Vector:
            vector = as_direction(other, f"vector of trait {name}", width=v.shape[0])
            return directions.matched(v, vector)

        yield Draft(OTHER_TRAIT, make, name=name)


def _external(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[Draft]:
    for name, vector in inputs.external.items():

        def make(name: str = name, vector: Vector = vector) -> Vector:
            return as_direction(vector, f"external vector {name}", width=v.shape[0])

        yield Draft(EXTERNAL, make, name=name)


FAMILIES: dict[str, Family] = {
    "base": _simple("base", lambda inputs, v: v),
    "pca": _simple("pca", lambda inputs, v: directions.pca(inputs.positive, inputs.negative)),
    "logistic": _simple(
        "logistic", lambda inputs, v: directions.logistic(inputs.positive, inputs.negative)
    ),
    "negated": _simple("negated", lambda inputs, v: -v),
    "orthogonal": _perpendicular("orthogonal", lambda v, perp: perp),
    "base_plus_orthogonal": _perpendicular("base_plus_orthogonal", lambda v, perp: v + perp),
    "base_plus_orthogonal_matched": _perpendicular(
        "base_plus_orthogonal_matched", lambda v, perp: directions.matched(v, v + perp)
    ),
    "base_plus_null": _base_plus("base_plus_null", 1),
    "base_plus_range": _base_plus("base_plus_range", 0),
    "base_range": _own_part("base_range", 0),
    "base_null": _own_part("base_null", 1),
    "subspace_k": _subspace,
    "random": _random,
    "other_trait": _other_trait,
    "external": _external,
}
