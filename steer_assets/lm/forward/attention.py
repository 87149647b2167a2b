"""Attention of one new token per row over a prefix shared by the rows of a prompt.

Row r attends to the keys of its prompt's prefix, stored once per prompt, and to its own tail of
later tokens. Scores over the prefix are one matrix product per prompt, over the tail one per row
(Hydragen, Juravsky et al. 2024, arXiv 2402.05099), and one softmax runs over their concatenation,
which for tails of tens of tokens is less work than two softmaxes merged by their logsumexp. Keys
and values are not expanded over rows or over the query heads of a group.

Registered with transformers under ``NAME``; it uses the ``RowCache`` whose ``update`` ran last.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface

from steer_assets.lm.forward.rows import RowCache

NAME = "steer_shared_prefix"


def shared_prefix_attention(
    module: nn.Module,
    query: Float[Tensor, "rows heads 1 dk"],
    key: Float[Tensor, "rows groups tail dk"],
    value: Float[Tensor, "rows groups tail dv"],
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_others: Any,
) -> tuple[Tensor, None]:
    """The attention function that transformers calls; returns ([rows, 1, heads, dv], None)."""
    del module, attention_mask, dropout
    cache = RowCache.active()
    rows, heads, _, dk = query.shape
    groups = key.shape[1]
    scale = dk**-0.5 if scaling is None else scaling
    q = query.reshape(rows, groups, heads // groups, dk)
    masks = cache.masks(sliding_window)
    keys, values = cache.prefix_of_current_layer()
    scores = _scores(q, key, scale, softcap, masks[1])
    if keys is None or values is None:
        out = _product(torch.softmax(scores, dim=-1).to(value.dtype), value)
        return out.reshape(rows, 1, heads, -1), None
    by_prompt = _scores(cache.to_prompts(q), keys, scale, softcap, masks[0])
    weights = torch.softmax(torch.cat([cache.to_rows(by_prompt, rows), scores], dim=-1), dim=-1)
    weights = weights.to(value.dtype)
    split = keys.shape[2]
    out = cache.to_rows(_product(cache.to_prompts(weights[..., :split]), values), rows)
    out = out + _product(weights[..., split:], value)
    return out.reshape(rows, 1, heads, -1), None


def _scores(
    q: Float[Tensor, "n groups h dk"],
    k: Float[Tensor, "n groups t dk"],
    scale: float,
    softcap: float | None,
    mask: Tensor | None,
) -> Float[Tensor, "n groups h t"]:
    """Scaled, capped and masked scores, in float32 or higher."""
    scores = _product(q, k.transpose(2, 3))
    if k.dtype.itemsize < 4:
        scores = scores.float()
    scores = scores * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    return scores if mask is None else scores + mask


def _product(a: Float[Tensor, "n g x y"], b: Float[Tensor, "n g y z"]) -> Float[Tensor, "n g x z"]:
    """Batched in three dimensions, because a four-dimensional product would copy the keys."""
    return torch.bmm(a.flatten(0, 1), b.flatten(0, 1)).view(*a.shape[:3], b.shape[3])


AttentionInterface.register(NAME, shared_prefix_attention)
