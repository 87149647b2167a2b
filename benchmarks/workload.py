"""Prompts and vectors of the measurements: fixed, and of an ordinary length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from steer_assets.lm.forward.intervene import Addition, Arm
from steer_assets.lm.measurements.capture import capture_last
from steer_assets.lm.model import LanguageModel

LAYER = 15
_TASKS = (
    "Write an email to {} about {}",
    "Explain {1} to {0}",
    "Tell {} a short story about {}",
    "What should {} know about {}?",
    "Give {} three tips on {}",
)
_PEOPLE = ("a colleague", "my neighbour", "a new customer", "the school board")
_TOPICS = ("a delayed train", "the weather", "healthy food", "an open position", "a lost key")


def texts() -> list[str]:
    """One hundred requests."""
    return [t.format(p, o) for t in _TASKS for p in _PEOPLE for o in _TOPICS]


def vectors(lm: LanguageModel, prompts: Sequence[Sequence[int]], n: int) -> np.ndarray:
    """``n`` directions as long as the difference of two prompts' states."""
    states = capture_last(lm, prompts[:20], [LAYER])[LAYER].astype(np.float64)
    length = np.linalg.norm(states[0] - states[10])
    random = np.random.default_rng(0).normal(size=(n, lm.hidden_size))
    return length * random / np.linalg.norm(random, axis=1, keepdims=True)


def arms(n: int) -> list[Arm]:
    """One arm per vector."""
    return [(Addition(LAYER, index, 1.0),) for index in range(n)]
