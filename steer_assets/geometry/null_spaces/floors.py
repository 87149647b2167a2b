r"""Sampling floors: the null fraction that a number of prompts gives any model.

**Covariance.** n samples about their mean span n - 1 dimensions, so every rank estimator is at most
n - 1 and the null fraction at least :math:`\max(0, 1 - (n-1)/d)`.

**Averaged forms.** A Jacobian Gram or Fisher pullback averaged over n prompts, and the scatter of
all tokens of n prompts, are sums of positive semidefinite parts :math:`G = \sum_i G_i`. The
spectrum of G is bounded by those of the parts, for any relative position of their subspaces: with
:math:`A = [G_1^{1/2} \dots G_n^{1/2}]`, G = AA' has the non-zero eigenvalues of A'A, whose diagonal
blocks are the :math:`G_i`, so that they majorise the pooled eigenvalues of the parts (Fan 1949,
PNAS 35, 652; Marshall, Olkin & Arnold 2011, *Inequalities*, 9.C.1). With :math:`r_i` the rank of
:math:`G_i` by the same estimator q, :math:`T_i` its trace and :math:`\mu_i` its largest eigenvalue:

- `variance_95`, `variance_99`: the span of the first :math:`r_i` axes of every part has at most
  :math:`\sum_i r_i` dimensions and holds at least q of every :math:`T_i`, hence of the trace of G;
  by Ky Fan so do the first :math:`\sum_i r_i` axes of G. Null fraction at least :math:`\max(0, 1 -
  \sum_i r_i/d)`. Mutually orthogonal parts attain it.
- `participation_ratio`: :math:`T^2/\sum\lambda^2` is Schur-concave, hence at most that of the
  pooled eigenvalues, which is at most :math:`\sum_i r_i` (Cauchy-Schwarz). The same floor.
- `stable_rank`: :math:`\lambda_1(G) \ge \max_i\mu_i`, hence
  :math:`T/\lambda_1(G) \le \sum_i T_i/\mu_i`. The same floor.
- `sigma_1pct`, `sigma_5pct` (fraction f): the parts' own counts bound nothing, for n small
  eigenvalues may add up to one above the threshold. Counted above
  :math:`f^2\max_i\mu_i/n` instead, giving :math:`s_i`, Weyl's inequality leaves
  :math:`\lambda_{1+\sum s_i}(G) \le f^2\max_i\mu_i \le f^2\lambda_1(G)`. Floor
  :math:`1 - \sum_i s_i/d` where that is positive; otherwise no bound is known.
- `entropy_rank`: the entropy of singular values is not Schur-concave in the eigenvalues. For every
  k, the share of singular values within the first k axes is at least
  :math:`m_k = 1/(1 + \sqrt{(d-k)\tau_k/(1-\tau_k)})`, :math:`\tau_k` the pooled eigenvalues' share
  of trace beyond k (Ky Fan and Cauchy-Schwarz); with it the entropy is at most
  :math:`h(m_k) + m_k\log k + (1-m_k)\log(d-k)` as long as :math:`m_k \ge k/d`. Floor from the
  smallest of these where it is positive; otherwise no bound is known.

With one part every floor is that part's own null fraction. An unknown floor is None, because 0
would mean that no null fraction is forced.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from steer_assets.geometry.errors import GeometryError, ShapeError, TooFewSamplesError
from steer_assets.geometry.null_spaces import ranks
from steer_assets.geometry.null_spaces.spectra import Spectrum, values_only
from steer_assets.geometry.validation import as_vector

#: Floor by estimator; None where no bound is known.
Floors = dict[str, float | None]
#: Estimators of a sum that are at most the sum of those of its parts.
ADDITIVE = ("variance_95", "variance_99", "participation_ratio", "stable_rank")

Eigenvalues = Float[np.ndarray, " k"]


def part_floors(parts: Sequence[Eigenvalues], ambient_dim: int) -> Floors:
    """Floor by estimator of a sum or average of positive semidefinite parts.

    parts: eigenvalues [k_i] of each part in any order, k_i <= ambient_dim; those left out are zero.
    Parts of zero trace add nothing. Raises `TooFewSamplesError` when no part has a trace,
    `ShapeError` for more eigenvalues than dimensions, `GeometryError` for a negative one.
    """
    spectra = [_spectrum(values, ambient_dim) for values in parts]
    spectra = [spectrum for spectrum in spectra if spectrum.singular_values[0] > 0]
    if not spectra:
        raise TooFewSamplesError("a floor needs at least 1 prompt whose form is not zero, got 0")
    own = [{space.estimator: space for space in ranks.null_spaces(s, {})} for s in spectra]
    if len(own) == 1:
        return {name: space.null_fraction for name, space in own[0].items()}
    floors: Floors = {
        name: max(0.0, 1 - sum(spaces[name].rank for spaces in own) / ambient_dim)
        for name in ADDITIVE
    }
    for name, fraction in ranks.FRACTIONS.items():
        floors[name] = _fraction_floor(spectra, fraction)
    return floors | {"entropy_rank": _entropy_floor(spectra)}


def form_eigenvalues(form: Float[np.ndarray, "d d"]) -> Float[np.ndarray, " d"]:
    """Eigenvalues [d] of one prompt's form, descending; rounding below zero is zero."""
    return np.asarray(np.maximum(np.linalg.eigvalsh(form)[::-1], 0.0))


def _spectrum(values: Eigenvalues, d: int) -> Spectrum:
    given = np.sort(as_vector(values, "eigenvalues"))[::-1]
    if given.shape[0] > d:
        raise ShapeError(f"{given.shape[0]} eigenvalues in {d} dimensions")
    if given.size and given[-1] < 0:
        raise GeometryError(f"a form has the eigenvalue {given[-1]:.3g}: take its positive part")
    return values_only(np.concatenate([given, np.zeros(d - given.shape[0])]))


def _fraction_floor(spectra: Sequence[Spectrum], fraction: float) -> float | None:
    """Floor of the number of singular values above a fraction of the largest (Weyl)."""
    d = spectra[0].ambient_dim
    largest = max(float(s.singular_values[0]) for s in spectra)
    threshold = fraction * largest / np.sqrt(len(spectra))
    bound = sum(int((s.singular_values > threshold).sum()) for s in spectra)
    return 1 - bound / d if bound < d else None


def _entropy_floor(spectra: Sequence[Spectrum]) -> float | None:
    """Floor of the entropy rank from the pooled eigenvalues' tails."""
    d = spectra[0].ambient_dim
    pooled = np.sort(np.concatenate([s.eigenvalues for s in spectra]))[::-1]
    k = np.arange(1, d)
    head = np.minimum(np.cumsum(pooled)[: d - 1] / pooled.sum(), 1.0)
    m = 1 / (1 + np.sqrt((d - k) * (1 - head) / head))
    kept = m >= k / d
    if not kept.any():
        return None
    k, m = k[kept], m[kept]
    outside = np.where(m < 1, (1 - m) * np.log((d - k) / np.where(m < 1, 1 - m, 1.0)), 0.0)
    entropy = float((m * np.log(k / m) + outside).min())
    bound = int(np.ceil(np.exp(entropy) - ranks.ROUNDING))
    return 1 - bound / d if bound < d else None
