r"""The directions of every vector family: one function each, float64 in and out.

Let :math:`v` be the base vector. In families named orthogonal, directions are projected off v
twice, which makes them orthogonal to machine precision (Giraud, Langou & Rozloznik 2005: "twice is
enough"); norm-matched families are rescaled to :math:`|v|` as the last step.

Isotropic draws are Gaussian vectors rescaled (Muller 1959); an orthonormal set is the Q factor of a
Gaussian matrix, the signs of R's diagonal fixed so that it is Haar-distributed (Mezzadri 2007).
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from steer_assets.geometry.errors import DegenerateError, ShapeError
from steer_assets.geometry.validation import as_direction, as_matrix, length

# A component smaller than this, relative to the vector, is rounding error of a zero component.
NEGLIGIBLE = 1e-10


def generator(
    root_entropy: Sequence[int], layer: int, purpose: str, seed: int
) -> np.random.Generator:
    """Random numbers for one purpose (such as a family name), independent of other purposes."""
    digest = hashlib.sha256(purpose.encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
    sequence = np.random.SeedSequence([*root_entropy, layer, *words, seed])
    return np.random.Generator(np.random.PCG64(sequence))


def rescaled(u: Float[np.ndarray, " d"], norm: float) -> Float[np.ndarray, " d"]:
    """`u` at length `norm`. Raises `DegenerateError` for a zero vector."""
    direction = as_direction(u, "direction")
    # Scaled to about 1 first: the inverse of a very small norm would overflow.
    direction = direction / np.abs(direction).max()
    return np.asarray(direction / length(direction) * norm)


def without(v: Float[np.ndarray, " d"], u: Float[np.ndarray, "*k d"]) -> Float[np.ndarray, "*k d"]:
    """`u` (one vector, or rows) without its component along `v`."""
    unit = rescaled(v, 1.0)
    for _ in range(2):
        u = u - np.multiply.outer(u @ unit, unit)
    return u


# -- estimated from the contrast pairs ------------------------------------------------------


def base(
    positive: Float[np.ndarray, "n d"], negative: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, " d"]:
    """Mean over pairs of positive minus negative activations.

    Raises `ShapeError` for unequal shapes or no pairs, `DegenerateError` when the mean is zero.
    """
    mean = _differences(positive, negative).mean(axis=0)
    if not mean.any():
        raise DegenerateError(
            f"the mean difference over {len(positive)} pairs is zero: the two sides do not differ"
        )
    return np.asarray(mean, dtype=np.float64)


def pca(
    positive: Float[np.ndarray, "n d"], negative: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, " d"]:
    """First uncentred principal component of the pair differences, at the base vector's norm.

    Its sign is that of its product with the base vector. Raises as `base` does.
    """
    v = base(positive, negative)
    differences = _differences(positive, negative)
    component = np.linalg.svd(differences, full_matrices=False)[2][0]
    sign = -1.0 if component @ v < 0 else 1.0
    return rescaled(sign * component, length(v))


def logistic(
    positive: Float[np.ndarray, "n d"], negative: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, " d"]:
    """Normal of an L2-regularised logistic probe, towards positive, at the base vector's norm.

    One common scale (root mean square deviation) instead of one per coordinate makes the penalty
    unit-free and preserves the geometry of the residual stream. Raises as `base` does.
    """
    v = base(positive, negative)
    x = np.concatenate([positive, negative]).astype(np.float64)
    x -= x.mean(axis=0)
    x /= np.sqrt(np.square(x).mean())
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    # By the representer theorem the solution lies in the span of the rows, so the problem has at
    # most 2n coordinates instead of d.
    _, sigma, axes = np.linalg.svd(x, full_matrices=False)
    axes = axes[sigma > NEGLIGIBLE * sigma[0]]
    # takes seconds to import and is needed only here
    from sklearn.linear_model import LogisticRegression

    probe = LogisticRegression(C=1.0, tol=1e-8, max_iter=10_000).fit(x @ axes.T, labels)
    return rescaled(probe.coef_[0] @ axes, length(v))


def _differences(
    positive: Float[np.ndarray, "n d"], negative: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "n d"]:
    first, second = as_matrix(positive, "positive"), as_matrix(negative, "negative")
    if first.shape != second.shape:
        raise ShapeError(f"positive has shape {first.shape}, negative {second.shape}: not pairs")
    if not first.shape[0]:
        raise ShapeError("no contrast pairs: a base vector needs at least 1, got 0")
    return np.asarray(first - second)


# -- drawn at random ------------------------------------------------------------------------


def random(v: Float[np.ndarray, " d"], rng: np.random.Generator) -> Float[np.ndarray, " d"]:
    """Isotropic direction at norm |v|."""
    return rescaled(rng.standard_normal((v.shape[0],)), _norm(v))


def orthogonal(v: Float[np.ndarray, " d"], rng: np.random.Generator) -> Float[np.ndarray, " d"]:
    """Isotropic direction in v's complement at norm |v|: the paper's v_perp.

    Raises `DegenerateError` in one dimension, where the complement is empty.
    """
    if v.shape[0] < 2:
        raise DegenerateError("the complement of a vector in 1 dimension is empty")
    return rescaled(without(v, rng.standard_normal((v.shape[0],))), _norm(v))


def orthonormal_complement(
    v: Float[np.ndarray, " d"], k: int, rng: np.random.Generator
) -> Float[np.ndarray, "k d"]:
    """`k` random orthonormal rows, each orthogonal to `v`. Raises `DegenerateError` for k >= d."""
    d = v.shape[0]
    if not 0 < k < d:
        raise DegenerateError(f"{k} orthogonal directions do not fit in the {d - 1} beside v")
    unit = rescaled(v, 1.0)
    # With v as first column, Q's other columns are an orthonormal set of v's complement.
    q, r = np.linalg.qr(np.column_stack([unit, rng.standard_normal((d, k))]))
    return np.ascontiguousarray((q * np.where(np.diag(r) < 0, -1.0, 1.0)).T[1:])


def in_span(
    directions: Float[np.ndarray, "k d"], norm: float, rng: np.random.Generator
) -> Float[np.ndarray, " d"]:
    """Isotropic direction in the span of orthonormal rows, at length `norm`."""
    return rescaled(rng.standard_normal((directions.shape[0],)) @ directions, norm)


def orthogonal_in(
    v: Float[np.ndarray, " d"], basis: Float[np.ndarray, "d k"], rng: np.random.Generator
) -> Float[np.ndarray, " d"]:
    """Unit direction, isotropic among those in the span of `basis` (orthonormal) orthogonal to v.

    Raises `DegenerateError` if there is none: for an empty subspace, or the line spanned by v.
    """
    columns = as_matrix(basis, "basis")
    return _at_coordinates(v, columns, rng.standard_normal((columns.shape[1],)))


def orthogonal_in_span(
    v: Float[np.ndarray, " d"], basis: Float[np.ndarray, "d k"], rng: np.random.Generator
) -> Float[np.ndarray, " d"]:
    """As `orthogonal_in`, and the same direction for every orthonormal basis of the span.

    Axes of equal singular values, such as those of zero, are any that rounding makes them; the
    direction is therefore drawn in all dimensions and projected.
    """
    columns = as_matrix(basis, "basis")
    return _at_coordinates(v, columns, columns.T @ rng.standard_normal((columns.shape[0],)))


def _at_coordinates(
    v: Float[np.ndarray, " d"],
    columns: Float[np.ndarray, "d k"],
    coordinates: Float[np.ndarray, " k"],
) -> Float[np.ndarray, " d"]:
    vector = as_direction(v, "base vector", width=columns.shape[0])
    if not columns.shape[1]:
        raise DegenerateError("the subspace is empty (dimension 0)")
    # In coordinates of the subspace u stays inside it exactly; u . v is (basis' v) . coordinates.
    along = columns.T @ rescaled(vector, 1.0)
    if length(along) > NEGLIGIBLE:
        if columns.shape[1] == 1:
            raise DegenerateError("the subspace has dimension 1 and is not orthogonal to v")
        coordinates = without(along, coordinates)
    return rescaled(columns @ coordinates, 1.0)


# -- made from the base vector --------------------------------------------------------------


def plus(v: Float[np.ndarray, " d"], unit: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """v + |v| u for a unit vector u; its length is sqrt(2) |v| if u is orthogonal to v."""
    return v + _norm(v) * unit


def matched(v: Float[np.ndarray, " d"], w: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """`w` rescaled to |v|."""
    return rescaled(w, _norm(v))


def part_in(v: Float[np.ndarray, " d"], basis: Float[np.ndarray, "d k"]) -> Float[np.ndarray, " d"]:
    """The component of v in the span of `basis` (orthonormal), not rescaled.

    Raises `DegenerateError` if v has no component there.
    """
    columns = as_matrix(basis, "basis")
    vector = as_direction(v, "base vector", width=columns.shape[0])
    part = np.asarray(columns @ (columns.T @ vector))
    if length(part) <= NEGLIGIBLE * length(vector):
        raise DegenerateError(
            f"the base vector has no part in the subspace of dimension {columns.shape[1]}"
        )
    return part


def _norm(v: Float[np.ndarray, " d"]) -> float:
    return length(as_direction(v, "base vector"))
