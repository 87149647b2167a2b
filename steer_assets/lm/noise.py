"""Sampling noise as a counter-based function of (root seed, prompt, sample, step).

Philox (Salmon et al. 2011) keyed by seed, prompt and sample, its counter set by the step: the
noise of one step does not depend on what was drawn before, on the batch, or on the arm. All arms
of a prompt and sample therefore draw the same numbers, token by token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class NoiseKey:
    """Key of the noise of one (prompt, sample) under a root seed."""

    words: tuple[int, int]

    @classmethod
    def of(cls, seed: int, prompt_key: str, sample: int) -> NoiseKey:
        """Key from the root seed (not negative), the prompt's name and the sample's number."""
        digest = hashlib.sha256(prompt_key.encode()).digest()
        sequence = np.random.SeedSequence([seed, int.from_bytes(digest[:16], "little"), sample])
        first, second = sequence.generate_state(2, np.uint64)
        return cls((int(first), int(second)))

    @property
    def seed(self) -> int:
        """The key in 63 bits, for the record."""
        return self.words[0] >> 1


def exponentials(keys: Sequence[NoiseKey], step: int, size: int) -> Float[np.ndarray, "keys v"]:
    """Standard exponential noise of each key at ``step``, float32, one number per token."""
    out = np.empty((len(keys), size), dtype=np.float32)
    for row, key in enumerate(keys):
        # The step is the counter's highest word: steps cannot overlap.
        bits = np.random.Philox(
            key=np.array(key.words, dtype=np.uint64),
            counter=np.array([0, 0, 0, step], dtype=np.uint64),
        )
        np.random.Generator(bits).standard_exponential(out=out[row], dtype=np.float32)
    return out
