"""Backward passes: the derivative of one final state by earlier ones, many rows at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Gradients = tuple[Tensor, ...]


def jacobian(
    final: Tensor,
    states: list[Tensor],
    row_chunk: int | None,
    gradients: Callable[[Tensor, list[Tensor], Tensor], Gradients],
) -> list[Tensor]:
    """The derivative [e, d] of ``final`` [e] by every state; ``gradients`` takes rows at once."""
    size = len(final)
    identity = torch.eye(size, dtype=final.dtype, device=final.device)
    try:
        parts = [gradients(final, states, rows) for rows in identity.split(row_chunk or size)]
    except (NotImplementedError, RuntimeError):
        # other architectures' backward passes may support only one row at a time
        parts = [_backward(final, states, row) for row in identity]
    return [torch.cat(rows).reshape(size, -1) for rows in zip(*parts, strict=True)]


def _backward(
    final: Tensor, states: list[Tensor], rows: Tensor, *, batched: bool = False
) -> Gradients:
    """Gradients of ``rows @ final`` by every state, for one row or, ``batched``, a matrix."""
    return torch.autograd.grad(
        final,
        states,
        grad_outputs=rows,
        is_grads_batched=batched,
        retain_graph=True,
        materialize_grads=True,
    )


def batched(final: Tensor, states: list[Tensor], rows: Float[Tensor, "n e"]) -> Gradients:
    """Gradients of every row, [n, ...] by state, in one backward pass."""
    return _backward(final, states, rows, batched=True)


def batched_over_ranks(
    final: Tensor, states: list[Tensor], rows: Float[Tensor, "n e"]
) -> Gradients:
    """The same by the vmap that knows how a batch is exchanged between ranks."""
    found: Gradients = torch.vmap(lambda row: _backward(final, states, row))(rows)
    return found
