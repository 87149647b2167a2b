"""Keys and values of prompt prefixes, computed once and shared by every arm.

Unless an arm is added at every prompt token, all prompt positions but the last are the same for
every arm. Prefixes are right-padded, which under causal attention needs no mask, because no token
attends to later padding. Tokens common to the start of all prompts (a chat template's system turn)
are computed once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from steer_assets.lm.forward.packing import packed_weights
from steer_assets.lm.model import LanguageModel

Tokens = Sequence[int]


@dataclass(frozen=True)
class Prefix:
    """Cached states of P prompts before their last tokens, ``heads``.

    Where prefixes are shared, ``keys[l]`` and ``values[l]`` are [P, heads, longest, d_head] per
    layer that has keys; row p has ``lengths[p]`` tokens followed by padding. None if no prefix has
    a token. Otherwise ``groups`` are the model's own states, or only tokens are kept. ``edited``:
    computed under hooks that edit every token, each prefix being that of one row.
    """

    keys: list[Float[Tensor, "p heads t dk"]] | None
    values: list[Float[Tensor, "p heads t dv"]] | None
    lengths: Int[Tensor, " p"]
    heads: Sequence[Tokens] = ()
    groups: tuple[Any, ...] = ()
    edited: bool = False

    @property
    def longest(self) -> int:
        """Number of tokens of the longest prefix."""
        return 0 if self.keys is None else self.keys[0].shape[2]


def common_length(prompts: Sequence[Tokens]) -> int:
    """Number of leading tokens common to all prompts."""
    first, last = min(map(list, prompts)), max(map(list, prompts))
    limit = min(len(first), len(last))
    return next((i for i in range(limit) if first[i] != last[i]), limit)


def pad(lm: LanguageModel, prompts: Sequence[Tokens]) -> Int[Tensor, "p t"]:
    """Prompts as one right-padded batch."""
    ids = torch.zeros((len(prompts), max(map(len, prompts))), dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.as_tensor(prompt, dtype=torch.int64)
    return ids.to(lm.torch_device)


def run_padded(
    lm: LanguageModel,
    prompts: Sequence[Tokens],
    *,
    share: int,
    stop: tuple[type[Exception], ...] = (),
) -> DynamicCache:
    """Run the backbone over right-padded prompts whose first ``share`` tokens are equal.

    The shared tokens run first, as a batch of one row; tokens from ``share`` on run as the full
    batch. A hook may end either pass by raising one of ``stop``. Returns the cache, which is
    detached from differentiation.
    """
    # Without a config every layer caches all its keys; sliding windows apply through the masks.
    cache = DynamicCache()
    if share:
        with suppress(*stop):
            _forward(lm, pad(lm, [prompts[0][:share]]), 0, cache)
        if len(prompts) > 1:
            for layer in cache.layers:
                layer.keys = layer.keys.expand(len(prompts), -1, -1, -1)
                layer.values = layer.values.expand(len(prompts), -1, -1, -1)
    rest = [prompt[share:] for prompt in prompts]
    if max(map(len, rest)):
        with suppress(*stop):
            _forward(lm, pad(lm, rest), share, cache)
    return cache


def _forward(lm: LanguageModel, ids: Tensor, start: int, cache: DynamicCache) -> None:
    positions = torch.arange(start, start + ids.shape[1], device=ids.device)[None]
    with packed_weights(lm):
        lm.layout.backbone(
            input_ids=ids,
            position_ids=positions.expand(len(ids), -1),
            past_key_values=cache,
            use_cache=True,
        )


def prefill(lm: LanguageModel, prompts: Sequence[Tokens], *, edited: bool = False) -> Prefix:
    """Keys and values of all tokens but the last of each prompt.

    Unsteered, unless ``edited``: under hooks of the caller that edit the rows one by one.
    """
    heads = [prompt[:-1] for prompt in prompts]
    lengths = lm.tensor([len(head) for head in heads])
    if not max(map(len, heads)):
        return Prefix(None, None, lengths, heads, edited=edited)
    with torch.no_grad():  # not inference mode, because derivatives are taken over these keys
        cache = run_padded(lm, heads, share=0 if edited else common_length(heads))
    return Prefix(
        [layer.keys for layer in cache.layers],
        [layer.values for layer in cache.layers],
        lengths,
        heads,
        edited=edited,
    )


def by_length(prompts: Sequence[Tokens], batch_tokens: int) -> Iterator[list[int]]:
    """Indices of prompts in batches of similar length, at most ``batch_tokens`` padded tokens."""
    batch: list[int] = []
    for index in sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i)):
        if batch and (len(batch) + 1) * len(prompts[index]) > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
