"""Seeds: every random number of a study comes from its root seed and what the number is for."""

import hashlib

import numpy as np

from steer_assets.catalog.studies import Study


def entropy(study: Study, *purpose: str) -> tuple[int, ...]:
    """Words for a `SeedSequence`, keyed by the root seed and by what the numbers are for."""
    digest = hashlib.sha256("\x1f".join(purpose).encode()).digest()
    words = np.frombuffer(digest, dtype="<u4")[:4]
    return (study.seed, *(int(word) for word in words))


def generator(study: Study, *purpose: str) -> np.random.Generator:
    """A generator for one purpose."""
    return np.random.default_rng(np.random.SeedSequence(entropy(study, *purpose)))


def integer(study: Study, *purpose: str) -> int:
    """A seed of 31 bits, for libraries that take one number."""
    return int(np.random.SeedSequence(entropy(study, *purpose)).generate_state(1)[0] >> 1)
