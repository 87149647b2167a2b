r"""Subspaces of a spectrum: bases, energy in them, angles between them, a held-out test.

**Held-out null energy.** Fit a null space N of dimension k on some prompts and measure on others

.. math:: \frac{\mathrm{mean}_i\; \|P_N(x_i - m)\|^2/\|x_i - m\|^2}{k/d},

where k/d is the expected share in a random k-dimensional subspace, exactly, for any x. A null space
that is an artefact of the sample gives 1; a null space of the model gives less.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg, stats

from steer_assets.geometry.errors import DegenerateError, ShapeError, TooFewSamplesError
from steer_assets.geometry.null_spaces.spectra import Spectrum, activation_spectrum
from steer_assets.geometry.validation import as_direction, as_matrix, length


def leading(spectrum: Spectrum, rank: int) -> Float[np.ndarray, "d rank"]:
    """Orthonormal basis of the `rank` leading axes. Raises `ShapeError` outside 0..d."""
    _require_rank(spectrum, rank)
    return spectrum.basis[:, :rank].copy()


def null(spectrum: Spectrum, rank: int) -> Float[np.ndarray, "d null_dim"]:
    """Orthonormal basis of the d - `rank` trailing axes. Raises `ShapeError` outside 0..d."""
    _require_rank(spectrum, rank)
    return spectrum.basis[:, rank:].copy()


def _require_rank(spectrum: Spectrum, rank: int) -> None:
    if not 0 <= rank <= spectrum.ambient_dim:
        raise ShapeError(f"rank {rank} is outside 0..{spectrum.ambient_dim}")


def energy_share(v: Float[np.ndarray, " d"], basis: Float[np.ndarray, "d k"]) -> float:
    """Share of the squared norm of `v` in the span of the orthonormal columns of `basis`.

    0.0 for an empty basis. Raises `ShapeError`, `NotFiniteError`, `DegenerateError` (zero vector).
    """
    columns = as_matrix(basis, "basis")
    vector = as_direction(v, "vector", width=columns.shape[0])
    vector = vector / np.abs(vector).max()
    unit = vector / length(vector)
    return min(float(np.square(columns.T @ unit).sum()), 1.0)


@dataclass(frozen=True, slots=True)
class RandomShare:
    """Energy share of an isotropic random vector in a subspace of k of d dimensions.

    Its law is Beta(k/2, (d-k)/2), as the ratio of k to all d squared Gaussians. mean: k/d; low,
    high: the central interval of probability `level`.
    """

    null_dim: int
    ambient_dim: int
    mean: float
    low: float
    high: float

    def below(self, share: float) -> float:
        """Probability that a random vector has at most `share` there."""
        if self.null_dim in (0, self.ambient_dim):
            return float(share >= self.mean)
        a, b = self.null_dim / 2, (self.ambient_dim - self.null_dim) / 2
        return float(stats.beta.cdf(share, a, b))


def random_share(k: int, d: int, *, level: float = 0.95) -> RandomShare:
    """Energy share of a vector unrelated to the subspace. Raises `ShapeError` for k > d."""
    if not 0 <= k <= d or d < 1:
        raise ShapeError(f"{k} dimensions do not fit in {d}")
    if k in (0, d):
        return RandomShare(k, d, k / d, k / d, k / d)
    low, high = stats.beta.ppf([0.5 - level / 2, 0.5 + level / 2], k / 2, (d - k) / 2)
    return RandomShare(k, d, k / d, float(low), float(high))


def principal_angles(
    a: Float[np.ndarray, "d k"], b: Float[np.ndarray, "d m"]
) -> Float[np.ndarray, " min_k_m"]:
    """Principal angles in radians, ascending, between the column spans of `a` and `b`.

    Sines below pi/4, cosines above (Knyazev & Argentati 2002): small angles are exact to rounding.
    Raises `ShapeError` for unequal widths, `DegenerateError` for an empty subspace.
    """
    first, second = as_matrix(a, "first basis"), as_matrix(b, "second basis")
    if first.shape[0] != second.shape[0]:
        raise ShapeError(f"subspaces of {first.shape[0]} and of {second.shape[0]} dimensions")
    if not (first.shape[1] and second.shape[1]):
        raise DegenerateError("an empty subspace has no principal angles")
    # scipy.linalg.subspace_angles takes the cosine for small angles when large ones are present
    # (its mask runs in the opposite order), which loses angles below 1e-8.
    wide, narrow = linalg.orth(first), linalg.orth(second)
    if wide.shape[1] < narrow.shape[1]:
        wide, narrow = narrow, wide
    product = wide.T @ narrow
    cosines = np.clip(linalg.svdvals(product), 0.0, 1.0)
    sines = np.clip(linalg.svdvals(narrow - wide @ product)[::-1], 0.0, 1.0)
    return np.asarray(np.where(cosines**2 < 0.5, np.arccos(cosines), np.arcsin(sines)))


def null_energy(
    deviations: Float[np.ndarray, "n d"], null_basis: Float[np.ndarray, "d k"]
) -> float:
    """Mean share of energy of rows in a null space, relative to a random subspace of that size.

    1.0 for an empty null space, for which no claim is made. Rows of zero norm have no direction and
    are ignored. Raises `DegenerateError` when all rows are zero.
    """
    d, k = null_basis.shape
    norms = np.linalg.norm(deviations, axis=1)
    if not (norms > 0).any():
        raise DegenerateError("all held-out activations equal the mean: they are constant")
    if k == 0:
        return 1.0
    units = deviations[norms > 0] / norms[norms > 0, None]
    return float(np.square(units @ null_basis).sum(axis=1).mean() / (k / d))


def held_out_folds(
    x: Float[np.ndarray, "n d"],
    *,
    n_splits: int,
    seed: int,
    groups: Int[np.ndarray, " n"] | None = None,
) -> Iterator[tuple[Spectrum, Float[np.ndarray, "m d"]]]:
    """For each fold the spectrum of the other rows, and the fold's deviations from their mean.

    Deviations of zero norm, which have no direction, are left out. Raises
    `TooFewSamplesError` with fewer groups than splits or fewer than 2 splits, `ShapeError` for
    another number of labels than rows.
    """
    matrix = as_matrix(x, "activations")
    labels = np.arange(matrix.shape[0]) if groups is None else np.asarray(groups)
    if labels.shape != (matrix.shape[0],):
        raise ShapeError(f"{labels.shape[0]} group labels for {matrix.shape[0]} activations")
    n_groups = np.unique(labels).shape[0]
    if n_splits < 2 or n_groups < n_splits:
        raise TooFewSamplesError(
            f"{n_splits} splits of {n_groups} groups: need 2 splits or more, and a group for each"
        )
    # takes seconds to import and is needed only here
    from sklearn.model_selection import GroupKFold

    folds = GroupKFold(n_splits, shuffle=True, random_state=seed)
    for fitted, held_out in folds.split(matrix, groups=labels):
        spectrum = activation_spectrum(matrix[fitted])
        deviations = matrix[held_out] - matrix[fitted].mean(axis=0)
        moved = deviations[deviations.any(axis=1)]
        if moved.shape[0]:
            yield spectrum, moved
