"""Input checks shared by the package: every array is float64, finite, and of the stated shape."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import linalg

from steer_assets.geometry.errors import DegenerateError, NotFiniteError, ShapeError


def require_finite(values: np.ndarray, name: str) -> None:
    """Raise `NotFiniteError` if `values` contains NaN or infinity.

    The sum is finite only if every term is, and costs one pass without a temporary; the exact test
    runs only when the sum is not finite, which may also be an overflow of finite terms.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()
    if not np.isfinite(total) and not np.isfinite(values).all():
        bad = int(values.size - np.isfinite(values).sum())
        raise NotFiniteError(f"{name} holds {bad} values that are NaN or infinite")


def as_matrix(
    values: ArrayLike, name: str, *, width: int | None = None
) -> Float[np.ndarray, "rows columns"]:
    """`values` as a finite float64 matrix, of `width` columns where a width is given.

    Raises `ShapeError` for another shape, `NotFiniteError` for NaN or infinity.
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2:
        raise ShapeError(f"{name} must be a matrix, got shape {matrix.shape}")
    if width is not None and matrix.shape[1] != width:
        raise ShapeError(f"{name} has width {matrix.shape[1]}, expected {width}")
    require_finite(matrix, name)
    return matrix


def as_vector(values: ArrayLike, name: str, *, width: int | None = None) -> Float[np.ndarray, " d"]:
    """`values` as a finite float64 vector, of `width` entries where a width is given.

    Raises `ShapeError` for another shape, `NotFiniteError` for NaN or infinity.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise ShapeError(f"{name} must be a vector, got shape {vector.shape}")
    if width is not None and vector.shape[0] != width:
        raise ShapeError(f"{name} has width {vector.shape[0]}, expected {width}")
    require_finite(vector, name)
    return vector


def as_direction(
    values: ArrayLike, name: str, *, width: int | None = None
) -> Float[np.ndarray, " d"]:
    """`as_vector` that also rejects a zero vector (`DegenerateError`)."""
    vector = as_vector(values, name, width=width)
    if not vector.any():
        raise DegenerateError(f"{name} has zero norm")
    return vector


def length(v: Float[np.ndarray, " d"]) -> float:
    """Euclidean norm, safe against overflow and underflow of squares (BLAS nrm2)."""
    return float(linalg.norm(v, check_finite=False))


def as_form(values: ArrayLike, name: str) -> Float[np.ndarray, "d d"]:
    """`values` as a finite symmetric matrix (symmetrised to the last bit).

    Raises `ShapeError` when not square or when the asymmetry exceeds rounding error.
    """
    form = as_matrix(values, name)
    if form.shape[0] != form.shape[1]:
        raise ShapeError(f"{name} must be square, got {form.shape[0]} x {form.shape[1]}")
    asymmetry = float(np.abs(form - form.T).max(initial=0.0))
    # Forms are accumulated from float32 derivatives, whose rounding error is 1e-5 of the largest
    # entry.
    if asymmetry > 1e-5 * float(np.abs(form).max(initial=0.0)):
        raise ShapeError(f"{name} is not symmetric: entries differ by up to {asymmetry:.3g}")
    return np.asarray(0.5 * (form + form.T))
