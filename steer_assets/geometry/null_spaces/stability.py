r"""Does a null space persist across environments (prompt distributions)?

Two subspaces A, B of dimensions a, b in d are compared by their principal angles and by their
overlap :math:`\|A^TB\|_F^2/\min(a,b)`, the mean squared cosine, whose expectation for random
subspaces is :math:`\max(a,b)/d`. The *leading* subspaces are compared: null spaces of more than d/2
dimensions intersect whatever the model, and their non-zero principal angles are those of their
complements.

What the claim is about is the variance of environment b in the null space fitted on environment a,
relative to a random subspace (`subspaces.null_energy`; 1.0 is nothing special). On the diagonal it
is cross-validated, and so is the yardstick for the rest: a null space cannot be expected to carry
over to another environment better than to held-out prompts of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from steer_assets.geometry.errors import DegenerateError, ShapeError
from steer_assets.geometry.null_spaces.spectra import Spectrum, activation_spectrum
from steer_assets.geometry.null_spaces.subspaces import (
    heldout_null_energy,
    leading,
    null,
    null_energy,
    principal_angles,
)
from steer_assets.geometry.validation import as_form, as_matrix


@dataclass(frozen=True)
class SubspaceOverlap:
    """Mean squared cosine of two subspaces, its random expectation, angles in radians."""

    overlap: float
    expected_overlap: float
    smallest_angle: float
    median_angle: float
    largest_angle: float


@dataclass(frozen=True)
class Transfer:
    """Null space fitted on one environment, energy measured on another (or held out on the same).

    null_energy: relative to a random subspace of dimension null_dim; below 1 the null space holds.
    leading: overlap of the two environments' leading subspaces, each at its own rank.
    """

    fitted_on: str
    measured_on: str
    rank: int
    null_dim: int
    null_energy: float
    leading: SubspaceOverlap


def subspace_overlap(a: Float[np.ndarray, "d k"], b: Float[np.ndarray, "d m"]) -> SubspaceOverlap:
    """Overlap of the spans of two orthonormal bases. Raises as `principal_angles` does."""
    angles = principal_angles(a, b)
    return SubspaceOverlap(
        overlap=float(np.square(np.cos(angles)).mean()),
        expected_overlap=max(a.shape[1], b.shape[1]) / a.shape[0],
        smallest_angle=float(angles[0]),
        median_angle=float(np.median(angles)),
        largest_angle=float(angles[-1]),
    )


def form_null_energy(form: Float[np.ndarray, "d d"], null_basis: Float[np.ndarray, "d k"]) -> float:
    """Share of the trace of a positive semidefinite form in a null space, relative to k/d.

    1.0 is what a random subspace of that size holds, and what is returned for an empty one, of
    which nothing is claimed; below 1 the null space of one kind is one of the form's as well.
    Raises `ShapeError` for another width or a form that is not symmetric, `DegenerateError` for a
    form without trace.
    """
    matrix = as_form(form, "form")
    basis = as_matrix(null_basis, "null basis")
    d, k = basis.shape
    if matrix.shape[0] != d:
        raise ShapeError(f"a form of width {matrix.shape[0]}, a null space of width {d}")
    if np.trace(matrix) <= 0:
        raise DegenerateError("the form has no trace: there is no energy to share")
    if k == 0:
        return 1.0
    within = float(np.einsum("dk,de,ek->", basis, matrix, basis, optimize=True))
    return float(max(within, 0.0) / np.trace(matrix) / (k / d))


def transfers(
    activations: Mapping[str, Float[np.ndarray, "n d"]],
    *,
    rank_of: Callable[[Spectrum], int],
    n_splits: int,
    rng: np.random.Generator,
    groups: Mapping[str, Int[np.ndarray, " n"]] | None = None,
) -> list[Transfer]:
    """Every ordered pair of environments, the diagonal cross-validated in `n_splits` folds.

    activations: environment -> [n, d]; deviations are taken from the mean of the environment that
    is measured, so that a shift of the mean between environments does not count as variation.
    Raises `ShapeError` for different widths; also as `activation_spectrum`, `heldout_null_energy`.
    """
    data = {name: as_matrix(x, f"activations of {name}") for name, x in activations.items()}
    widths = {name: x.shape[1] for name, x in data.items()}
    if len(set(widths.values())) > 1:
        raise ShapeError(f"environments of different widths: {widths}")
    spectra = {name: activation_spectrum(x) for name, x in data.items()}
    ranks = {name: rank_of(spectrum) for name, spectrum in spectra.items()}
    deviations = {name: x - x.mean(axis=0) for name, x in data.items()}
    rows = []
    for fitted, spectrum in spectra.items():
        basis = null(spectrum, ranks[fitted])
        for measured in data:
            if measured == fitted:
                energy = heldout_null_energy(
                    data[fitted],
                    rank_of=rank_of,
                    n_splits=n_splits,
                    rng=rng,
                    groups=None if groups is None else groups[fitted],
                )
            else:
                energy = null_energy(deviations[measured], basis)
            overlap = subspace_overlap(
                leading(spectrum, ranks[fitted]), leading(spectra[measured], ranks[measured])
            )
            rows.append(Transfer(fitted, measured, ranks[fitted], basis.shape[1], energy, overlap))
    return rows
