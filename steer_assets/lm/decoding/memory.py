"""Batch size and number of parallel batches, from machine and model but not from current load."""

from __future__ import annotations

from typing import Any

import torch

from steer_assets.lm.forward.stepping import WHOLE, rows_at_once, way_of
from steer_assets.lm.machine import machine_memory
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.tensor_parallel.every_rank import agreed, on_every_rank

_BEST_ROWS = {"cpu": 256, "cuda": 1024}  # larger batches no longer increase speed
_LANE_ROWS = 48  # with fewer, reading the weights once per lane costs more than the barriers
_SMALL = 0.05
_SHARE = 0.25  # of total memory, so that the default is the same in every run


@on_every_rank
def default_rows(lm: LanguageModel, prompt_tokens: int, max_new_tokens: int) -> int:
    """Rows per batch for prompts of ``prompt_tokens`` and ``max_new_tokens`` tokens.

    Depends on total memory, so that two runs on a machine use the same batches; smaller only if
    less than that is free.
    """
    if way_of(lm) == WHOLE:  # a step runs all tokens of a row
        return rows_at_once(lm, _BEST_ROWS["cpu"], prompt_tokens + max_new_tokens)
    per_row = row_bytes(lm, prompt_tokens, max_new_tokens)
    total, free = agreed(lm, torch.tensor(machine_memory(lm.torch_device))).tolist()
    best = _BEST_ROWS.get(lm.torch_device.type, 256)
    rows = max(1, min(best, int(_SHARE * total / per_row)))
    while rows > 1 and rows * per_row > 0.8 * free:
        rows //= 2
    return rows


def default_lanes(lm: LanguageModel, n_rows: int) -> int:
    """Number of batches to run in parallel if ``n_rows`` rows fit into memory together.

    An accelerator runs one batch at a time, as does a model that may keep state in its modules, or
    whose ranks must compute in one order.
    """
    if lm.torch_device.type != "cpu" or lm.ranks is not None or way_of(lm) == WHOLE:
        return 1
    return max(1, min(torch.get_num_threads(), n_rows // _LANE_ROWS))


def row_bytes(lm: LanguageModel, prompt_tokens: int, max_new_tokens: int) -> int:
    """Bytes that one row needs: keys and values of its tail and prompt, and logits with noise."""
    per_token = 2 * lm.n_layers * _key_width(lm) * lm.torch_dtype.itemsize
    # Logits in the model's dtype and in float32, noise, and the sum of the last two.
    tokens = prompt_tokens + 2 * max_new_tokens  # a tail is copied when rows are retired
    return int(per_token * tokens + 16 * lm.vocab_size)


def _key_width(lm: LanguageModel) -> int:
    """Size of a token's key in one layer; the hidden size if the model has no heads."""
    config: Any = lm.model.config.get_text_config()
    try:
        n_heads = config.num_attention_heads
        heads = getattr(config, "num_key_value_heads", None) or n_heads
        return int(heads * (getattr(config, "head_dim", None) or lm.hidden_size // n_heads))
    except Exception:  # no heads, or a different number in every layer
        return lm.hidden_size


def small(lm: LanguageModel) -> bool:
    """Whether the model takes only a small share of the machine's memory."""
    size: int = sum(parameter.nbytes for parameter in lm.model.parameters())
    return size < _SMALL * machine_memory(lm.torch_device)[0]
