"""Given texts after prompts of one length, run from a steered block upwards.

A text's tokens are known, so that all of its positions run in one pass: the last prompt token and
all tokens but the last, of which a scope selects those that are steered. Below the lowest steered
block a position does not depend on the arm; its state there is computed once and resumed under
every arm. The prompt's own tokens are run once for all texts and arms, or, if they are steered,
once for every arm. Rows are right-padded, which under causal attention needs no mask.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext, suppress
from itertools import groupby

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from steer_assets.lm.forward.edit_window import Window, looking_at
from steer_assets.lm.forward.intervene import ArmTable, Edit, Reader, Steering, editing
from steer_assets.lm.forward.packing import packed_weights
from steer_assets.lm.forward.prefix import Prefix, Tokens, by_length, pad, prefill
from steer_assets.lm.forward.resuming import resuming, skips_blocks
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Scope, edited_positions
from steer_assets.lm.forward.stepping import prepare_edited, shares_prefixes
from steer_assets.lm.forward.whole import whole_logits
from steer_assets.lm.model import LanguageModel

#: Prompt tokens whose keys and values are held at once.
_PREFIX_TOKENS = 4096
_LAST = "_last_prefix"  # the model's attribute that keeps it


class _Stop(Exception):
    """Ends a forward whose later results are not needed."""


class Continuations:
    """Texts after prompts of one length; ``lengths`` [texts] in tokens."""

    def __init__(
        self,
        lm: LanguageModel,
        prefix: Prefix | None,
        places: Sequence[int],
        prompts: Sequence[Tokens],
        texts: Sequence[Tokens],
        layers: Sequence[int],
        scope: Scope = LAST_PROMPT_AND_GENERATED,
    ) -> None:
        """Run ``texts`` up to the deepest of ``layers``, the blocks from which rows resume.

        prompts: the prompt of each text; all have the same number of tokens. prefix: unsteered keys
        and values of several prompts, that of each text at its ``places``; None where the model's
        prefixes cannot be shared, or the prompts' own tokens are to run with the texts. Raises
        ValueError for prompts of several lengths.
        """
        (length,) = {len(prompt) for prompt in prompts}
        self._lm, self._prefix, self._places = lm, prefix, lm.tensor(list(places))
        self._before = 0 if prefix is None else length - 1
        self._from = length - 1 - self._before
        heads = [list(prompt[self._before :]) for prompt in prompts]
        # The last prompt token predicts the first of the text; the text's last token is no input.
        self._ids = pad(lm, [[*head, *text[:-1]] for head, text in zip(heads, texts, strict=True)])
        self.lengths = [len(text) for text in texts]
        self.targets: Int[Tensor, "texts t"] = pad(lm, texts)
        self._whole_prompt = scope.whole_prompt
        self._edited = edited_positions(scope, prompts, texts, self.targets.device)
        self._states = self._lower(sorted(set(layers)))

    @torch.no_grad()
    def _lower(self, layers: list[int]) -> dict[int, Float[Tensor, "texts t d"]]:
        if self._prefix is None or not layers or not skips_blocks(self._lm):
            return {}
        readers = {layer: Reader() for layer in layers}

        def stop(_hidden: Tensor) -> None:
            raise _Stop

        edits: dict[int, Edit] = {layer: reader.edit for layer, reader in readers.items()}
        every = torch.arange(len(self._ids), device=self._ids.device)
        with suppress(_Stop), editing(self._lm, edits), editing(self._lm, {layers[-1]: stop}):
            self._forward(every, None, None)
        return {layer: reader.values() for layer, reader in readers.items()}

    def logits(
        self,
        text_of_row: Int[Tensor, " rows"],
        layer: int | None,
        edits: dict[int, Edit],
        steered: tuple[Prefix, Int[Tensor, " rows"]] | None = None,
    ) -> Float[Tensor, "rows t v"]:
        """Logits of every token of each row's text, in the model's dtype.

        layer: the lowest block that ``edits`` change, None where they change none. steered: keys
        and values of steered prompts, that of each row at its place; the unsteered ones by default.
        """
        start = max(self._states, default=None) if layer is None else layer
        hidden = None if start is None else self._states.get(start)
        resumed = None if hidden is None else (start, hidden)
        with editing(self._lm, edits):
            return self._forward(text_of_row, resumed, steered)

    @property
    def over_prefixes(self) -> bool:
        """Whether texts run over cached keys and values of their prompts."""
        return self._prefix is not None

    def final_states(
        self,
        text_of_row: Int[Tensor, " rows"],
        layer: int | None,
        edits: dict[int, Edit],
        steered: tuple[Prefix, Int[Tensor, " rows"]] | None = None,
    ) -> Float[Tensor, "rows t d"]:
        """The unembedding's input at every token of each row's text; arguments as for `logits`.

        For texts that run over prefixes.
        """
        found: list[Tensor] = []

        def stop(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            found.append(args[0])
            raise _Stop

        handle = self._lm.layout.head.register_forward_pre_hook(stop)
        try:
            with suppress(_Stop):
                self.logits(text_of_row, layer, edits, steered)
        finally:
            handle.remove()
        return found[0]

    def _forward(
        self,
        text_of_row: Tensor,
        resumed: tuple[int | None, Tensor] | None,
        steered: tuple[Prefix, Tensor] | None,
    ) -> Float[Tensor, "rows t v"]:
        lm, ids = self._lm, self._ids[text_of_row]
        edited = None if self._edited is None else self._edited[text_of_row]
        if self._prefix is None:
            at = torch.arange(self._from, ids.shape[1], device=ids.device).expand(len(ids), -1)
            where = None if self._whole_prompt else at
            return whole_logits(lm, ids, Window(positions=where, read=at, edited=edited))
        positions = torch.arange(self._before, self._before + ids.shape[1], device=ids.device)
        state = nullcontext()
        if resumed is not None:
            layer, hidden = resumed
            assert layer is not None
            state = resuming(lm, layer, hidden[text_of_row])  # type: ignore[assignment]
        # Packed weights support no differentiation.
        fast = packed_weights(lm) if not torch.is_grad_enabled() else nullcontext()
        prefix, places = steered or (self._prefix, self._places[text_of_row])
        with state, fast, looking_at(Window(edited=edited)):
            logits: Tensor = lm.model(
                input_ids=ids,
                position_ids=positions[None].expand(len(ids), -1),
                past_key_values=self._cache(prefix, places),
                use_cache=True,
            ).logits
        return logits

    def _cache(self, prefix: Prefix, places: Int[Tensor, " rows"]) -> DynamicCache:
        """The prompts' keys and values for every row, in the model's own cache."""
        cache = DynamicCache()
        if prefix.keys is None or prefix.values is None or not self._before:
            return cache
        alone = bool((places == places[0]).all())  # one prompt's are not copied for every row
        chosen = places[:1] if alone else places
        for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
            k, v = (x[chosen, :, : self._before] for x in (keys, values))
            cache.update(k, v, layer)
            own = cache.layers[layer]
            own.keys = own.keys.expand(len(places), -1, -1, -1)
            own.values = own.values.expand(len(places), -1, -1, -1)
        return cache


class SteeredPrompt:
    """Keys and values of one prompt under each of several arms that edit its every token."""

    def __init__(
        self, lm: LanguageModel, prompt: Tokens, table: ArmTable, arms: Collection[int]
    ) -> None:
        self._lm = lm
        self._places = {arm: place for place, arm in enumerate(sorted(arms))}
        edits = Steering(table, lm.tensor(list(self._places))).edits()
        self._prefix = prepare_edited(lm, [prompt] * len(arms), edits)

    def of_rows(self, arms: Sequence[int]) -> tuple[Prefix, Int[Tensor, " rows"]]:
        """The keys and values, and the place of each row's arm among them."""
        return self._prefix, self._lm.tensor([self._places[arm] for arm in arms])


def over_prompts(
    lm: LanguageModel,
    prompts: Sequence[Tokens],
    visit: Callable[[int, Prefix | None, int], None],
    *,
    keep: bool = False,
) -> None:
    """Call ``visit(prompt, prefix, place)`` for every prompt, prefixes run many at a time."""

    def each(indices: Sequence[int], prefix: Prefix | None, places: Sequence[int]) -> None:
        for index, place in zip(indices, places, strict=True):
            visit(index, prefix, place)

    over_equal_lengths(lm, prompts, each, keep=keep)


def over_equal_lengths(
    lm: LanguageModel,
    prompts: Sequence[Tokens],
    visit: Callable[[Sequence[int], Prefix | None, Sequence[int]], None],
    *,
    share: bool = True,
    keep: bool = False,
) -> None:
    """Call ``visit(prompts, prefix, places)`` for prompts of one length, whose texts run together.

    Prefixes are run many at a time; None where the model's cannot be shared, or are not to be.
    keep: whether the last batch's stay with the model, for texts that come in parts.
    """
    share = share and shares_prefixes(lm)
    for batch in together(prompts):
        run = _kept if keep else prefill
        prefix = run(lm, [prompts[i] for i in batch]) if share else None
        for _, group in groupby(enumerate(batch), key=lambda at: len(prompts[at[1]])):
            places, indices = zip(*group, strict=True)
            visit(indices, prefix, places)


def _kept(lm: LanguageModel, prompts: Sequence[Tokens]) -> Prefix:
    """As `prefill`, but kept with the model until other prompts come."""
    # derivatives cannot be taken over tensors of inference mode
    key = (torch.is_inference_mode_enabled(), tuple(tuple(prompt) for prompt in prompts))
    known: tuple[object, Prefix] | None = getattr(lm, _LAST, None)
    if known is not None and known[0] == key:
        return known[1]
    setattr(lm, _LAST, None)  # two are not in memory at once
    setattr(lm, _LAST, (key, prefix := prefill(lm, prompts)))
    return prefix


def together(prompts: Sequence[Tokens]) -> Iterator[list[int]]:
    """Indices of prompts whose prefixes are run in one batch, the shorter ones first."""
    yield from by_length(prompts, _PREFIX_TOKENS)
