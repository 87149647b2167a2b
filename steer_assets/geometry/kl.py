r"""Distances between next-token distributions, in nats (natural logarithms).

With :math:`\delta = \log q - \log p`, M and m the larger and the smaller of p and q, and
:math:`w = e^{-|\delta|} - 1`, so that m = M(1 + w), the divergences are sums over tokens of

.. math::
    KL(p || q): \quad (q - p) - p\delta, \qquad q - p = -\mathrm{sign}(\delta) M w

    2 JS(p, q): \quad -M [ (2 + w) \log(1 + w/2) + (1 + w) |\delta| ]

The first is :math:`p \log(p/q)` because p and q both sum to one; the second has the mean of p and q
as M(1 + w/2). Every term is non-negative and w does not overflow, so divergences far below 1e-16
keep their leading digits and distant distributions are finite.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from steer_assets.geometry.errors import ShapeError
from steer_assets.geometry.validation import as_vector, require_finite

# Tokens compared by `top10_overlap`, fewer where the vocabulary is smaller.
TOP = 10


def distances(
    logits: Float[np.ndarray, "m V"], reference: Float[np.ndarray, " V"]
) -> dict[str, Float[np.ndarray, " m"]]:
    """Distances of each arm's next-token logits [m, V] from `reference` [V], float64 [m] each.

    l2: Euclidean distance of the logits; kl: KL(reference || arm), nats; js: Jensen-Shannon
    divergence, nats, at most log 2; top1_agreement: 1.0 if the most likely token is the same;
    top10_overlap: share of the reference's ten most likely tokens among the arm's ten. Raises
    `ShapeError` for unequal vocabularies, `NotFiniteError`.
    """
    if logits.ndim != 2:
        raise ShapeError(f"logits must be [arms, vocabulary], got shape {logits.shape}")
    require_finite(logits, "logits")
    origin = as_vector(reference, "reference logits", width=logits.shape[1])
    start = _Distribution.of(origin)
    best, top = origin.argmax(), _top(origin)
    columns: dict[str, list[float]] = {
        name: [] for name in ("l2", "kl", "js", "top1_agreement", "top10_overlap")
    }
    # Row by row: all arms in float64 for a vocabulary of 10^5 tokens would not fit in caches.
    for row in logits:
        arm = row.astype(np.float64)
        apart = _Apart.between(start, _Distribution.of(arm))
        columns["l2"].append(float(np.linalg.norm(arm - origin)))
        columns["kl"].append(apart.kl)
        columns["js"].append(apart.js)
        columns["top1_agreement"].append(float(arm.argmax() == best))
        columns["top10_overlap"].append(float(np.isin(_top(arm), top).mean()))
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


def kl_from(
    logits: Float[np.ndarray, "m V"], reference: Float[np.ndarray, " V"]
) -> Float[np.ndarray, " m"]:
    """KL(reference || arm) [m] in nats of arms' logits [m, V]; infinite where they are not finite.

    The same numbers as `distances` has, without its other columns. Raises `ShapeError`,
    `NotFiniteError` for the reference.
    """
    start = _Distribution.of(as_vector(reference, "reference logits"))
    if logits.ndim != 2 or logits.shape[1] != len(start.p):
        raise ShapeError(f"logits must be [arms, {len(start.p)}], got shape {logits.shape}")
    found = np.full(len(logits), np.inf)
    for i, row in enumerate(logits):
        if np.isfinite(row).all():
            found[i] = _Apart.between(start, _Distribution.of(row.astype(np.float64))).kl
    return found


def isotropic_distances(
    l2: Float[np.ndarray, " m"],
    displacement: Float[np.ndarray, " m"],
    control: Bool[np.ndarray, " m"],
) -> Float[np.ndarray, " m"] | None:
    """Distance of logits [m] expected from the length of each step; None without a control.

    To first order :math:`|J e| = g|e|`, with one gain g in a model that responds equally to every
    direction. g is the mean of l2 over displacement of the steps that are a `control` (random
    directions), so that the result is g times each step's `displacement`. A vector in place of v
    lies sqrt 2 |v| from it and v + v_perp lies |v|: in an isotropic model the second distance is 1
    / sqrt 2 of the first (for a divergence, which is of second order, 1 / 2). Raises `ShapeError`
    for unequal lengths.
    """
    seen = as_vector(l2, "distances")
    lengths = as_vector(displacement, "displacements", width=seen.shape[0])
    chosen = np.asarray(control, dtype=bool) & (lengths > 0)
    if not chosen.any():
        return None
    return np.asarray(lengths * (seen[chosen] / lengths[chosen]).mean())


@dataclass(frozen=True, slots=True)
class _Distribution:
    """Probabilities [V] and their logarithms, in float64."""

    p: np.ndarray
    log_p: np.ndarray

    @classmethod
    def of(cls, logits: Float[np.ndarray, " V"]) -> "_Distribution":
        shifted = logits - logits.max()
        p = np.exp(shifted)
        total = p.sum()
        shifted -= np.log(total)
        p /= total
        return cls(p, shifted)


@dataclass(frozen=True, slots=True)
class _Apart:
    """Two distributions token by token, [V] each: p, delta, M and w of the module's formulas."""

    p: np.ndarray
    delta: np.ndarray
    larger: np.ndarray
    w: np.ndarray

    @classmethod
    def between(cls, first: _Distribution, second: _Distribution) -> "_Apart":
        delta = second.log_p - first.log_p
        w = np.expm1(-np.abs(delta))
        return cls(first.p, delta, np.maximum(first.p, second.p), w)

    @property
    def kl(self) -> float:
        """KL of the second from the first, KL(p || q)."""
        difference = np.copysign(self.larger * self.w, self.delta)
        return max(float((difference - self.p * self.delta).sum()), 0.0)

    @property
    def js(self) -> float:
        """Jensen-Shannon divergence, at most log 2."""
        w = self.w
        terms = (2.0 + w) * np.log1p(0.5 * w) + (1.0 + w) * np.abs(self.delta)
        return max(-0.5 * float((self.larger * terms).sum()), 0.0)


def _top(logits: Float[np.ndarray, " V"]) -> np.ndarray:
    """Indices of the `TOP` largest logits."""
    k = min(TOP, logits.shape[0])
    return np.argpartition(logits, -k)[-k:]
