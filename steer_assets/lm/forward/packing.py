"""Linear layers over weights laid out once for the processor's matrix kernel.

A linear layer of a few hundred rows spends a good part of its time bringing the weight into the
blocks that the kernel reads (oneDNN's inner product). Decoding reads the same weights a thousand
times, so they are laid out once and kept beside the model: a second copy of its linear weights, in
return for products that are a quarter to a half faster. Where the kernel is not there, does not
reproduce the plain product, or the copy would take more than a share of the machine's memory, the
model's own layers run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from steer_assets.lm.machine import machine_memory
from steer_assets.lm.model import LanguageModel

_ROWS = 256  # the layout is chosen for batches of about this size and good for all
_SHARE = 0.2  # of all memory, not of what is free: two runs on a machine round alike
_DTYPES = (torch.float32, torch.bfloat16)

Forward = Callable[[Tensor], Tensor]


@contextmanager
def packed_weights(lm: LanguageModel) -> Iterator[int]:
    """Run the model's linear layers over packed weights, and say how many there are.

    For inference alone: derivatives do not pass. Threads may run the model within one such block.
    """
    forwards = _forwards(lm)
    if any("forward" in vars(module) for module in forwards):
        yield len(forwards)  # an outer block holds them
        return
    for module, forward in forwards.items():
        vars(module)["forward"] = forward
    try:
        yield len(forwards)
    finally:
        for module in forwards:
            del vars(module)["forward"]


def _forwards(lm: LanguageModel) -> dict[nn.Module, Forward]:
    known: dict[nn.Module, Forward] | None = getattr(lm, "_packed_forwards", None)
    if known is None:
        known = _pack(lm)
        lm._packed_forwards = known  # type: ignore[attr-defined]
    return known


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
            right = _reproduces(layers[0], forwards[layers[0]])
    except (AttributeError, RuntimeError):  # this build of torch has no such kernel
        return {}
    return forwards if right else {}


def _is_plain(module: nn.Module) -> bool:
    """Exactly a linear layer: a subclass or one with its own forward may do something else."""
    return type(module) is nn.Linear and "forward" not in vars(module)


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
