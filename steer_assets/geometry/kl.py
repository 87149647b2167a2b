r"""Distances between next-token distributions, in nats (natural logarithms).

The measured divergence is summed as :math:`\sum_i p_i(e^{\delta_i} - 1 - \delta_i)` with
:math:`\delta = \log q - \log p`. It equals :math:`\sum_i p_i\log(p_i/q_i)` because p and q both sum
to one, and every term is non-negative, so divergences far below 1e-16 keep their leading digits.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import log_softmax

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
    log_p = log_softmax(origin)
    top = _top(origin)
    columns: dict[str, list[float]] = {
        name: [] for name in ("l2", "kl", "js", "top1_agreement", "top10_overlap")
    }
    # Row by row: all arms in float64 for a vocabulary of 10^5 tokens would not fit in caches.
    for row in logits:
        arm = row.astype(np.float64)
        log_q = log_softmax(arm)
        log_mid = np.logaddexp(log_p, log_q) - np.log(2.0)
        columns["l2"].append(float(np.linalg.norm(arm - origin)))
        columns["kl"].append(_kl(log_p, log_q))
        columns["js"].append(0.5 * (_kl(log_p, log_mid) + _kl(log_q, log_mid)))
        columns["top1_agreement"].append(float(arm.argmax() == origin.argmax()))
        columns["top10_overlap"].append(float(np.isin(_top(arm), top).mean()))
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


def kl_from(
    logits: Float[np.ndarray, "m V"], reference: Float[np.ndarray, " V"]
) -> Float[np.ndarray, " m"]:
    """KL(reference || arm) [m] in nats of arms' logits [m, V]; infinite where they are not finite.

    The same numbers as `distances` has, without its other columns. Raises `ShapeError`,
    `NotFiniteError` for the reference.
    """
    log_p = log_softmax(as_vector(reference, "reference logits"))
    if logits.ndim != 2 or logits.shape[1] != len(log_p):
        raise ShapeError(f"logits must be [arms, {len(log_p)}], got shape {logits.shape}")
    found = np.full(len(logits), np.inf)
    for i, row in enumerate(logits):
        if np.isfinite(row).all():
            found[i] = _kl(log_p, log_softmax(row.astype(np.float64)))
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


def _kl(log_p: Float[np.ndarray, " V"], log_q: Float[np.ndarray, " V"]) -> float:
    """KL(p || q) in nats from log probabilities."""
    delta = log_q - log_p
    p = np.exp(log_p)
    near = np.abs(delta) < 0.5
    # For distant distributions p e^delta is computed as q, which avoids the overflow of e^delta.
    far = np.exp(log_q) - p - p * delta
    small = np.where(near, delta, 0.0)
    return max(float(np.where(near, p * (np.expm1(small) - small), far).sum()), 0.0)


def _top(logits: Float[np.ndarray, " V"]) -> np.ndarray:
    """Indices of the `TOP` largest logits."""
    k = min(TOP, logits.shape[0])
    return np.argpartition(logits, -k)[-k:]
