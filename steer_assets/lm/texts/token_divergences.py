r"""Log-probability of every token of texts under several arms, and its distribution's divergence.

.. math:: KL(p_t\|q_t) = \log E_{p_t} e^{\delta} - E_{p_t}\delta,\quad\delta = (z_q - z_p)/T

For divergences below ``_SMALL`` it is computed as :math:`\log(1 + E_p[e^{\delta'} - 1 - \delta'])`
with centred :math:`\delta'`, whose terms are not negative, so that no digits cancel.

``blocks`` are (first row, tokens, arms) of every text, whose rows are those of its tokens under its
own arm, then under each other arm.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steer_assets.lm.decoding.sampling import Sampling, log_distribution
from steer_assets.lm.texts.vocabulary import Scores, excess, totals_and_means

_SMALL = 1e-3  # nats a token
_STEEPEST = 80.0  # of delta where a divergence is small: its exponential is finite in float32


def _own_rows(blocks: Sequence[tuple[int, int, int]], device: torch.device) -> Int[Tensor, " n"]:
    """For every row, the row of its token under the text's own arm."""
    every = [
        torch.arange(start, start + n, device=device).repeat(arms) for start, n, arms in blocks
    ]
    return torch.cat(every)


def of_everything(
    scores: Scores, targets: Int[Tensor, " n"], blocks: Sequence[tuple[int, int, int]]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """log_p and kl of every row, over the whole vocabulary; float64."""
    n, device = len(targets), targets.device
    total, mean = totals_and_means(scores, blocks, n, device)
    own = _own_rows(blocks, device)
    kl = total - total[own] - mean
    rows = torch.arange(n, device=device)
    small = ((kl < _SMALL) & (own != rows)).nonzero()[:, 0]
    if len(small):
        of = own[small]
        terms = excess(scores.rows(of), scores.rows(small), total[of], mean[small], _STEEPEST)
        kl[small] = terms.log1p()
    kl.clamp_min_(0.0)[own == rows] = 0.0
    return scores.at(targets).double() - total, kl


def in_nuclei(
    logits: Float[Tensor, "n v"],
    targets: Int[Tensor, " n"],
    blocks: Sequence[tuple[int, int, int]],
    sampling: Sampling,
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """As `of_everything`, where a divergence is infinite if q cannot give a token that p can."""
    log_q = log_distribution(logits, sampling.temperature, sampling.top_p)
    kl = torch.cat([
        _kl(log_q[start : start + n], log_q[start + n * arm : start + n * (arm + 1)])
        for start, n, arms in blocks
        for arm in range(arms)
    ])  # fmt: skip
    return log_q.gather(1, targets[:, None])[:, 0].double(), kl


def _kl(log_p: Float[Tensor, "t v"], log_q: Float[Tensor, "t v"]) -> Float[Tensor, " t"]:
    """KL(p || q) of every row; infinite where q cannot give a token that p can."""
    inside = log_p > -torch.inf
    terms = log_p.exp().double() * (log_p.double() - log_q.double())
    return terms.masked_fill(~inside, 0.0).sum(dim=1).clamp_min(0.0)
