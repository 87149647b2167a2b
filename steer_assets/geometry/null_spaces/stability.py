r"""Persistence of a null space across environments (prompt distributions).

Two subspaces A, B of dimensions a, b in d are compared by their principal angles and by their
overlap :math:`\|A^TB\|_F^2/\min(a,b)`, the mean squared cosine, whose expectation for random
subspaces is :math:`\max(a,b)/d`. The *leading* subspaces are compared: null spaces of more than d/2
dimensions intersect for any model, and their non-zero principal angles are those of their
complements.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from steer_assets.geometry.errors import DegenerateError, ShapeError
from steer_assets.geometry.null_spaces.subspaces import principal_angles
from steer_assets.geometry.validation import as_form, as_matrix


@dataclass(frozen=True)
class SubspaceOverlap:
    """Mean squared cosine of two subspaces, its random expectation, angles in radians."""

    overlap: float
    expected_overlap: float
    smallest_angle: float
    median_angle: float
    largest_angle: float


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

    1.0 is the value of a random subspace of that size, and is returned for an empty one, for which
    no claim is made; below 1 the null space is also one of the form. Raises `ShapeError` for
    another width or a form that is not symmetric, `DegenerateError` for a form without trace.
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
