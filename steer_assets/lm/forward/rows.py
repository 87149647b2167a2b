"""Rows of a batch that grow token by token over shared prefixes.

A row is one (prompt, arm, sample). ``RowCache`` is a transformers cache: each layer stores the
prefixes once per prompt and, per row, a preallocated tail that is written in place.
"""

from __future__ import annotations

import threading
import weakref
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from steer_assets.lm.forward.prefix import Prefix

_current = threading.local()  # threads may step their own rows concurrently
_HIDDEN = -1e30  # finite instead of minus infinity: a fully masked part gets weight 0, not NaN


class _TailLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer's tails, [rows, heads, capacity, d_head], written in place."""

    is_sliding = False

    def __init__(self, owner: RowCache, index: int) -> None:
        super().__init__()
        # A strong reference would form a cycle and keep the cache alive until the next collection.
        self._owner = cast(RowCache, weakref.proxy(owner))
        self._index = index

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        rows, heads, _, dk = key_states.shape
        capacity = self._owner.capacity
        self.keys = key_states.new_empty((rows, heads, capacity, dk))
        self.values = value_states.new_empty((rows, heads, capacity, value_states.shape[-1]))
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: object, **_kwargs: object
    ) -> tuple[Tensor, Tensor]:
        owner, at = self._owner, self._owner.length
        owner.activate(self._index)
        # no later token reads the tail, and without a write gradients can pass
        if owner.capacity == 1:
            return key_states, value_states
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        self.keys[:, :, at : at + 1] = key_states
        self.values[:, :, at : at + 1] = value_states
        return self.keys[:, :, : at + 1], self.values[:, :, : at + 1]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._owner.length + query_length, 0

    def get_seq_length(self) -> int:
        return self._owner.length

    def get_max_length(self) -> int:
        return -1

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        if self.is_initialized:
            assert self.keys is not None
            assert self.values is not None
            self.keys = self._moved(self.keys, rows)
            self.values = self._moved(self.values, rows)

    def _moved(self, buffer: Tensor, rows: Tensor) -> Tensor:
        """Kept rows first, within the same buffer; allocates nothing, copies only the used part."""
        kept, used = buffer[: len(rows)], self._owner.length
        kept[:, :, :used] = buffer[rows, :, :used]
        return kept


class RowCache(Cache):  # type: ignore[misc]
    """Cache of a batch of rows over ``prefix``; ``prompt_of_row`` is sorted.

    ``capacity`` tokens fit into each tail. All rows are at the same step, so tails have no padding.
    """

    def __init__(
        self, n_layers: int, prefix: Prefix, prompt_of_row: Int[Tensor, " rows"], capacity: int
    ) -> None:
        self.capacity = capacity
        self.length = 0
        self._prefix = prefix
        super().__init__(layers=[_TailLayer(self, index) for index in range(n_layers)])
        self._place(prompt_of_row)

    @classmethod
    def active(cls) -> RowCache:
        """The cache whose layer was updated last."""
        cache = getattr(_current, "cache", lambda: None)()
        assert isinstance(cache, cls), "shared-prefix attention without a row cache"
        return cache

    def activate(self, layer: int) -> None:
        """Select ``layer`` of this cache as the one that attention reads."""
        _current.cache, _current.layer = weakref.ref(self), layer

    def _place(self, prompt_of_row: Int[Tensor, " rows"]) -> None:
        """Arrange rows as [prompts, slots]: rows of one prompt share a matrix product."""
        self.prompt_of_row = prompt_of_row
        self.prompts, index = torch.unique_consecutive(prompt_of_row, return_inverse=True)
        counts = torch.bincount(index)
        self._slots = int(counts.max())
        starts = torch.cumsum(counts, 0) - counts
        slot = torch.arange(len(index), device=index.device) - starts[index]
        self._flat = index * self._slots + slot
        self._uniform = bool((counts == self._slots).all())
        # Empty slots repeat the prompt's first row; their results are not read.
        self._row_of_slot = starts[:, None].repeat(1, self._slots)
        self._row_of_slot[index, slot] = torch.arange(len(index), device=index.device)
        self.positions = self._prefix.lengths[prompt_of_row] + self.length
        self._taken: dict[int, tuple[Tensor, Tensor]] = {}
        self._masks: dict[int | None, tuple[Tensor | None, Tensor | None]] = {}
        self._whole = len(self.prompts) == len(self._prefix.lengths)

    def advance(self) -> None:
        """Record that every row has processed one token."""
        self.length += 1
        self.positions = self.positions + 1
        self._masks.clear()

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Retire all rows but ``rows`` (ascending)."""
        for layer in self.layers:
            layer.keep(rows)
        self._place(self.prompt_of_row[rows])

    def prefix_of_current_layer(self) -> tuple[Tensor | None, Tensor | None]:
        """Keys and values [prompts, heads, longest, d_head] of the prompts that still have rows."""
        if self._prefix.keys is None or self._prefix.values is None:
            return None, None
        layer: int = _current.layer
        keys, values = self._prefix.keys[layer], self._prefix.values[layer]
        if self._whole:
            return keys, values
        if layer not in self._taken:
            self._taken[layer] = (keys[self.prompts], values[self.prompts])
        return self._taken[layer]

    def to_prompts(self, x: Float[Tensor, "rows g h c"]) -> Float[Tensor, "p g slots_h c"]:
        """Rows by prompt: [prompts, groups, slots * heads per group, c]."""
        _, g, h, c = x.shape
        spread = x if self._uniform else x[self._row_of_slot.reshape(-1)]
        spread = spread.reshape(len(self.prompts), self._slots, g, h, c)
        return spread.transpose(1, 2).reshape(len(self.prompts), g, self._slots * h, c)

    def to_rows(self, x: Float[Tensor, "p g slots_h c"], rows: int) -> Float[Tensor, "rows g h c"]:
        """The inverse of ``to_prompts``."""
        p, g, slots_h, c = x.shape
        h = slots_h // self._slots
        flat = x.reshape(p, g, self._slots, h, c).transpose(1, 2).reshape(p * self._slots, g, h, c)
        return flat if self._uniform else flat[self._flat]

    def masks(self, window: int | None) -> tuple[Tensor | None, Tensor | None]:
        """Additive masks over the prefix [prompts, 1, 1, longest] and tail [1, 1, 1, length + 1].

        None where nothing is masked. With a sliding window a token attends to the last ``window``
        positions, including its own. All rows of a prompt are at the same position.
        """
        if window not in self._masks:
            self._masks[window] = self._make_masks(window)
        return self._masks[window]

    def _make_masks(self, window: int | None) -> tuple[Tensor | None, Tensor | None]:
        lengths = self._prefix.lengths[self.prompts]
        longest = self._prefix.longest
        position = lengths + self.length
        at = torch.arange(longest, device=lengths.device)
        seen = at < lengths[:, None]
        tail: Tensor | None = None
        if window is not None:
            seen = seen & (at > position[:, None] - window)
            if self.length + 1 > window:
                offset = torch.arange(self.length + 1, device=lengths.device)
                tail = _additive(offset > self.length - window)[None, None, None]
        prefix = None if bool(seen.all()) else _additive(seen)[:, None, None]
        return prefix, tail


def _additive(seen: Tensor) -> Tensor:
    return torch.where(seen, 0.0, _HIDDEN)
