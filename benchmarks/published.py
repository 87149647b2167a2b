"""The published way, written as published: one prompt at a time.

``generate`` with ``num_return_sequences`` and a hook that adds to the last position; whole
forwards for logits; ``output_hidden_states`` for activations; a Jacobian by central differences
along random probes. Sampling keeps the whole vocabulary (no top-k), so that both ways draw from one
distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

STEP = 0.01
PROBES = 1000


@contextmanager
def steered(model: Any, layer: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Add ``change`` to the block's output at the last position of whatever passes."""

    def hook(_module: Any, _args: Any, output: Any) -> Any:
        hidden = (output if isinstance(output, Tensor) else output[0]).clone()
        hidden[:, -1] = change(hidden[:, -1])
        return hidden if isinstance(output, Tensor) else (hidden, *output[1:])

    handle = model.model.layers[layer].register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def generate(
    model: Any, prompt: Sequence[int], layer: int, vector: Tensor, n: int, new: int, **options: Any
) -> list[list[int]]:
    """``n`` samples of ``new`` tokens for one prompt and one vector."""
    ids = torch.tensor([list(prompt)])
    sampling = {"do_sample": True, "temperature": 0.8, "top_k": 0, "top_p": 1.0} | options
    with steered(model, layer, lambda hidden: hidden + vector):
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new,
            num_return_sequences=n,
            eos_token_id=None,  # every row has the same length, for the measurement
            pad_token_id=0,
            **sampling,
        )
    return out[:, ids.shape[1] :].tolist()


@torch.no_grad()
def logits(model: Any, prompt: Sequence[int], layer: int, vector: Tensor) -> Tensor:
    """Next-token logits by a whole forward."""
    with steered(model, layer, lambda hidden: hidden + vector):
        return model(torch.tensor([list(prompt)])).logits[0, -1]


@contextmanager
def steered_from(model: Any, layer: int, first: int, vector: Tensor | None) -> Iterator[None]:
    """Add ``vector`` to the block's output at positions ``first`` and later."""

    def hook(_module: Any, _args: Any, output: Any) -> Any:
        hidden = output if isinstance(output, Tensor) else output[0]
        moved = torch.cat([hidden[:, :first], hidden[:, first:] + vector], dim=1)
        return moved if isinstance(output, Tensor) else (moved, *output[1:])

    handle = None if vector is None else model.model.layers[layer].register_forward_hook(hook)
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def _log_probability(
    model: Any, prompt: Sequence[int], text: Sequence[int], layer: int, vector: Tensor | None,
    temperature: float,
) -> Tensor:  # fmt: skip
    ids, first = torch.tensor([[*prompt, *text]]), len(prompt) - 1
    with steered_from(model, layer, first, vector):
        scores = model(ids, use_cache=False).logits[0, first:-1] / temperature
    return scores.log_softmax(dim=-1).gather(1, ids[0, first + 1 :, None]).sum()


@torch.no_grad()
def log_probability(
    model: Any, prompt: Sequence[int], text: Sequence[int], layer: int, vector: Tensor | None,
    temperature: float,
) -> float:  # fmt: skip
    """Log-probability of a text under an arm: one text per whole forward."""
    return float(_log_probability(model, prompt, text, layer, vector, temperature))


def log_probability_gradient(
    model: Any, prompt: Sequence[int], text: Sequence[int], layer: int, vector: Tensor,
    temperature: float,
) -> Tensor:  # fmt: skip
    """Its gradient by the vector: one text per whole forward and backward."""
    leaf = vector.clone().requires_grad_()
    value = _log_probability(model, prompt, text, layer, leaf, temperature)
    return torch.autograd.grad(value, leaf)[0]


@torch.no_grad()
def capture(model: Any, prompts: Sequence[Sequence[int]], layer: int) -> Tensor:
    """Last-token states by ``output_hidden_states``, all layers kept, prompt by prompt."""
    rows = [
        model(torch.tensor([list(prompt)]), output_hidden_states=True).hidden_states[layer + 1]
        for prompt in prompts
    ]
    return torch.stack([hidden[0, -1] for hidden in rows])


@torch.no_grad()
def probe(model: Any, prompt: Sequence[int], layer: int, direction: Tensor) -> Tensor:
    """J u by central differences in the model's dtype: two whole forwards."""
    ids = torch.tensor([list(prompt)])
    found = []
    for sign in (1, -1):
        with steered(model, layer, lambda hidden, sign=sign: hidden + sign * STEP * direction):
            found.append(model(ids).logits[0, -1])
    return (found[0] - found[1]) / (2 * STEP)
