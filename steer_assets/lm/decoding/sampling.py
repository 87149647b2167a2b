"""Token selection from logits: greedy, or by an exponential race with given noise.

With E_i independent standard exponentials, argmin_i E_i / p_i has distribution p (the
exponential-race form of Gumbel-max; Maddison, Tarlow & Minka 2014, arXiv 1411.0030). In the log
domain: argmax_i z_i - T log E_i. Neither a softmax nor a sort is needed; the nucleus (top-p,
Holtzman et al. 2020) is found by a partial sort, if requested.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How to sample: ``temperature`` 0 is greedy; ``top_p`` 1 keeps the whole vocabulary."""

    max_new_tokens: int
    n_samples: int = 1
    temperature: float = 0.8
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.n_samples < 1 or self.seed < 0:
            raise ValueError(
                f"max_new_tokens {self.max_new_tokens} and n_samples {self.n_samples} must be at "
                f"least 1, seed {self.seed} at least 0"
            )
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                f"temperature {self.temperature} must be at least 0, top_p {self.top_p} above 0 "
                "and at most 1"
            )


class Drawn(NamedTuple):
    """One token per row, and its log-probability (nats, float64) under the sampled distribution."""

    tokens: Int[Tensor, " rows"]
    log_p: Float[Tensor, " rows"]


def greedy(logits: Float[Tensor, "rows v"]) -> Drawn:
    """The most likely token of each row, with its probability under softmax(logits)."""
    tokens = logits.argmax(dim=-1)
    chosen = logits.gather(-1, tokens[:, None])[:, 0]
    return Drawn(tokens, (chosen.float() - logits.float().logsumexp(dim=-1)).double())


def race(
    logits: Float[Tensor, "rows v"],
    gumbel: Float[Tensor, "keys v"],
    key_of_row: Int[Tensor, " rows"],
    temperature: float,
    top_p: float,
) -> Drawn:
    """Sample each row with the noise of its key; ``gumbel`` is -log of standard exponentials.

    Log-probabilities are those of the sampled distribution: softmax(logits / temperature),
    restricted to the nucleus and renormalised if ``top_p`` is below 1.
    """
    if top_p < 1.0:
        return _race_in_nucleus(logits.float(), gumbel, key_of_row, temperature, top_p)
    if logits.device.type != "cpu":
        scaled = logits.float() / temperature
        tokens = gumbel[key_of_row].add_(scaled).argmax(dim=-1)
        return Drawn(tokens, _log_p(scaled, tokens))
    # One row of scores fits the processor's cache, which takes half the time of the whole table.
    scores = torch.empty_like(gumbel[0])
    view = scores.numpy()  # numpy's argmax is eight times as fast as torch's
    winners, log_p = [], []
    for row, key in enumerate(key_of_row.tolist()):
        own = logits[row].float()
        torch.add(gumbel[key], own, alpha=1 / temperature, out=scores)
        winners.append(int(view.argmax()))
        highest = float(own.numpy().max())
        # Subtracting the maximum first keeps the largest terms exact.
        total = torch.sub(own, highest, out=scores).mul_(1 / temperature).exp_().sum()
        log_p.append((float(own[winners[-1]]) - highest) / temperature - math.log(float(total)))
    return Drawn(torch.tensor(winners), torch.tensor(log_p, dtype=torch.float64))


def _race_in_nucleus(
    logits: Float[Tensor, "rows v"],
    gumbel: Float[Tensor, "keys v"],
    key_of_row: Int[Tensor, " rows"],
    temperature: float,
    top_p: float,
) -> Drawn:
    index, inside = nucleus(logits, temperature, top_p)
    scaled = (logits.gather(-1, index) / temperature).masked_fill(~inside, -torch.inf)
    # Masked after the noise is added, so that no noise value can select a token outside the
    # nucleus.
    noise = gumbel[key_of_row[:, None], index]
    winners = (scaled + noise).masked_fill(~inside, -torch.inf).argmax(dim=-1)
    tokens = index.gather(-1, winners[:, None])[:, 0]
    return Drawn(tokens, _log_p(scaled, winners))


def _log_p(scaled: Float[Tensor, "rows v"], at: Int[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    chosen = scaled.gather(-1, at[:, None])[:, 0].double()
    return chosen - scaled.logsumexp(dim=-1).double()


def nucleus(
    logits: Float[Tensor, "rows v"], temperature: float, top_p: float
) -> tuple[Int[Tensor, "rows n"], Bool[Tensor, "rows n"]]:
    """The smallest set of tokens with probability ``top_p``.

    Returns tokens by descending probability, and whether each is inside; the first always is.

    A token is in the set while the total of the more likely ones is below ``top_p``.
    """
    probabilities = torch.softmax(logits / temperature, dim=-1)
    size = min(128, logits.shape[-1])
    while True:
        top, index = probabilities.topk(size, dim=-1)
        before = top.cumsum(-1) - top
        if size == logits.shape[-1] or bool((before[:, -1] >= top_p).all()):
            return index, before < top_p
        size = min(4 * size, logits.shape[-1])


def log_distribution(
    logits: Float[Tensor, "rows v"], temperature: float, top_p: float
) -> Float[Tensor, "rows v"]:
    """Log-probabilities (nats) that tokens are sampled with, float32; minus infinity outside.

    Differentiable by the logits at a fixed nucleus. Raises ValueError for temperature 0, which
    samples nothing.
    """
    if temperature <= 0:
        raise ValueError("at temperature 0 a text is not sampled, and has no probability")
    scaled = logits.float() / temperature
    if top_p < 1.0:
        index, inside = nucleus(logits.detach().float(), temperature, top_p)
        kept = torch.zeros_like(scaled, dtype=torch.bool).scatter(-1, index, inside)
        scaled = scaled.masked_fill(~kept, -torch.inf)
    return scaled - scaled.logsumexp(dim=-1, keepdim=True)
