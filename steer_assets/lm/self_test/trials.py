"""Trials of the assumptions of measurements; each returns the model's largest error.

An error is a difference of logits or of block outputs relative to the largest of them; rounding
gives 1e-6 in float32, a missing term far more. The fast methods used by stages are compared with
plain forwards, one row at a time and without a cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steer_assets.lm.forward.intervene import Addition, ArmTable, Steering, editing
from steer_assets.lm.forward.replacing import forwards_replaced
from steer_assets.lm.forward.stepping import prepare, start_rows
from steer_assets.lm.layout import residual, with_residual
from steer_assets.lm.measurements.capture import capture_last
from steer_assets.lm.measurements.likelihood import log_probabilities
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.lm.model import LanguageModel

Tokens = list[int]

_ALPHA = 0.5


def trial_prompts(lm: LanguageModel, n_tokens: int) -> list[Tokens]:
    """Prompts of 1, ``n_tokens`` - 3 and ``n_tokens`` tokens; the longer ones share a start.

    The first one starts differently, so that leakage between rows is not the same for all of them.
    """
    size = min(lm.vocab_size, 1000)
    start = [(7 * i + 3) % size for i in range(3)]
    lengths = (max(1, n_tokens - 3), n_tokens)
    longer = [(start + [(5 * i + 11 * n) % size for i in range(3, n)])[:n] for n in lengths]
    return [[29 % size], *longer]


def relative(found: Any, expected: Any) -> float:
    """Largest difference relative to the largest expected value; infinite if not finite."""
    a, b = (np.asarray(x, dtype=np.float64) for x in (found, expected))
    error = float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-9))
    return error if math.isfinite(error) else math.inf


def plain(lm: LanguageModel, prompt: Sequence[int]) -> Float[np.ndarray, "t v"]:
    """Logits of one whole sequence, by the model's own forward without a cache."""
    with torch.inference_mode():
        logits: Tensor = lm.model(input_ids=lm.tensor([list(prompt)]), use_cache=False).logits
    found: np.ndarray = logits[0].float().cpu().numpy()
    return found


def causal_error(lm: LanguageModel, prompt: Tokens) -> float:
    """Change of earlier logits when the last quarter of ``prompt`` is replaced."""
    size = min(lm.vocab_size, 1000)
    kept = max(1, len(prompt) * 3 // 4)
    other = prompt[:kept] + [(11 * token + 5) % size for token in prompt[kept:]]
    first = plain(lm, prompt)
    if not np.isfinite(first).all():
        return math.inf
    return relative(plain(lm, other)[:kept], first[:kept])


def batch_error(lm: LanguageModel, prompts: list[Tokens]) -> float:
    """Block outputs of the two shorter prompts alone, and in a batch with all of them."""
    layers = list(range(lm.n_layers))
    together = capture_last(lm, prompts, layers)
    alone = [capture_last(lm, [prompt], layers) for prompt in prompts[:2]]
    return max(
        relative(together[layer][row], own[layer][0])
        for row, own in enumerate(alone)
        for layer in layers
    )


def prefix_error(lm: LanguageModel, prompts: list[Tokens], n_steps: int) -> float:
    """Next-token logits and text likelihoods over cached prefixes against plain forwards.

    All prompts decode ``n_steps`` given tokens together; the plain forwards are of single rows.
    """
    size = min(lm.vocab_size, 1000)
    texts = [[(13 * row + 3 * i + 1) % size for i in range(n_steps)] for row in range(len(prompts))]
    whole = [plain(lm, prompt + text) for prompt, text in zip(prompts, texts, strict=True)]
    tokens = [[prompt[-1], *text] for prompt, text in zip(prompts, texts, strict=True)]
    errors = []
    with torch.inference_mode():
        rows = start_rows(lm, prepare(lm, prompts), lm.tensor(list(range(len(prompts)))), n_steps)
        for step in range(n_steps):
            found = rows.step(lm.tensor([own[step] for own in tokens])).float().cpu().numpy()
            for row, prompt in enumerate(prompts):
                errors.append(relative(found[row], whole[row][len(prompt) - 1 + step]))
    values = log_probabilities(lm, prompts[1:], [(0, texts[1]), (0, texts[2]), (1, texts[2])])
    for value, row in ((values[0], 1), (values[2], 2)):
        logits = whole[row][len(prompts[row]) - 1 : -1].astype(np.float64)
        expected = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        errors.append(relative(value, expected[np.arange(n_steps), texts[row]]))
    return max(errors)


def hook_error(lm: LanguageModel, prompt: Tokens, layers: Sequence[int]) -> float:
    """Error of steering at each of ``layers``: that block, earlier blocks, and the logits.

    The expected logits come from a forward without hooks whose block itself adds the vector.
    Infinite if the logits do not change at all.
    """
    states = capture_last(lm, [prompt], list(range(max(layers) + 1)))
    directions = np.random.default_rng(7).normal(size=(len(layers), lm.hidden_size))
    lengths = [float(np.linalg.norm(states[layer])) or 1.0 for layer in layers]
    vectors = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    vectors = vectors * np.array(lengths)[:, None]
    arms = [(Addition(layer, i, _ALPHA),) for i, layer in enumerate(layers)]
    ((_, logits),) = next_token_logits(lm, [prompt], [(), *arms], vectors)
    errors = []
    for arm, layer, steered_logits in zip(arms, layers, logits[1:], strict=True):
        table = ArmTable(lm, [arm], vectors)
        with editing(lm, Steering(table, lm.tensor([0])).edits()):
            steered = capture_last(lm, [prompt], list(range(layer + 1)))
        added = table.by_layer[layer]
        expected = torch.from_numpy(states[layer]).to(added) + added
        errors += [relative(steered[below], states[below]) for below in range(layer)]
        errors.append(relative(steered[layer], expected.float().cpu().numpy()))
        with _adding(lm, layer, added):
            errors.append(relative(steered_logits, plain(lm, prompt)[-1]))
        if np.array_equal(logits[0], steered_logits):
            return math.inf
    return max(errors)


def _adding(
    lm: LanguageModel, layer: int, added: Float[Tensor, "1 d"]
) -> AbstractContextManager[None]:
    """Block ``layer`` itself adds ``added`` at the last position, without any hook."""
    block = lm.layout.blocks[layer]
    own = block.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        output = own(*args, **kwargs)
        hidden = residual(output).clone()
        hidden[:, -1] += added
        return with_residual(output, hidden)

    return forwards_replaced({block: forward})


def is_finite(lm: LanguageModel, prompt: Tokens) -> bool:
    """Whether all block outputs and logits of one forward are finite in the model's dtype."""
    finite: list[bool] = []

    def look(hidden: Tensor) -> None:
        finite.append(bool(hidden.isfinite().all()))

    with editing(lm, dict.fromkeys(range(lm.n_layers), look)):
        logits = plain(lm, prompt)
    return all(finite) and bool(np.isfinite(logits).all())
