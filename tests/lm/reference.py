"""The reference for the engine: one row at a time, with forwards over whole sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from steer_assets.lm.decoding.decode import Generation, Sampling
from steer_assets.lm.decoding.noise import NoiseKey, exponentials
from steer_assets.lm.forward.intervene import Arm
from steer_assets.lm.model import LanguageModel


class AllDouble(TorchFunctionMode):
    """Keeps float64 where transformers asks for float32 (norms, rotary angles, softmax)."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> torch.Tensor:
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.float:
            return args[0].double()
        if kwargs.get("dtype") is torch.float32:
            kwargs["dtype"] = torch.float64
        args = tuple(torch.float64 if arg is torch.float32 else arg for arg in args)
        return func(*args, **kwargs)


def forward(
    lm: LanguageModel,
    tokens: Sequence[int],
    arm: Arm,
    vectors: np.ndarray,
    steered: int | Sequence[int],
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits [t, V] and every block's output [t, d], steered from a position on, or at several."""
    at = range(steered, len(tokens)) if isinstance(steered, int) else steered
    outputs: list[torch.Tensor] = []

    def hook_of(layer: int) -> Any:
        def hook(_module: Any, _args: Any, output: Any) -> Any:
            hidden = output if isinstance(output, torch.Tensor) else output[0]
            for addition in arm:
                if addition.layer == layer:
                    hidden = hidden.clone()
                    step = torch.from_numpy(addition.alpha * vectors[addition.vector])
                    hidden[:, list(at)] += step.to(hidden.dtype)
            outputs.append(hidden[0])
            return hidden if isinstance(output, torch.Tensor) else (hidden, *output[1:])

        return hook

    handles = [b.register_forward_hook(hook_of(i)) for i, b in enumerate(lm.layout.blocks)]
    try:
        with torch.no_grad():
            logits = lm.model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0]
    finally:
        for handle in handles:
            handle.remove()
    return logits, outputs


def last_logits(
    lm: LanguageModel, prompt: Sequence[int], arm: Arm, vectors: np.ndarray
) -> np.ndarray:
    logits, _ = forward(lm, prompt, arm, vectors, len(prompt) - 1)
    return logits[-1].numpy()


def same_texts(rows: Sequence[Generation], others: Sequence[Generation]) -> None:
    """The same texts; their probabilities differ by rounding alone."""
    measured = ("log_probability", "least_token_log_probability")
    rough = dict.fromkeys(measured, 0.0)
    assert [replace(row, **rough) for row in rows] == [replace(row, **rough) for row in others]
    for name in measured:
        a, b = ([getattr(row, name) for row in found] for found in (rows, others))
        np.testing.assert_allclose(a, b, atol=1e-4)


def sampled_from(logits: torch.Tensor, sampling: Sampling) -> np.ndarray:
    """Probabilities [V] that a token is drawn from, float64; the model's own at temperature 0."""
    z = logits.double().numpy() / (sampling.temperature or 1.0)
    p = np.exp(z - z.max())
    p /= p.sum()
    if sampling.top_p < 1.0:
        order = np.argsort(-p)
        before = np.cumsum(p[order]) - p[order]
        p[order[before >= sampling.top_p]] = 0.0
    return p / p.sum()


def token_log_probabilities(
    lm: LanguageModel,
    prompt: Sequence[int],
    text: Sequence[int],
    arm: Arm,
    vectors: np.ndarray,
    sampling: Sampling,
) -> list[float]:
    """Log-probability of every token of a text, by one whole forward."""
    logits, _ = forward(lm, [*prompt, *text], arm, vectors, len(prompt) - 1)
    at = range(len(prompt) - 1, len(prompt) + len(text) - 1)
    return [
        float(np.log(sampled_from(logits[i], sampling)[token]))
        for i, token in zip(at, text, strict=True)
    ]


def drawn(
    lm: LanguageModel,
    prompt: Sequence[int],
    text: Sequence[int],
    arm: Arm,
    vectors: np.ndarray,
    sampling: Sampling,
    key: NoiseKey,
) -> list[int]:
    """Tokens of one row by a whole forward over it, and the race E_i / p_i in float64.

    Each is drawn after those of ``text`` before it, so that a text as it should be is its own; one
    that ends too early has a further token.
    """
    logits, _ = forward(lm, [*prompt, *text], arm, vectors, len(prompt) - 1)
    ids: list[int] = []
    for step in range(min(len(text) + 1, sampling.max_new_tokens)):
        p = sampled_from(logits[len(prompt) - 1 + step], sampling)
        if sampling.temperature == 0:
            token = int(p.argmax())
        else:
            with np.errstate(divide="ignore"):
                token = int((exponentials([key], step, len(p))[0] / p).argmin())
        ids.append(token)
        if token in lm.stop_ids:
            break
    return ids
