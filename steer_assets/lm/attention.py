"""Attention of one new token per row over a prefix shared by the rows of a prompt.

Row r attends to the keys of its prompt's prefix, held once per prompt, and to its own tail of
tokens since. The two parts are one softmax: with logsumexp a over the prefix and b over the tail,

    out = (e^a out_prefix + e^b out_tail) / (e^a + e^b)

(the merge of Milakov & Gimelshein 2018, arXiv 1805.02867, across rows as in Hydragen, Juravsky et
al. 2024, arXiv 2402.05099). Nothing is expanded over rows or over the query heads of a group.
Registered with transformers under ``NAME``; it acts for the ``RowCache`` whose ``update`` ran last.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface

from steer_assets.lm.rows import RowCache

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
    mask_prefix, mask_tail = cache.masks(sliding_window)
    prefix_keys, prefix_values = cache.prefix_of_current_layer()
    out, lse = _batched(q, key, value, scale, softcap, mask_tail)
    if prefix_keys is not None and prefix_values is not None:
        # Many queries of a prompt over one prefix suit a fused kernel, few over a tail do not.
        fused = softcap is None and not torch.is_grad_enabled() and query.device.type == "cpu"
        attend = _fused if fused else _batched
        by_prompt = cache.to_prompts(q)
        p_out, p_lse = attend(by_prompt, prefix_keys, prefix_values, scale, softcap, mask_prefix)
        p_out, p_lse = cache.to_rows(p_out, rows), cache.to_rows(p_lse[..., None], rows)
        share = torch.sigmoid(p_lse - lse[..., None]).to(out.dtype)
        out = torch.lerp(out, p_out, share)
    return out.reshape(rows, 1, heads, value.shape[-1]), None


def _batched(
    q: Tensor, k: Tensor, v: Tensor, scale: float, softcap: float | None, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Output and logsumexp by batched matrix products; scores in float32 or better."""
    shape = q.shape[:3]
    # Three dimensions: a four-dimensional product would copy keys and values into place.
    scores = torch.bmm(q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2)).view(*shape, k.shape[2])
    if k.dtype.itemsize < 4:
        scores = scores.float()
    scores = scores * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if mask is not None:
        scores = scores + mask
    lse = torch.logsumexp(scores, dim=-1)
    weights = torch.exp(scores - lse[..., None]).to(v.dtype)
    out = torch.bmm(weights.flatten(0, 1), v.flatten(0, 1))
    return out.view(*shape, v.shape[-1]), lse


def _fused(
    q: Tensor, k: Tensor, v: Tensor, scale: float, _softcap: float | None, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The same by the processor's flash kernel, which also gives the logsumexp."""
    if mask is not None:
        lowest = torch.finfo(q.dtype).min
        mask = mask.clamp_min(lowest).to(q.dtype).expand(len(q), 1, q.shape[2], k.shape[2])
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q, k, v, 0.0, False, attn_mask=mask, scale=scale
    )
    return out, lse


AttentionInterface.register(NAME, shared_prefix_attention)
