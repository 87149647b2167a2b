"""Choose tokens from logits: greedy, or by an exponential race with given noise.

With E_i independent standard exponentials, argmin_i E_i / p_i has distribution p (the
exponential-race form of Gumbel-max; Maddison, Tarlow & Minka 2014, arXiv 1411.0030). In the log
domain: argmax_i z_i - T log E_i. Neither a softmax nor a sort is needed; the nucleus (top-p,
Holtzman et al. 2020) is found by a partial sort, where asked for.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def greedy(logits: Float[Tensor, "rows v"]) -> Int[Tensor, " rows"]:
    """The most likely token of each row."""
    return logits.argmax(dim=-1)


def race(
    logits: Float[Tensor, "rows v"],
    gumbel: Float[Tensor, "keys v"],
    key_of_row: Int[Tensor, " rows"],
    temperature: float,
    top_p: float,
) -> Int[Tensor, " rows"]:
    """Sample each row with the noise of its key; ``gumbel`` is -log of standard exponentials."""
    if top_p < 1.0:
        logits = within_nucleus(logits.float(), temperature, top_p)
    if logits.device.type != "cpu":
        return torch.add(logits.float(), gumbel[key_of_row], alpha=temperature).argmax(dim=-1)
    # Row by row the scores stay in the processor's cache: half the time of the whole table.
    scores = torch.empty_like(gumbel[0])
    view = scores.numpy()  # whose argmax is eight times as fast as the tensor's
    winners = torch.empty(len(logits), dtype=torch.int64)
    for row, key in enumerate(key_of_row.tolist()):
        torch.add(gumbel[key], logits[row], alpha=1 / temperature, out=scores)
        winners[row] = int(view.argmax())
    return winners


def within_nucleus(
    logits: Float[Tensor, "rows v"], temperature: float, top_p: float
) -> Float[Tensor, "rows v"]:
    """Logits with minus infinity outside the smallest set of tokens that holds ``top_p``.

    A token belongs to the set while the more likely ones hold less than ``top_p``.
    """
    probabilities = torch.softmax(logits / temperature, dim=-1)
    size = min(128, logits.shape[-1])
    while True:
        top, index = probabilities.topk(size, dim=-1)
        before = top.cumsum(-1) - top
        if size == logits.shape[-1] or bool((before[:, -1] >= top_p).all()):
            break
        size = min(4 * size, logits.shape[-1])
    kept = logits.gather(-1, index).masked_fill(before >= top_p, -torch.inf)
    return torch.full_like(logits, -torch.inf).scatter(-1, index, kept)
