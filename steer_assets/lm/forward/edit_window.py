"""The part of a forward pass to which edits of the residual stream apply.

Edits are written for the steered positions of a batch's rows, [rows, positions, d]: one position if
every step feeds one token over cached states. If the whole sequence runs again, or rows run in
parts, a window selects the current positions and rows, so that edits do not depend on how the rows
are run. The window is local to a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

_current = threading.local()


@dataclass(frozen=True)
class Window:
    """Positions [rows, p] that edits apply to, and the rows' numbers in the batch; None for all.

    ``read`` [rows, r] are the positions whose logits are needed, ``edited`` [rows, p] those at
    which arms are added; None for all.
    """

    positions: Int[Tensor, "rows p"] | None = None
    rows: Int[Tensor, " rows"] | None = None
    read: Int[Tensor, "rows r"] | None = None
    edited: Bool[Tensor, "rows p"] | None = None

    def take(self, hidden: Float[Tensor, "rows t d"]) -> Float[Tensor, "rows p d"]:
        """The part of a residual stream that edits apply to."""
        return hidden if self.positions is None else _gather(hidden, self.positions)

    def put(
        self, hidden: Float[Tensor, "rows t d"], part: Float[Tensor, "rows p d"]
    ) -> Float[Tensor, "rows t d"]:
        """``hidden`` with that part replaced."""
        if self.positions is None:
            return part
        return hidden.scatter(1, _index(self.positions, hidden), part)

    def of_rows(self, values: Float[Tensor, "batch p d"]) -> Float[Tensor, "rows p d"]:
        """The values of the current rows, from values for the whole batch."""
        return values if self.rows is None else values[self.rows]

    def steered(
        self, hidden: Float[Tensor, "rows p d"], moved: Float[Tensor, "rows p d"]
    ) -> Float[Tensor, "rows p d"]:
        """``moved`` where arms are added, ``hidden`` elsewhere."""
        return moved if self.edited is None else torch.where(self.edited[:, :, None], moved, hidden)


_ALL = Window()


def current() -> Window:
    """The window of this thread; all positions and rows by default."""
    found: Window = getattr(_current, "window", _ALL)
    return found


@contextmanager
def looking_at(window: Window) -> Iterator[None]:
    """Apply edits to ``window`` in this thread."""
    before = current()
    _current.window = window
    try:
        yield
    finally:
        _current.window = before


def watch_head(head: nn.Module) -> None:
    """Make the unembedding compute logits only where the window needs them.

    The hook stays on the module, because adding and removing it would affect other threads.
    """
    if getattr(head, "_reads_window", False):
        return

    def read(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        wanted = current().read
        return None if wanted is None else (_gather(args[0], wanted), *args[1:])

    head.register_forward_pre_hook(read)
    vars(head)["_reads_window"] = True


def _gather(hidden: Tensor, positions: Tensor) -> Tensor:
    return hidden.gather(1, _index(positions, hidden))


def _index(positions: Tensor, hidden: Tensor) -> Tensor:
    return positions[:, :, None].expand(-1, -1, hidden.shape[2])


def row_parts(n_rows: int, size: int, device: torch.device) -> Iterator[Int[Tensor, " part"]]:
    """Row numbers in parts of at most ``size``."""
    yield from torch.arange(n_rows, device=device).split(max(1, size))
