"""What every measurement relies on, tried on the model before it is used."""

from __future__ import annotations

import torch

from steer_assets.lm.errors import SelfTestError
from steer_assets.lm.model import LanguageModel

_TOKENS, _CHANGED = 12, 4


@torch.inference_mode()
def require_causal(lm: LanguageModel, name: str) -> float:
    """Raise SelfTestError where logits are not finite, or depend on later tokens.

    Two texts of 12 tokens that differ in their last 4 are run. Returns the largest difference of
    logits before those, as a share of the largest logit: rounding, under 1e-3 in float32.
    """
    size = min(lm.vocab_size, 1000)
    first = [(7 * i + 3) % size for i in range(_TOKENS)]
    kept = _TOKENS - _CHANGED
    second = first[:kept] + [(11 * token + 5) % size for token in first[kept:]]
    logits = lm.model(input_ids=lm.tensor([first, second]), use_cache=False).logits.float()
    if not bool(logits.isfinite().all()):
        raise SelfTestError(
            f"{name} gives logits that are not finite in {lm.dtype}; its weights are damaged, or "
            "need a wider number type"
        )
    before = logits[:, :kept]
    error = float((before[0] - before[1]).abs().max() / before.abs().max().clamp_min(1e-9))
    if error > (1e-3 if lm.torch_dtype.itemsize >= 4 else 5e-2):
        raise SelfTestError(
            f"in {name} later tokens change earlier positions (logits by {error:.1g} of their "
            "size): it is an encoder, not a causal language model; take a decoder-only model"
        )
    return error
