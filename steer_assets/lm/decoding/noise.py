"""Sampling noise as a counter-based function of (root seed, prompt, sample, step).

Philox (Salmon et al. 2011) keyed by seed, prompt and sample, its counter set by the step: the noise
of one step does not depend on earlier draws, on the batch, or on the arm. All arms of a prompt and
sample therefore use the same numbers, token by token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

_COARSE = np.uint32(1 << 12)  # below this, a step of 1 in k exceeds 2^-12 of the number
_ABOVE_ZERO = 2.0**-54
_BELOW_ONE = 1.0 - 2.0**-24  # the largest float32 below 1


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
        """The key reduced to 63 bits, for the tables."""
        return self.words[0] >> 1


def exponentials(keys: Sequence[NoiseKey], step: int, size: int) -> Float[np.ndarray, "keys v"]:
    """Standard exponential noise of each key at ``step``, float32, one number per token, non-zero.

    E = -log(1 - U), U = (k + 1/2) / 2^32 for 32 random bits k. A token of probability p wins the
    race in about p of the draws because P(E < p) is about p, so small U need high resolution: for k
    < 2^12 the 1/2 is replaced by 53 further bits of a second stream. The lower tail is then
    exponential down to 2^-85, where a float32 ziggurat has multiples of 2^-23 and an atom at 0. The
    upper tail ends at 24 log 2 = 16.6; a token with so large a number is not selected anyway.
    """
    out = np.empty((len(keys), size), dtype=np.float32)
    for row, key in enumerate(keys):
        bits = _stream(key, step, 0).integers(0, 1 << 32, size=size, dtype=np.uint32)
        out[row] = bits
        out[row] += np.float32(0.5)
        small = np.flatnonzero(bits < _COARSE)
        if len(small):
            out[row, small] = bits[small] + _stream(key, step, 1).random(len(small)) + _ABOVE_ZERO
    uniform = torch.from_numpy(out).mul_(2.0**-32).clamp_max_(_BELOW_ONE)
    uniform.neg_().log1p_().neg_()
    return out


def _stream(key: NoiseKey, step: int, which: int) -> np.random.Generator:
    # The step is the counter's highest word and the stream the next one, so streams do not overlap.
    return np.random.Generator(
        np.random.Philox(
            key=np.array(key.words, dtype=np.uint64),
            counter=np.array([0, 0, which, step], dtype=np.uint64),
        )
    )
