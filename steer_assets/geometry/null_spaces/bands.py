r"""Bootstrap band of a covariance spectrum over prompts.

Prompts are drawn with replacement and the spectrum is recomputed (Beran & Srivastava 1985, Ann.
Statist. 13, 95); the band consists of percentiles of each singular value. The same argument limits
it: it is consistent for leading, well-separated values. In dimensions comparable with n a resample
has only about 0.63 n distinct prompts, so trailing values are biased low and leading ones high (El
Karoui & Purdom 2019, AISTATS). It is therefore a band for a plotted spectrum; the size of a null
space is assessed by held-out null energy.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from steer_assets.geometry.errors import DegenerateError, ShapeError, TooFewSamplesError
from steer_assets.geometry.validation import as_matrix


@dataclass(frozen=True, eq=False)
class SpectrumBand:
    """Percentile band of the k = min(n, d) leading singular values, at confidence `level`."""

    singular_values: Float[np.ndarray, " k"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    level: float


def spectrum_band(
    x: Float[np.ndarray, "n d"],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_boot: int = 200,
    groups: Int[np.ndarray, " n"] | None = None,
) -> SpectrumBand:
    """Band of the covariance's singular values (standard deviations, descending).

    x: activations [n, d]; groups: rows drawn together, such as all tokens of a prompt (default:
    each row is a prompt). Raises `TooFewSamplesError` with fewer than 3 groups, `DegenerateError`
    for constant activations, `ValueError` for a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    draws = bootstrap_singular_values(x, rng=rng, n_boot=n_boot, groups=groups)
    tails = [0.5 - level / 2, 0.5 + level / 2]
    low, high = np.quantile(draws, tails, axis=0)
    every_row = np.arange(len(x))
    return SpectrumBand(_resampled_spectrum(_Centred(x), every_row), low, high, level)


def bootstrap_singular_values(
    x: Float[np.ndarray, "n d"],
    *,
    rng: np.random.Generator,
    n_boot: int,
    groups: Int[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "n_boot k"]:
    """Singular values of `n_boot` resampled covariances, k = min(n, d), descending in each row."""
    centred = _Centred(x)
    n = centred.rows.shape[0]
    labels = np.arange(n) if groups is None else np.asarray(groups)
    if labels.shape != (n,):
        raise ShapeError(f"{labels.shape[0]} group labels for {n} activations")
    members = [np.flatnonzero(labels == name) for name in np.unique(labels)]
    if len(members) < 3:
        raise TooFewSamplesError(f"a bootstrap needs at least 3 prompts, got {len(members)}")
    if n_boot < 2:
        raise TooFewSamplesError(f"a band needs at least 2 resamples, got {n_boot}")
    spectra = np.empty((n_boot, min(centred.rows.shape)))
    for i in range(n_boot):
        drawn = rng.integers(len(members), size=len(members))
        spectra[i] = _resampled_spectrum(centred, np.concatenate([members[j] for j in drawn]))
    return spectra


class _Centred:
    """Centred rows, and their n x n Gram matrix if that is smaller than the covariance."""

    def __init__(self, x: Float[np.ndarray, "n d"]) -> None:
        matrix = as_matrix(x, "activations")
        self.rows = matrix - matrix.mean(axis=0)
        if not self.rows.any():
            raise DegenerateError(f"activations are constant over {matrix.shape[0]} samples")
        n, d = matrix.shape
        self.gram = self.rows @ self.rows.T if n <= d else None


def _resampled_spectrum(centred: _Centred, drawn: Int[np.ndarray, " m"]) -> Float[np.ndarray, " k"]:
    """Singular values of the covariance of the drawn rows about their own mean."""
    if centred.gram is None:
        rows = centred.rows[drawn]
        rows -= rows.mean(axis=0)
        form = rows.T @ rows
    else:
        # Same non-zero eigenvalues as the covariance, from products computed only once.
        form = centred.gram[np.ix_(drawn, drawn)]
        column_means = form.mean(axis=0)
        form = form - column_means - column_means[:, None] + column_means.mean()
    eigenvalues = np.linalg.eigvalsh(form)[::-1] / max(drawn.shape[0] - 1, 1)
    spectrum = np.zeros(min(centred.rows.shape))
    k = min(spectrum.shape[0], eigenvalues.shape[0])
    spectrum[:k] = np.sqrt(np.maximum(eigenvalues[:k], 0.0))
    return spectrum
