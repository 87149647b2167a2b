"""Rows over the model's own states: the cache that its forward returns, copied for every row.

State-space, recurrent and hybrid models cache other states than keys and values. The cache is taken
from the first forward, under the model's own argument name, and its rows are selected by its own
``reorder_cache``. Prompts of equal length run together, so that no padding enters a state.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from steer_assets.lm.forward.edit_window import Window, looking_at
from steer_assets.lm.forward.packing import packed_weights
from steer_assets.lm.forward.prefix import Tokens, pad
from steer_assets.lm.forward.whole import TOKENS_AT_ONCE
from steer_assets.lm.model import LanguageModel

_NAMES = ("past_key_values", "cache_params", "state")


@dataclass(frozen=True)
class States:
    """A cache and the argument name under which the model takes it; None before the first token."""

    name: str = ""
    cache: Any = None

    def select(self, rows: Int[Tensor, " rows"]) -> States:
        """A copy with the given rows, in any order and multiplicity; the original is unchanged.

        Raises TypeError for a cache that cannot be split into rows.
        """
        if self.cache is None:
            return self
        if isinstance(self.cache, (list, tuple)) and all(
            isinstance(part, Tensor) for part in self.cache
        ):
            return States(self.name, [part.index_select(0, rows) for part in self.cache])
        if not hasattr(self.cache, "reorder_cache"):
            raise TypeError(f"{type(self.cache).__name__} does not select rows")
        cache = _shallow(self.cache)
        if hasattr(cache, "layers"):
            cache.layers = [_shallow(layer) for layer in cache.layers]
        cache.reorder_cache(rows)
        return States(self.name, cache)


def _shallow(thing: Any) -> Any:
    """A copy with its own lists and dictionaries, over the same tensors."""
    own = copy.copy(thing)
    for name, value in vars(own).items():
        if isinstance(value, (dict, list)):
            vars(own)[name] = copy.copy(value)
    return own


@dataclass(frozen=True)
class Group:
    """Prompts (their numbers, [n]) of one length, and their states."""

    prompts: Int[Tensor, " n"]
    states: States


def prefill_states(lm: LanguageModel, heads: Sequence[Tokens]) -> tuple[Group, ...]:
    """States after each of ``heads``; hooks see the number of each as that of its row."""
    by_length: dict[int, list[int]] = {}
    for index, head in enumerate(heads):
        by_length.setdefault(len(head), []).append(index)
    groups: list[Group] = []
    for length, members in by_length.items():
        size = max(1, TOKENS_AT_ONCE // max(1, length))
        for start in range(0, len(members), size):
            chosen = members[start : start + size]
            states = States()
            if length:
                ids = pad(lm, [heads[i] for i in chosen])
                with looking_at(Window(rows=lm.tensor(chosen))):
                    _, states = _forward(lm, lm.layout.backbone, ids, states)
            groups.append(Group(lm.tensor(chosen), states))
    return tuple(groups)


def _forward(lm: LanguageModel, module: Any, ids: Tensor, states: States) -> tuple[Any, States]:
    given = {} if states.cache is None else {states.name: states.cache}
    with packed_weights(lm):
        out = module(input_ids=ids, use_cache=True, **given)
    for name in _NAMES:
        cache = getattr(out, name, None)
        if cache is not None:
            return out, States(name, cache)
    raise TypeError(f"{type(module).__name__} returns no cache under a name that is known")


class StateRows:
    """Rows over groups of prompts, each group with its own states; for inference only."""

    def __init__(
        self, lm: LanguageModel, groups: Sequence[Group], prompt_of_row: Int[Tensor, " rows"]
    ) -> None:
        self._lm = lm
        self._parts: list[tuple[Tensor, States]] = []  # rows of a part, and their states
        for group in groups:
            member = prompt_of_row[:, None] == group.prompts
            rows, place = member.nonzero(as_tuple=True)
            if len(rows):
                self._parts.append((rows, group.states.select(place)))

    def step(
        self, tokens: Int[Tensor, " rows"], edited: Bool[Tensor, " rows"] | None = None
    ) -> Float[Tensor, "rows v"]:
        """Feed one token per row; next-token logits in the model's dtype."""
        found: list[Tensor] = []
        for index, (rows, states) in enumerate(self._parts):
            own = None if edited is None else edited[rows, None]
            with looking_at(Window(rows=rows, edited=own)):
                out, states = _forward(self._lm, self._lm.model, tokens[rows][:, None], states)
            self._parts[index] = (rows, states)
            found.append(out.logits[:, -1])
        order = torch.cat([rows for rows, _ in self._parts]).argsort()
        return torch.cat(found)[order]

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Retire all rows but these (ascending)."""
        parts: list[tuple[Tensor, States]] = []
        for own, states in self._parts:
            new, place = (rows[:, None] == own).nonzero(as_tuple=True)
            if len(new):
                parts.append((new, states.select(place)))
        self._parts = parts
