r"""Sums over the vocabulary, part by part, so that no table of logits is written and read again.

A token's logits are ``W f + b`` of the final state f. Their sums need each logit once: a part of
the vocabulary is multiplied out, added to the running sums and dropped, as attention is computed in
parts (Milakov & Gimelshein 2018, arXiv 1805.02867; the same for a loss: Wijmans et al. 2024, arXiv
2411.09009). With :math:`z = (W f + b)/T` the sums give the log-normaliser and the divergence
between two distributions, and the gradient of a token's log-probability by its final state,

.. math:: \nabla_f \log p_i = (w_i - \textstyle\sum_j p_j w_j)/T .

A model whose head does more (soft-capping, scaling) gives whole logits instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import linear

from steer_assets.lm.decoding.sampling import Sampling
from steer_assets.lm.forward.stepping import shares_prefixes
from steer_assets.lm.model import LanguageModel, tried_once

_ELEMENTS = 2**19  # of a part: its passes stay in the processor's cache
_NARROWEST, _WIDEST = 256, 4096  # tokens of a part, for the rate of the matrix product
_LARGE = 100.0  # logits of the trial, where capping would show


def in_parts(lm: LanguageModel, sampling: Sampling) -> bool:
    """Whether a token's distribution needs no whole row of logits.

    A nucleus is found in whole rows. The model is tried once, to see whether its logits are the
    unembedding of the final state; call this before hooks are set.
    """
    if sampling.top_p < 1.0 or not shares_prefixes(lm):
        return False
    return tried_once(lm, "_plain_head", lambda: _is_plain(lm))


@torch.inference_mode()
def _is_plain(lm: LanguageModel) -> bool:
    head, expected = lm.layout.head, []

    def enlarged(_module: object, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        logits = linear(args[0], head.weight, head.bias)
        hidden = args[0] * (_LARGE / float(logits.abs().max()))
        expected.append(linear(hidden, head.weight, head.bias))
        return (hidden, *args[1:])

    handle = head.register_forward_pre_hook(enlarged)
    try:
        ids = lm.tensor([[5 % lm.vocab_size, 3 % lm.vocab_size]])
        found = lm.model(input_ids=ids, use_cache=False).logits
    finally:
        handle.remove()
    tolerance = 1e-5 if lm.torch_dtype.itemsize >= 4 else 1e-2
    return len(expected) == 1 and torch.allclose(
        found.float(), expected[0].float(), rtol=tolerance, atol=tolerance * _LARGE
    )


class Scores(Protocol):
    """Logits of n tokens over the temperature."""

    def parts(self) -> Iterator[Float[Tensor, "n c"]]:
        """Parts of the vocabulary in order, at least float32; the caller may overwrite them."""
        ...

    def at(self, targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The score of one token of each row."""
        ...

    def rows(self, rows: Int[Tensor, " m"]) -> Scores:
        """Scores of some of the rows."""
        ...


class FinalStates(Scores):
    """Scores from the final states [n, d] of a model with a plain head."""

    def __init__(self, lm: LanguageModel, hidden: Float[Tensor, "n d"], temperature: float) -> None:
        self._lm, self._hidden, self._temperature = lm, hidden, temperature

    def parts(self) -> Iterator[Float[Tensor, "n c"]]:
        """Parts of the vocabulary in order."""
        for weight, bias in _pieces(self._lm, len(self._hidden)):
            yield linear(self._hidden, weight, bias).float().mul_(1 / self._temperature)

    def at(self, targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The score of one token of each row."""
        head = self._lm.layout.head
        scores = (self._hidden.float() * head.weight[targets].float()).sum(dim=1)
        if head.bias is not None:
            scores += head.bias[targets]
        return scores / self._temperature

    def rows(self, rows: Int[Tensor, " m"]) -> Scores:
        """Scores of some of the rows."""
        return FinalStates(self._lm, self._hidden[rows], self._temperature)


class Logits(Scores):
    """Scores from whole logits [n, v]."""

    def __init__(self, logits: Float[Tensor, "n v"], temperature: float) -> None:
        self._logits, self._temperature = logits, temperature

    def parts(self) -> Iterator[Float[Tensor, "n c"]]:
        """Parts of the vocabulary in order."""
        for part in self._logits.split(_width(len(self._logits)), dim=1):
            yield part.float() / self._temperature

    def at(self, targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The score of one token of each row."""
        return self._logits.gather(1, targets[:, None])[:, 0].float() / self._temperature

    def rows(self, rows: Int[Tensor, " m"]) -> Scores:
        """Scores of some of the rows."""
        return Logits(self._logits[rows], self._temperature)


def _width(n: int) -> int:
    return max(_NARROWEST, min(_WIDEST, _ELEMENTS // max(1, n)))


def _pieces(lm: LanguageModel, n: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    head = lm.layout.head
    weights = head.weight.detach().split(_width(n))
    biases: Sequence[Tensor | None] = [None] * len(weights)
    if head.bias is not None:
        biases = head.bias.detach().split(_width(n))
    yield from zip(weights, biases, strict=True)


class _Running:
    """Sums of exp(score - highest so far), and what is weighted by them, for n rows."""

    def __init__(self, n: int, device: torch.device) -> None:
        self.highest = torch.full((n,), -torch.inf, device=device)
        self.sum = torch.zeros(n, dtype=torch.float64, device=device)

    def add(self, part: Float[Tensor, "n c"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n c"]]:
        """The factor of sums so far, and the part's weights exp(score - highest)."""
        before = self.highest.to(part.dtype)
        self.highest = torch.maximum(before, part.amax(dim=1))
        factor = (before - self.highest).exp_()
        weights = (part - self.highest[:, None]).exp_()
        self.sum = self.sum * factor + weights.sum(dim=1)
        return factor, weights

    @property
    def total(self) -> Float[Tensor, " n"]:
        """Logarithm of the sum of exp(score), float64."""
        return self.highest.double() + self.sum.log()


def totals_and_means(
    scores: Scores, blocks: Sequence[tuple[int, int, int]], n: int, device: torch.device
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Log-normaliser of each row, and E_p of its score minus that of p; float64 [n].

    blocks: (first row, tokens, arms) of every text, whose rows are those of its tokens under its
    own arm, which is p, then under each other arm.
    """
    running, means = _Running(n, device), torch.zeros(n, dtype=torch.float64, device=device)
    for part in scores.parts():
        factor, weights = running.add(part)
        for start, tokens, arms in blocks:
            own, end = slice(start, start + tokens), start + tokens * arms
            if arms == 1:
                continue
            apart = part[start + tokens : end].view(arms - 1, tokens, -1).sub_(part[own])
            more = apart.mul_(weights[own]).sum(dim=2).reshape(-1)
            shrunk = factor[own].repeat(arms - 1)
            means[start + tokens : end] = means[start + tokens : end] * shrunk + more
    for start, tokens, arms in blocks:
        own, end = slice(start, start + tokens), start + tokens * arms
        means[start + tokens : end] /= running.sum[own].repeat(arms - 1)
    return running.total, means


def excess(
    own: Scores,
    other: Scores,
    total: Float[Tensor, " n"],
    mean: Float[Tensor, " n"],
    steepest: float,
) -> Float[Tensor, " n"]:
    """E_p[exp(x) - 1 - x] of x = other - own - mean, float64 [n]; x is cut at ``steepest``.

    total: log-normaliser of ``own``.
    """
    found = torch.zeros_like(total)
    for p, q in zip(own.parts(), other.parts(), strict=True):
        x = q.sub_(p).sub_(mean[:, None].to(p.dtype)).clamp_max_(steepest)
        terms = torch.expm1(x).sub_(x).mul_(p.sub_(total[:, None].to(p.dtype)).exp_())
        found += terms.sum(dim=1)
    return found


@torch.no_grad()
def slopes(
    lm: LanguageModel,
    hidden: Float[Tensor, "n d"],
    targets: Int[Tensor, " n"],
    temperature: float,
) -> Float[Tensor, "n d"]:
    """Gradient of the log-probability of every target by its final state; for a plain head."""
    running, mean = _Running(len(hidden), hidden.device), torch.zeros_like(hidden)
    for weight, bias in _pieces(lm, len(hidden)):
        factor, weights = running.add(linear(hidden, weight, bias).mul_(1 / temperature))
        mean.mul_(factor[:, None]).addmm_(weights, weight)
    mean.div_(running.sum[:, None])
    return (lm.layout.head.weight[targets] - mean).mul_(1 / temperature)
