"""Locates the residual stream of a decoder-only transformers model by its structure.

There is no table of model names: the blocks are the only list of ``num_hidden_layers`` modules that
a short forward pass calls once each, in order, with outputs of shape [batch, tokens, hidden size].
Layer l is the residual stream at the output of block l.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steer_assets.lm.errors import UnknownLayoutError


@dataclass(frozen=True)
class Layout:
    """Modules of a model that the engine reads and writes.

    ``output_arity[l]`` is 0 if block l returns a tensor, else the length of the tuple whose first
    entry is the residual stream.
    """

    blocks: tuple[nn.Module, ...]
    backbone: nn.Module
    head: nn.Linear
    hidden_size: int
    vocab_size: int
    output_arity: tuple[int, ...]


def residual(output: Any) -> Tensor:
    """The residual stream [batch, tokens, d] within a block's output."""
    hidden = output if isinstance(output, Tensor) else output[0]
    assert isinstance(hidden, Tensor)
    return hidden


def with_residual(output: Any, hidden: Tensor) -> Any:
    """The block's output with its residual stream replaced."""
    return hidden if isinstance(output, Tensor) else (hidden, *output[1:])


def find_layout(model: nn.Module) -> Layout:
    """Locate blocks, backbone and unembedding of ``model``, verified by a two-token forward.

    Raises UnknownLayoutError if they are not found.
    """
    config: Any = model.config
    name = type(model).__name__
    if getattr(config, "is_encoder_decoder", False):
        raise UnknownLayoutError(f"{name} is an encoder-decoder; take a decoder-only model")
    text = config.get_text_config()
    n_layers, hidden_size = getattr(text, "num_hidden_layers", None), text.hidden_size
    if getattr(config, "rescale_every", 0):
        # RWKV halves its own weights on the first forward to avoid float16 overflow. Without this,
        # logits are the same, weights stay as in the file, and every layer has the same unit.
        config.rescale_every = 0
    head = model.get_output_embeddings()  # type: ignore[operator]
    backbone = getattr(model, getattr(model, "base_model_prefix", "") or "-", None)
    if not isinstance(head, nn.Linear) or not isinstance(backbone, nn.Module):
        raise UnknownLayoutError(
            f"{name} has no linear unembedding over a backbone; take a causal language model"
        )
    blocks = _block_list(backbone, n_layers, name)
    arity = _probe(backbone, blocks, hidden_size, name)
    return Layout(blocks, backbone, head, hidden_size, head.out_features, arity)


def _block_list(backbone: nn.Module, n_layers: int | None, name: str) -> tuple[nn.Module, ...]:
    lists = {
        path: module
        for path, module in backbone.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == n_layers
    }
    # A list inside another one (experts of a block) is not the list of blocks.
    outer = [m for path, m in lists.items() if not any(_inside(path, other) for other in lists)]
    if len(outer) != 1:
        raise UnknownLayoutError(
            f"{name} has {len(outer)} module lists of {n_layers} blocks where exactly one was "
            "expected; this layout is not supported"
        )
    return tuple(outer[0])


def _inside(path: str, other: str) -> bool:
    return path != other and path.startswith(f"{other}.")


def _probe(
    backbone: nn.Module, blocks: tuple[nn.Module, ...], hidden_size: int, name: str
) -> tuple[int, ...]:
    calls: list[tuple[int, int]] = []
    shapes: list[tuple[int, ...]] = []

    def record(index: int) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            hidden = output if isinstance(output, Tensor) else output[0]
            calls.append((index, 0 if isinstance(output, Tensor) else len(output)))
            shapes.append(tuple(hidden.shape))

        return hook

    handles = [block.register_forward_hook(record(i)) for i, block in enumerate(blocks)]
    device = next(backbone.parameters()).device
    kind = ", ".join(sorted({type(block).__name__ for block in blocks}))
    versions = [parameter._version for parameter in backbone.parameters()]
    try:
        with torch.inference_mode():
            backbone(input_ids=torch.tensor([[1, 2]], device=device), use_cache=False)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnknownLayoutError(
            f"{name} cannot run its blocks ({kind}) on two tokens: {reason}; this layout is not "
            "supported"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if versions != [parameter._version for parameter in backbone.parameters()]:
        raise UnknownLayoutError(
            f"{name} changes its own weights when its blocks ({kind}) run; this layout is not "
            "supported"
        )
    if [index for index, _ in calls] != list(range(len(blocks))):
        raise UnknownLayoutError(
            f"{name} calls its blocks ({kind}) in the order {[i for i, _ in calls]}, not once each "
            f"from 0 to {len(blocks) - 1}; this layout is not supported"
        )
    if set(shapes) != {(1, 2, hidden_size)}:
        raise UnknownLayoutError(
            f"{name} has blocks ({kind}) with outputs of shapes {sorted(set(shapes))} where "
            f"(1, 2, {hidden_size}) was expected; this layout is not supported"
        )
    return tuple(n for _, n in calls)
