"""Seeds: every random number is derived from the study's root seed and a purpose key."""

import hashlib

import numpy as np

from steer_assets.catalog.studies import Study


def entropy(study: Study, *purpose: str) -> tuple[int, ...]:
    """Entropy words for a `SeedSequence`, derived from the root seed and the purpose key."""
    digest = hashlib.sha256("\x1f".join(purpose).encode()).digest()
    words = np.frombuffer(digest, dtype="<u4")[:4]
    return (study.seed, *(int(word) for word in words))


def generator(study: Study, *purpose: str) -> np.random.Generator:
    """A numpy generator for one purpose."""
    return np.random.default_rng(np.random.SeedSequence(entropy(study, *purpose)))


def integer(study: Study, *purpose: str) -> int:
    """A 31-bit seed, for libraries that take an integer."""
    return int(np.random.SeedSequence(entropy(study, *purpose)).generate_state(1)[0] >> 1)
