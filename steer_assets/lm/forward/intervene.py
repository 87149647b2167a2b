"""Interventions on the residual stream: h_l <- h_l + sum of alpha * v, per row of a batch.

Activation addition (Turner et al. 2023, arXiv 2308.10248) at the output of block l. One batch may
mix vectors, layers and strengths: the sum that an arm adds at a layer is one row of a table on the
device in the model's dtype, and the hook of that block adds ``table[row]``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from steer_assets.lm.errors import InterventionError
from steer_assets.lm.forward.edit_window import current
from steer_assets.lm.layout import residual, with_residual
from steer_assets.lm.model import LanguageModel


@dataclass(frozen=True)
class Addition:
    """Add ``alpha`` times row ``vector`` of the vector table at the output of block ``layer``."""

    layer: int
    vector: int
    alpha: float


Arm = tuple[Addition, ...]
"""Additions of one arm; the empty tuple is the unsteered model."""


def check_layers(lm: LanguageModel, layers: Sequence[int]) -> None:
    """Raise InterventionError for a block that the model does not have."""
    for layer in layers:
        if not 0 <= layer < lm.n_layers:
            raise InterventionError(
                f"layer {layer} is out of range: the model has {lm.n_layers} blocks, "
                f"0 to {lm.n_layers - 1}"
            )


class ArmTable:
    """The sum that each arm adds at each layer: ``table[layer]`` is [n_arms, d] on the device.

    Sums are taken in float64 and rounded once to the model's dtype. Raises InterventionError for a
    layer, vector row or hidden size that does not fit the model, and for values that are not
    finite.
    """

    def __init__(
        self, lm: LanguageModel, arms: Sequence[Arm], vectors: Float[np.ndarray, "n d"] | None
    ) -> None:
        table = _vector_table(lm, vectors)
        sums: dict[int, Float[np.ndarray, "arms d"]] = {}
        for index, arm in enumerate(arms):
            check_layers(lm, [addition.layer for addition in arm])
            for addition in arm:
                if not 0 <= addition.vector < len(table):
                    raise InterventionError(
                        f"arm {index} names vector {addition.vector}, but the table has "
                        f"{len(table)} vectors"
                    )
                if not np.isfinite(addition.alpha):
                    raise InterventionError(f"arm {index} has alpha {addition.alpha}, not finite")
                at_layer = sums.setdefault(
                    addition.layer, np.zeros((len(arms), lm.hidden_size), dtype=np.float64)
                )
                at_layer[index] += addition.alpha * table[addition.vector]
        self.by_layer: dict[int, Float[Tensor, "arms d"]] = {
            layer: torch.from_numpy(total).to(lm.torch_device, lm.torch_dtype)
            for layer, total in sorted(sums.items())
        }

    def rows(self, arm_of_row: Tensor) -> dict[int, Float[Tensor, "rows 1 d"]]:
        """The vector added to each row of a batch, given the arm of each row."""
        return {layer: table[arm_of_row, None] for layer, table in self.by_layer.items()}


def _vector_table(
    lm: LanguageModel, vectors: Float[np.ndarray, "n d"] | None
) -> Float[np.ndarray, "n d"]:
    if vectors is None:
        return np.zeros((0, lm.hidden_size), dtype=np.float64)
    table = np.asarray(vectors, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != lm.hidden_size:
        raise InterventionError(
            f"the vector table has shape {table.shape}, but the model's hidden size is "
            f"{lm.hidden_size}"
        )
    if not np.isfinite(table).all():
        bad = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise InterventionError(f"vector {bad} holds NaN or infinity")
    return table


Edit = Callable[[Tensor], Tensor | None]
"""Takes the part of a block's residual stream in the window, [rows, positions, d]; its result,
unless None, replaces that part.
"""


@contextmanager
def editing(lm: LanguageModel, edits: dict[int, Edit], *, first: bool = False) -> Iterator[None]:
    """Run ``edits[l]`` on the output of block l within the ``with`` block.

    ``first``: before the existing edits.
    """

    def hook_of(edit: Edit) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
            window, hidden = current(), residual(output)
            edited = edit(window.take(hidden))
            return None if edited is None else with_residual(output, window.put(hidden, edited))

        return hook

    handles = [
        lm.layout.blocks[layer].register_forward_hook(hook_of(edit), prepend=first)
        for layer, edit in edits.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Steering:
    """The additions for a batch's rows, replaced when the rows change.

    Every thread steers its own rows; in a thread without rows the model is unsteered.
    """

    def __init__(self, table: ArmTable, arm_of_row: Tensor | None = None) -> None:
        self.table = table
        self._own = threading.local()
        if arm_of_row is not None:
            self.set_rows(arm_of_row)

    def set_rows(self, arm_of_row: Tensor) -> None:
        """Set the arm of each row of this thread's batch."""
        self._own.additions = self.table.rows(arm_of_row)

    @property
    def additions(self) -> dict[int, Float[Tensor, "rows 1 d"]]:
        """The vectors added at each layer to this thread's rows."""
        found: dict[int, Tensor] = getattr(self._own, "additions", {})
        return found

    def edits(self) -> dict[int, Edit]:
        """One edit per steered layer, applied to the current rows."""

        def edit_of(layer: int) -> Edit:
            def edit(hidden: Tensor) -> Tensor | None:
                added, window = self.additions.get(layer), current()
                if added is None:
                    return None
                return window.steered(hidden, hidden + window.of_rows(added))

            return edit

        return {layer: edit_of(layer) for layer in self.table.by_layer}


class Reader:
    """Collects a block's output for the rows of one step, which may run in parts."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor | None, Tensor]] = []

    def edit(self, hidden: Tensor) -> None:
        """Record the state without changing it."""
        self._parts.append((current().rows, hidden))

    def values(self) -> Float[Tensor, "rows 1 d"]:
        """The residual stream of all rows, in order."""
        numbers = [rows for rows, _ in self._parts if rows is not None]
        found = torch.cat([hidden for _, hidden in self._parts])
        return found[torch.cat(numbers).argsort()] if numbers else found
