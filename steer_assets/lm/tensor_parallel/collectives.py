"""Exchanges between the ranks of a model, with their derivatives in both modes.

A tensor is *whole* (equal on every rank, and so is its gradient), *partial* (the sum over ranks is
meant) or *split* (every rank has a part of the last axis). Each exchange is the transpose of one
of them, by which gradients go back (Shoeybi et al. 2019, arXiv 1909.08053):

===========  =================  ==========================
exchange     forward            gradient
===========  =================  ==========================
`summed`     partial to whole   as it is
`spread`     whole, as it is    summed, as each rank's is partial
`gathered`   split to whole     split
`split`      whole to split     gathered
===========  =================  ==========================

All four are linear, so tangents of forward mode are exchanged as values are. A batch of gradients
or tangents (vmap) is exchanged at once. Every rank must make the same exchanges in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor


def _sum(x: Tensor) -> Tensor:
    whole = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(whole)
    return whole


def _same(x: Tensor) -> Tensor:
    return x.view_as(x)


def _gather(x: Tensor) -> Tensor:
    own = x.contiguous()
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    return torch.cat(parts, dim=-1)


def _part(x: Tensor) -> Tensor:
    return x.chunk(dist.get_world_size(), dim=-1)[dist.get_rank()]


def _linear_map(
    run: Callable[[Tensor], Tensor], transposed: Callable[[Tensor], Tensor]
) -> type[torch.autograd.Function]:
    """An exchange as a function of autograd; nothing is kept, because it is linear."""

    class Exchange(torch.autograd.Function):
        @staticmethod
        def forward(x: Tensor) -> Tensor:
            return run(x)

        @staticmethod
        def setup_context(_ctx: Any, _inputs: Any, _output: Any) -> None:
            pass

        @staticmethod
        def backward(_ctx: Any, gradient: Tensor) -> Tensor:
            return transposed(gradient)

        @staticmethod
        def jvp(_ctx: Any, tangent: Tensor) -> Any:
            return Exchange.apply(tangent)

        @staticmethod
        def vmap(_info: Any, in_dims: tuple[int | None, ...], x: Tensor) -> tuple[Any, int | None]:
            (at,) = in_dims
            return (
                (Exchange.apply(x), None) if at is None else (Exchange.apply(x.movedim(at, 0)), 0)
            )

    return Exchange


_SUM: type[torch.autograd.Function] = _linear_map(_sum, lambda gradient: gradient)
_SPREAD: type[torch.autograd.Function] = _linear_map(
    _same, lambda gradient: _applied(_SUM, gradient)
)
_GATHER: type[torch.autograd.Function] = _linear_map(
    _gather, lambda gradient: _applied(_SPLIT, gradient)
)
_SPLIT: type[torch.autograd.Function] = _linear_map(
    _part, lambda gradient: _applied(_GATHER, gradient)
)


def _applied(exchange: type[torch.autograd.Function], x: Tensor) -> Tensor:
    found: Tensor = exchange.apply(x)
    return found


def summed(x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """The sum of all ranks' ``x``, on every rank."""
    # Without derivatives a function of autograd costs more than it gives, here as below.
    return _applied(_SUM, x) if torch.is_grad_enabled() else _sum(x)


def spread(x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """``x``, which is whole, for use by this rank's part of a weight."""
    return _applied(_SPREAD, x) if torch.is_grad_enabled() else x


def gathered(x: Float[Tensor, "*n part"]) -> Float[Tensor, "*n d"]:
    """The ranks' equal parts of the last axis, in order."""
    return _applied(_GATHER, x) if torch.is_grad_enabled() else _gather(x)


def split(x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n part"]:
    """This rank's part of the last axis."""
    return _applied(_SPLIT, x) if torch.is_grad_enabled() else _part(x)


def largest(x: Float[Tensor, ""]) -> float:
    """The largest of all ranks' values; infinite if one is no number."""
    found = torch.nan_to_num(x.detach().double(), nan=torch.inf)
    dist.all_reduce(found, op=dist.ReduceOp.MAX)
    return float(found)
