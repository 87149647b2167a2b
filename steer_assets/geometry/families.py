"""Families of steering vectors at one layer, from contrast pairs and null spaces (SPEC 7).

Norms: `pca`, `logistic`, `orthogonal`, `subspace_k`, `random`, `other_trait` and the `_matched`
families have the base vector's norm |v|; `base_plus_*` are sqrt(2) |v| long by construction;
`base_range` and `base_null` are v's own parts; `external` is what the user brought, untouched.

Directions of `orthogonal`, `base_plus_orthogonal` and `base_plus_orthogonal_matched` with the same
seed are the same, so that the three differ in nothing else. The `subspace_k` are nested: each is
spanned by the first k of one orthonormal set in v's complement.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from steer_assets.geometry import directions
from steer_assets.geometry.errors import DegenerateError
from steer_assets.geometry.validation import as_direction, length

Vector = Float[np.ndarray, " d"]

KINDS = ("covariance", "jacobian", "fisher")


@dataclass(frozen=True, eq=False)
class SteeringVector:
    """One vector: `values` [d] float64. `seed` is 0 for families that draw nothing at random.

    `null_space` is "" or the kind of null space that the family refers to.
    """

    vector_id: str
    family: str
    layer: int
    seed: int
    null_space: str
    values: Vector


@dataclass(frozen=True, eq=False)
class FamilyInputs:
    """What the families of one layer are made from.

    positive, negative: activations [n, d] of the two sides of each pair, in the same order.
    null_bases: kind -> (leading basis [d, r], null basis [d, d - r]), orthonormal columns. Of
        prompts other than `positive` and `negative`: v lies in the span of its own by construction.
    other_traits, external: name -> vector [d].
    """

    layer: int
    positive: Float[np.ndarray, "n d"]
    negative: Float[np.ndarray, "n d"]
    null_bases: Mapping[str, tuple[Float[np.ndarray, "d r"], Float[np.ndarray, "d k"]]] = field(
        default_factory=dict
    )
    other_traits: Mapping[str, Vector] = field(default_factory=dict)
    external: Mapping[str, Vector] = field(default_factory=dict)


@dataclass(frozen=True)
class FamilyPlan:
    """How many of each: seeds per kind of draw, subspace sizes, and the families wanted.

    subspace_directions: size of the orthonormal set behind every `subspace_k`; random_seeds also
    number the draws in each subspace. families: names as in `FAMILIES`.
    """

    orthogonal_seeds: tuple[int, ...]
    null_seeds: tuple[int, ...]
    random_seeds: tuple[int, ...]
    subspace_sizes: tuple[int, ...]
    subspace_directions: int
    families: tuple[str, ...]
    root_entropy: tuple[int, ...]


@dataclass(frozen=True)
class Skipped:
    """A vector that the inputs cannot give, and why."""

    vector_id: str
    reason: str


@dataclass(frozen=True)
class _Draft:
    """A vector yet to be made: its suffix after the layer, its columns, and the recipe."""

    suffix: str
    family: str
    make: Callable[[], Vector]
    seed: int = 0
    null_space: str = ""


def build(
    inputs: FamilyInputs,
    plan: FamilyPlan,
    *,
    on_skip: Callable[[Skipped], None] | None = None,
) -> list[SteeringVector]:
    """Every vector of the plan, in the order of `plan.families`.

    A vector that does not exist for these inputs (no direction in an empty null space, no part of v
    in a subspace) raises `DegenerateError`, or goes to `on_skip` where one is given.
    Raises `ValueError` for an unknown family, a kind of null space outside `KINDS` or a size of
    subspace beyond `plan.subspace_directions`; `ShapeError`, `NotFiniteError` and `DegenerateError`
    for unusable activations or vectors.
    """
    _check(inputs, plan)
    v = directions.base(inputs.positive, inputs.negative)
    vectors = []
    for family in plan.families:
        for draft in FAMILIES[family](inputs, plan, v):
            vector_id = f"L{inputs.layer}.{draft.suffix}"
            try:
                values = draft.make()
            except DegenerateError as error:
                if on_skip is None:
                    raise DegenerateError(f"{vector_id}: {error}") from error
                on_skip(Skipped(vector_id, str(error)))
                continue
            vectors.append(
                SteeringVector(
                    vector_id, draft.family, inputs.layer, draft.seed, draft.null_space, values
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


def _simple(suffix: str, recipe: Callable[[FamilyInputs, Vector], Vector]) -> "_Family":
    """A family of one vector, without randomness."""

    def drafts(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[_Draft]:
        yield _Draft(suffix, suffix, lambda: recipe(inputs, v))

    return drafts


def _perpendicular(family: str, recipe: Callable[[Vector, Vector], Vector]) -> "_Family":
    """A family made from v and v_perp; every such family sees the same v_perp for a seed."""

    def drafts(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[_Draft]:
        for seed in plan.orthogonal_seeds:

            def make(seed: int = seed) -> Vector:
                rng = directions.generator(plan.root_entropy, inputs.layer, "orthogonal", seed)
                return recipe(v, directions.orthogonal(v, rng))

            yield _Draft(f"{family}.s{seed}", family, make, seed)

    return drafts


def _base_plus(family: str, side: int) -> "_Family":
    """v + |v| u with u orthogonal to v in the leading (0) or null (1) subspace of each kind."""

    def drafts(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[_Draft]:
        for kind, bases in inputs.null_bases.items():
            for seed in plan.null_seeds:

                def make(
                    kind: str = kind, basis: np.ndarray = bases[side], s: int = seed
                ) -> Vector:
                    purpose = f"{family}.{kind}"
                    rng = directions.generator(plan.root_entropy, inputs.layer, purpose, s)
                    return directions.plus(v, directions.orthogonal_in(v, basis, rng))

                yield _Draft(f"{family}.{kind}.s{seed}", family, make, seed, kind)

    return drafts


def _own_part(family: str, side: int) -> "_Family":
    """v's part in the leading (0) or null (1) subspace of each kind."""

    def drafts(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[_Draft]:
        for kind, bases in inputs.null_bases.items():

            def make(basis: np.ndarray = bases[side]) -> Vector:
                return directions.part_in(v, basis)

            yield _Draft(f"{family}.{kind}", family, make, null_space=kind)

    return drafts


def _subspace(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[_Draft]:
    for size in plan.subspace_sizes:
        family = f"subspace_{size}"
        for seed in plan.random_seeds:

            def make(size: int = size, family: str = family, seed: int = seed) -> Vector:
                shared = directions.generator(plan.root_entropy, inputs.layer, "subspace", 0)
                rows = directions.orthonormal_complement(v, plan.subspace_directions, shared)
                rng = directions.generator(plan.root_entropy, inputs.layer, family, seed)
                return directions.in_span(rows[:size], length(v), rng)

            yield _Draft(f"{family}.s{seed}", family, make, seed)


def _random(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[_Draft]:
    for seed in plan.random_seeds:

        def make(seed: int = seed) -> Vector:
            rng = directions.generator(plan.root_entropy, inputs.layer, "random", seed)
            return directions.random(v, rng)

        yield _Draft(f"random.s{seed}", "random", make, seed)


def _other_trait(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[_Draft]:
    for name, other in inputs.other_traits.items():

        def make(name: str = name, other: Vector = other) -> Vector:
            vector = as_direction(other, f"vector of trait {name}", width=v.shape[0])
            return directions.matched(v, vector)

        yield _Draft(f"other_trait.{name}", "other_trait", make)


def _external(inputs: FamilyInputs, plan: FamilyPlan, v: Vector) -> Iterator[_Draft]:
    for name, vector in inputs.external.items():

        def make(name: str = name, vector: Vector = vector) -> Vector:
            return as_direction(vector, f"external vector {name}", width=v.shape[0])

        yield _Draft(f"external.{name}", "external", make)


_Family = Callable[[FamilyInputs, FamilyPlan, Vector], Iterator[_Draft]]

FAMILIES: dict[str, _Family] = {
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
