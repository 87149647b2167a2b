"""One decoding step over shared prefixes: feeds one token per row to the model.

The model's own transformers forward runs, in the first of three ways that reproduces a plain
forward over the whole sequence when tried on the model:

``shared``  this package's attention and cache, prefixes stored once per prompt: plain attention.
``states``  the model's own cache, copied for every row: state-space, recurrent and hybrid models,
            shared keys and values, attention with terms that the package's does not have.
``whole``   no cache, every step runs the whole sequence: any causal model.

The first and the last support derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from steer_assets.lm.forward import attention
from steer_assets.lm.forward.attention_windows import narrow_windows
from steer_assets.lm.forward.edit_window import Window, looking_at
from steer_assets.lm.forward.intervene import Edit, editing
from steer_assets.lm.forward.packing import packed_weights
from steer_assets.lm.forward.prefix import Prefix, Tokens, prefill
from steer_assets.lm.forward.rows import RowCache
from steer_assets.lm.forward.states import StateRows, prefill_states
from steer_assets.lm.forward.whole import TOKENS_AT_ONCE, WholeRows, whole_logits
from steer_assets.lm.model import LanguageModel, tried_once

SHARED, STATES, WHOLE = "shared", "states", "whole"
_WAY = "_way"  # the model's attribute that keeps it
_STEPS = 3


class Rows(Protocol):
    """Rows of a batch at the same step."""

    def step(
        self, tokens: Int[Tensor, " rows"], edited: Bool[Tensor, " rows"] | None = None
    ) -> Float[Tensor, "rows v"]:
        """Feed one token per row; next-token logits in the model's dtype.

        edited: whether arms are added at the token; None for all rows.
        """
        ...

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Retire all rows but these (ascending)."""
        ...


def prepare(lm: LanguageModel, prompts: Sequence[Tokens]) -> Prefix:
    """Prefixes of ``prompts``; call it before hooks are set, because it may try the model first."""
    return _prefix(lm, prompts, way_of(lm))


def prepare_edited(lm: LanguageModel, prompts: Sequence[Tokens], edits: dict[int, Edit]) -> Prefix:
    """Prefixes of rows whose every prompt token is edited; ``prompts``: that of every row."""
    way = way_of(lm)
    with editing(lm, edits):
        return _prefix(lm, prompts, way, edited=True)


def _prefix(
    lm: LanguageModel, prompts: Sequence[Tokens], way: str, *, edited: bool = False
) -> Prefix:
    if way == SHARED:
        return prefill(lm, prompts, edited=edited)
    heads = [prompt[:-1] for prompt in prompts]
    # States are written in place, which differentiation does not support.
    states = way == STATES and torch.is_inference_mode_enabled()
    groups = prefill_states(lm, heads) if states else ()
    lengths = lm.tensor([len(head) for head in heads])
    return Prefix(None, None, lengths, heads, groups, edited)


@contextmanager
def stepping(lm: LanguageModel) -> Iterator[None]:
    """Apply the settings of a step for many steps, so that threads may step concurrently.

    For inference only; no other attention may be selected within it.
    """
    attend = lm.attention(attention.NAME) if shares_prefixes(lm) else nullcontext()
    with packed_weights(lm), attend:
        yield


def start_rows(
    lm: LanguageModel, prefix: Prefix, prompt_of_row: Int[Tensor, " rows"], capacity: int
) -> Rows:
    """Rows over ``prefix`` with room for ``capacity`` tokens; ``prompt_of_row`` ascends."""
    return _rows(lm, prefix, prompt_of_row, capacity, way_of(lm))


def _rows(
    lm: LanguageModel, prefix: Prefix, prompt_of_row: Tensor, capacity: int, way: str
) -> Rows:
    if way == SHARED:
        return _SharedRows(lm, prefix, prompt_of_row, capacity)
    if prefix.groups:
        return StateRows(lm, prefix.groups, prompt_of_row)
    return WholeRows(lm, prefix.heads, prompt_of_row, whole_prompt=prefix.edited)


def rows_at_once(
    lm: LanguageModel, n_rows: int, longest: int, *, whole_prompt: bool = False
) -> int:
    """At most ``n_rows``; fewer if every row runs its whole sequence of ``longest`` tokens.

    whole_prompt: whether it does so because arms edit the whole prompt.
    """
    if way_of(lm) == SHARED and not whole_prompt:
        return n_rows
    return max(1, min(n_rows, TOKENS_AT_ONCE // longest))


class _SharedRows:
    def __init__(
        self, lm: LanguageModel, prefix: Prefix, prompt_of_row: Tensor, capacity: int
    ) -> None:
        self._lm = lm
        self._cache = RowCache(lm.n_layers, prefix, prompt_of_row, capacity)

    def step(
        self, tokens: Int[Tensor, " rows"], edited: Bool[Tensor, " rows"] | None = None
    ) -> Float[Tensor, "rows v"]:
        # Packed weights support no differentiation, backward or forward.
        lm, inference = self._lm, torch.is_inference_mode_enabled()
        window = Window(edited=None if edited is None else edited[:, None])
        weights = packed_weights(lm) if inference else nullcontext()
        with lm.attention(attention.NAME), weights, looking_at(window):
            logits = lm.model(
                input_ids=tokens[:, None],
                position_ids=self._cache.positions[:, None],
                past_key_values=self._cache,
                use_cache=True,
            ).logits
        assert isinstance(logits, Tensor)
        self._cache.advance()
        return logits[:, -1]

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        self._cache.keep(rows)


def shares_prefixes(lm: LanguageModel) -> bool:
    """Whether the shared-prefix attention reproduces this model's own."""
    return way_of(lm) == SHARED


def way_of(lm: LanguageModel) -> str:
    """How the model's rows are run: ``shared``, ``states`` or ``whole``; tried once per model."""
    ways = (way for way in (SHARED, STATES) if _reproduces(lm, way))
    return tried_once(lm, _WAY, lambda: next(ways, WHOLE))


def set_way(lm: LanguageModel, way: str) -> None:
    """Take ``way`` as the model's, from a record of its trial."""
    setattr(lm, _WAY, way)


def _reproduces(lm: LanguageModel, way: str) -> bool:
    if not _agrees(lm, way):
        return False
    # Windows are narrowed for both sides, so that ten tokens test a window of a thousand.
    with narrow_windows(lm) as narrowed:
        return not narrowed or _agrees(lm, way)


@torch.inference_mode()
def _agrees(lm: LanguageModel, way: str) -> bool:
    size = min(lm.vocab_size, 1000)
    prompts = [[(7 * i + 3 * n) % size for i in range(n)] for n in (1, 6, 9, 6)]
    prompt_of_row = [0, 1, 1, 2, 3]
    texts = [list(prompts[p]) for p in prompt_of_row]
    tokens = lm.tensor([text[-1] for text in texts])
    try:
        rows = _rows(lm, _prefix(lm, prompts, way), lm.tensor(prompt_of_row), _STEPS, way)
        for offset in range(_STEPS):
            found = rows.step((tokens + offset) % size)
            if offset:
                texts = [
                    [*t, (first + offset) % size]
                    for t, first in zip(texts, tokens.tolist(), strict=True)
                ]
            # A step changes the state for later ones: one row is compared at all steps.
            tried = range(len(texts)) if offset == _STEPS - 1 else [len(texts) - 2]
            if not all(_close(lm, texts[row], found[row]) for row in tried):
                return False
            if offset == 0:
                kept = [0, 2, 3, 4]
                rows.keep(lm.tensor(kept))
                tokens, texts = tokens[kept], [texts[row] for row in kept]
    except torch.OutOfMemoryError:
        raise
    # other architectures raise arbitrary exceptions, which means that this way does not apply
    except Exception:
        return False
    return True


def _close(lm: LanguageModel, text: list[int], found: Tensor) -> bool:
    """Whether logits equal those of a plain forward over the text, up to rounding."""
    at = lm.tensor([[len(text) - 1]])
    expected = whole_logits(lm, lm.tensor([text]), Window(read=at))[0, -1].float()
    # Rounding differences in half precision are far smaller than a missing term.
    tolerance = 1e-4 if lm.torch_dtype.itemsize >= 4 else 5e-2
    difference = (expected - found.float()).abs().max()
    return bool(difference <= tolerance * (1 + expected.abs().max()))
