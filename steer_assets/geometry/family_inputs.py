"""Inputs of families of steering vectors, and the resulting vectors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, " d"]

KINDS = ("covariance", "jacobian", "fisher")


@dataclass(frozen=True, eq=False)
class SteeringVector:
    """One vector: `values` [d] float64. `seed` is 0 for families without random draws.

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
    """Inputs of the families of one layer.

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
    """Number of vectors: seeds per kind of draw, subspace sizes, and the requested families.

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
    """A vector that does not exist for the inputs, and why."""

    vector_id: str
    reason: str
