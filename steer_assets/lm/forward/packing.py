"""Linear layers over weights packed once for the processor's matrix kernel.

A linear layer of a few hundred rows spends much of its time reordering the weight into the blocks
that the kernel reads (oneDNN's inner product). Decoding reads the same weights a thousand times, so
they are packed once and kept as a second copy of the linear weights, which makes products a quarter
to a half faster. If the kernel is not available, does not reproduce the plain product, or the copy
would take more than a share of the machine's memory, the model's own layers run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from steer_assets.lm.forward.replacing import Forward, forwards_replaced, own_forward
from steer_assets.lm.machine import machine_memory
from steer_assets.lm.model import LanguageModel, tried_once

_ROWS = 256  # the packing is chosen for about this batch size and works well for all
_SHARE = 0.2  # of total, not of free memory, so that two runs on a machine round identically
_DTYPES = (torch.float32, torch.bfloat16)


@contextmanager
def packed_weights(lm: LanguageModel) -> Iterator[int]:
    """Run the model's linear layers over packed weights; returns the number of layers.

    For inference only, since packed weights have no derivatives. Threads may run the model within
    one such block.
    """
    forwards = _forwards(lm)
    packed = any(own_forward(module) for module in forwards)  # by an outer block
    with nullcontext() if packed else forwards_replaced(forwards):
        yield len(forwards)


def kernel(lm: LanguageModel) -> str:
    """The kernel that the model's linear layers have run on, for the record of a result."""
    return "oneDNN packed" if getattr(lm, "_packed_forwards", None) else "torch"


def _forwards(lm: LanguageModel) -> dict[nn.Module, Forward]:
    return tried_once(lm, "_packed_forwards", lambda: _pack(lm))


def _pack(lm: LanguageModel) -> dict[nn.Module, Forward]:
    if lm.torch_device.type != "cpu" or lm.torch_dtype not in _DTYPES:
        return {}
    layers = [module for module in lm.model.modules() if _is_plain(module)]
    size = sum(layer.weight.nbytes for layer in layers)
    if not layers or size > _SHARE * machine_memory(lm.torch_device)[0]:
        return {}
    try:
        with torch.no_grad():
            forwards = {layer: _packed(layer) for layer in layers}
            right = all(_reproduces(layer, forwards[layer]) for layer in _one_of_each_shape(layers))
    except (AttributeError, RuntimeError):  # this build of torch has no such kernel
        return {}
    return forwards if right else {}


def _one_of_each_shape(layers: list[nn.Linear]) -> list[nn.Linear]:
    """The kernel packs weights of each shape in its own way."""
    return list({(*layer.weight.shape, layer.bias is None): layer for layer in layers}.values())


def _is_plain(module: nn.Module) -> bool:
    """Whether it is exactly a linear layer; a subclass or a custom forward may compute more."""
    return type(module) is nn.Linear and own_forward(module) is None


def _packed(layer: nn.Linear) -> Forward:
    ops: Any = torch.ops.mkldnn
    weight, bias, product = (
        ops._reorder_linear_weight(layer.weight.detach(), _ROWS),
        layer.bias,
        ops._linear_pointwise,
    )
    return lambda x: product(x, weight, bias, "none", [], "")


def _reproduces(layer: nn.Linear, forward: Forward) -> bool:
    weight = layer.weight
    x = torch.sin(torch.arange(3 * weight.shape[1], dtype=torch.float32)).view(3, -1)
    x = x.to(weight.dtype)
    a, b = forward(x).float(), layer(x).float()
    tolerance = 1e-4 if weight.dtype == torch.float32 else 2e-2
    return bool((a - b).abs().max() <= tolerance * (1 + b.abs().max()))
