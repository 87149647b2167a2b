r"""Effective ranks of a spectrum and the null spaces they imply.

With singular values :math:`\sigma_i`, eigenvalues :math:`\lambda_i = \sigma_i^2`:

- `sigma_1pct`, `sigma_5pct`: number of :math:`\sigma_i` above 1 % or 5 % of the largest;
- `variance_95`, `variance_99`: fewest axes that hold 95 % or 99 % of :math:`\sum\lambda`;
- `entropy_rank`: :math:`\exp H(\sigma/\sum\sigma)` (Roy & Vetterli 2007, EUSIPCO);
- `participation_ratio`: :math:`(\sum\lambda)^2/\sum\lambda^2`;
- `stable_rank`: :math:`\sum\lambda/\lambda_1` (Rudelson & Vershynin 2007, J. ACM 54);
- `marchenko_pastur`: number beyond the noise edge, `gavish_donoho`: beyond the optimal hard
  threshold (both in `noise.py`); for covariances only, since an averaged derivative form is not a
  covariance of noisy samples.

**Sampling floor.** n samples about their mean span n - 1 dimensions, so a covariance has a null
fraction of at least :math:`\max(0, 1 - (n-1)/d)` whatever the model. An averaged output form also
has one, which follows from the ranks of its prompts' forms: see `floors.py`.

**Nothing found.** The two noise-aware estimators separate a leading subspace from directions that
are indistinguishable from isotropic noise. When no direction exceeds the noise, there is no
subspace in which the activations vary less than elsewhere: the covariance is that of full-rank
isotropic data, the null space is empty apart from directions that are exactly constant, and `found`
is False.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from steer_assets.geometry.null_spaces.noise import hard_threshold
from steer_assets.geometry.null_spaces.spectra import Spectrum


@dataclass(frozen=True)
class NullSpace:
    """The null space by one estimator.

    threshold: the estimator's parameter: fraction of the largest singular value, share of variance,
        or singular value of the noise edge; 0.0 for effective ranks, which have none.
    value: the rank as a real number (an integer except for effective ranks; directions beyond the
        edge for the noise-aware estimators, which may be 0).
    rank, null_dim: integers that sum to ambient_dim; rank rounds `value` up.
    null_fraction: null_dim / ambient_dim.
    sampling_floor: null fraction that the number of prompts gives any model; None where no bound is
        known.
    found: False when a noise-aware estimator finds no direction above the noise.
    """

    estimator: str
    threshold: float
    ambient_dim: int
    rank: int
    null_dim: int
    null_fraction: float
    sampling_floor: float | None
    value: float
    found: bool = True


def above_fraction(spectrum: Spectrum, fraction: float) -> int:
    """Number of singular values above `fraction` of the largest."""
    sigma = spectrum.singular_values
    return int((sigma > fraction * sigma[0]).sum())


def variance_rank(spectrum: Spectrum, share: float) -> int:
    """Fewest leading axes that hold `share` of the variance."""
    # The last partial sum may be slightly below 1 by rounding, as may the target.
    return int(np.searchsorted(spectrum.cumulative_variance, share - 1e-12) + 1)


def entropy_rank(spectrum: Spectrum) -> float:
    """Exponential of the Shannon entropy of the normalised singular values."""
    share = spectrum.singular_values / spectrum.singular_values.sum()
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def participation_ratio(spectrum: Spectrum) -> float:
    """(sum of eigenvalues)^2 / sum of their squares."""
    return float(1.0 / (spectrum.explained_variance**2).sum())


def stable_rank(spectrum: Spectrum) -> float:
    """Sum of eigenvalues over the largest."""
    return float(1.0 / spectrum.explained_variance[0])


def hard_threshold_edge(spectrum: Spectrum) -> float:
    """Gavish-Donoho threshold of a covariance spectrum, as a singular value."""
    return float(np.sqrt(hard_threshold(spectrum.eigenvalues, spectrum.n_samples - 1)))


EFFECTIVE_RANKS: dict[str, Callable[[Spectrum], float]] = {
    "entropy_rank": entropy_rank,
    "participation_ratio": participation_ratio,
    "stable_rank": stable_rank,
}
NOISE_EDGES: dict[str, Callable[[Spectrum], float]] = {
    "marchenko_pastur": lambda spectrum: float(spectrum.noise_edge or 0.0),
    "gavish_donoho": hard_threshold_edge,
}
FRACTIONS = {"sigma_1pct": 0.01, "sigma_5pct": 0.05}
VARIANCES = {"variance_95": 0.95, "variance_99": 0.99}
#: An effective rank of exactly k may be computed as k + 1e-15, which must not round up to k + 1.
ROUNDING = 1e-9


def covariance_floor(n_samples: int, ambient_dim: int) -> float:
    """Null fraction that `n_samples` about their mean force on any covariance."""
    return max(0.0, 1.0 - (n_samples - 1) / ambient_dim)


def null_spaces(
    spectrum: Spectrum, floors: Mapping[str, float | None] | None = None
) -> list[NullSpace]:
    """Every estimator's null space of `spectrum`.

    The noise-aware estimators are included where the spectrum has a noise edge.
    floors: sampling floor by estimator (`floors.part_floors`); estimators not in it have no known
        floor. If omitted, a covariance of independent samples has `covariance_floor`; for other
        spectra the floor is unknown.
    """
    independent = spectrum.noise_edge is not None
    if floors is None:
        shared = covariance_floor(spectrum.n_samples, spectrum.ambient_dim) if independent else None
        floors = dict.fromkeys([*FRACTIONS, *VARIANCES, *EFFECTIVE_RANKS, *NOISE_EDGES], shared)
    answers = [
        _answer(spectrum, name, fraction, above_fraction(spectrum, fraction), floors.get(name))
        for name, fraction in FRACTIONS.items()
    ]
    answers += [
        _answer(spectrum, name, share, variance_rank(spectrum, share), floors.get(name))
        for name, share in VARIANCES.items()
    ]
    answers += [
        _answer(spectrum, name, 0.0, effective(spectrum), floors.get(name))
        for name, effective in EFFECTIVE_RANKS.items()
    ]
    if independent:
        answers += [
            _noise_aware(spectrum, name, edge(spectrum), floors.get(name))
            for name, edge in NOISE_EDGES.items()
        ]
    return answers


def rank(spectrum: Spectrum, estimator: str) -> int:
    """Rank by one named estimator. Raises `ValueError` naming the known ones."""
    for answer in null_spaces(spectrum):
        if answer.estimator == estimator:
            return answer.rank
    known = [*FRACTIONS, *VARIANCES, *EFFECTIVE_RANKS, *NOISE_EDGES]
    raise ValueError(f"unknown rank estimator {estimator!r}; known: {', '.join(known)}")


def _answer(
    spectrum: Spectrum, name: str, threshold: float, value: float, floor: float | None
) -> NullSpace:
    d = spectrum.ambient_dim
    whole = min(int(np.ceil(value - ROUNDING)), d)
    return NullSpace(name, threshold, d, whole, d - whole, (d - whole) / d, floor, float(value))


def _noise_aware(spectrum: Spectrum, name: str, edge: float, floor: float | None) -> NullSpace:
    d = spectrum.ambient_dim
    beyond = int((spectrum.singular_values > edge).sum())
    whole = beyond or _varying_directions(spectrum)
    return NullSpace(
        name, edge, d, whole, d - whole, (d - whole) / d, floor, float(beyond), found=beyond > 0
    )


def _varying_directions(spectrum: Spectrum) -> int:
    """Directions not shown to be constant: all, unless enough samples showed that fewer vary."""
    visible = min(spectrum.n_samples - 1, spectrum.ambient_dim)
    varying = int((spectrum.singular_values > 0).sum())
    return varying if varying < visible else spectrum.ambient_dim
