"""Feed one token per row to the model, over shared prefixes: the step that everything is built on.

The model's own transformers forward runs, in one of three ways, the first that gives what a plain
forward over the whole sequence gives when it is tried on the model:

``shared``  attention and cache are ours, and prefixes are held once per prompt: plain attention.
``states``  the model's own cache, copied for every row: state-space, recurrent and hybrid models,
            shared keys and values, attention that adds what ours does not know.
``whole``   no cache, every step runs the whole sequence: anything that is causal.

Derivatives pass through the first and the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steer_assets.lm.forward import attention
from steer_assets.lm.forward.attention_windows import narrow_windows
from steer_assets.lm.forward.edit_window import Window
from steer_assets.lm.forward.packing import packed_weights
from steer_assets.lm.forward.prefix import Prefix, Tokens, prefill
from steer_assets.lm.forward.rows import RowCache
from steer_assets.lm.forward.states import StateRows, prefill_states
from steer_assets.lm.forward.whole import TOKENS_AT_ONCE, WholeRows, whole_logits
from steer_assets.lm.model import LanguageModel

SHARED, STATES, WHOLE = "shared", "states", "whole"
_STEPS = 3


class Rows(Protocol):
    """Rows of a batch that all have taken the same number of tokens."""

    def step(self, tokens: Int[Tensor, " rows"]) -> Float[Tensor, "rows v"]:
        """Feed one token per row; next-token logits in the model's dtype."""
        ...

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Retire all rows but these (ascending)."""
        ...


def prepare(lm: LanguageModel, prompts: Sequence[Tokens]) -> Prefix:
    """Prefixes of ``prompts``; call it before hooks are set, for it may also try the model."""
    return _prefix(lm, prompts, way_of(lm))


def _prefix(lm: LanguageModel, prompts: Sequence[Tokens], way: str) -> Prefix:
    if way == SHARED:
        return prefill(lm, prompts)
    heads = [prompt[:-1] for prompt in prompts]
    # States are written in place, through which no derivative passes.
    states = way == STATES and torch.is_inference_mode_enabled()
    groups = prefill_states(lm, heads) if states else ()
    return Prefix(None, None, lm.tensor([len(head) for head in heads]), heads, groups)


@contextmanager
def stepping(lm: LanguageModel) -> Iterator[None]:
    """Hold for many steps what each step sets on the model, so that threads may step at once.

    For inference alone; within it no other attention may be asked for.
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
    return WholeRows(lm, prefix.heads, prompt_of_row)


def rows_at_once(lm: LanguageModel, n_rows: int, longest: int) -> int:
    """At most ``n_rows``; fewer where every row runs its whole sequence of ``longest`` tokens."""
    if way_of(lm) == SHARED:
        return n_rows
    return max(1, min(n_rows, TOKENS_AT_ONCE // longest))


class _SharedRows:
    def __init__(
        self, lm: LanguageModel, prefix: Prefix, prompt_of_row: Tensor, capacity: int
    ) -> None:
        self._lm = lm
        self._cache = RowCache(lm.n_layers, prefix, prompt_of_row, capacity)

    def step(self, tokens: Int[Tensor, " rows"]) -> Float[Tensor, "rows v"]:
        # Packed weights pass no derivative, backward or forward.
        lm, inference = self._lm, torch.is_inference_mode_enabled()
        with lm.attention(attention.NAME), packed_weights(lm) if inference else nullcontext():
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
    known: str | None = getattr(lm, "_way", None)
    if known is None:
        known = next((way for way in (SHARED, STATES) if _reproduces(lm, way)), WHOLE)
        lm._way = known  # type: ignore[attr-defined]
    return known


def _reproduces(lm: LanguageModel, way: str) -> bool:
    if not _agrees(lm, way):
        return False
    # A window of a thousand tokens is tried on ten: narrowed, on both sides alike.
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
            # What a step leaves behind acts on the steps after it: one row is tried at all steps.
            tried = range(len(texts)) if offset == _STEPS - 1 else [len(texts) - 2]
            if not all(_close(lm, texts[row], found[row]) for row in tried):
                return False
            if offset == 0:
                kept = [0, 2, 3, 4]
                rows.keep(lm.tensor(kept))
                tokens, texts = tokens[kept], [texts[row] for row in kept]
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a forward of another make fails with: its states are not of a kind
        return False
    return True


def _close(lm: LanguageModel, text: list[int], found: Tensor) -> bool:
    """Whether logits are those of a plain forward over the text, up to rounding."""
    at = lm.tensor([[len(text) - 1]])
    expected = whole_logits(lm, lm.tensor([text]), Window(read=at))[0, -1].float()
    # Half precision differs by rounding; a missing term differs by far more.
    tolerance = 1e-4 if lm.torch_dtype.itemsize >= 4 else 5e-2
    difference = (expected - found.float()).abs().max()
    return bool(difference <= tolerance * (1 + expected.abs().max()))
