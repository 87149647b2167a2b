"""Fluency measures of a text, independent of its trait.

Two broken texts have equal scores on any trait, so a verdict of equivalence also requires fluency.

    distinct-n   = distinct n-grams / n-grams             (Li et al., NAACL 2016)
    repetition   = 1 - distinct-2 distinct-3 distinct-4   (1 - diversity of Su et al., NeurIPS 2022)
    perplexity   = exp(-mean log-probability per token), under the unsteered model

A word is a run of letters or digits, or a single other character, case folded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


@dataclass(frozen=True)
class Fluency:
    """Fluency of one text. Texts shorter than an n-gram have distinct-n 1 (no repetition)."""

    n_words: int
    distinct_1: float
    distinct_2: float
    distinct_3: float
    repetition: float


def words(text: str) -> list[str]:
    """Words and single characters, case folded."""
    return _WORD.findall(text.casefold())


def distinct_n(tokens: Sequence[object], n: int) -> float:
    """Share of n-grams that are distinct; 1.0 for fewer than n tokens.

    Raises:
        ValueError: if n < 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}: expected at least 1")
    count = len(tokens) - n + 1
    if count < 1:
        return 1.0
    return len({tuple(tokens[start : start + n]) for start in range(count)}) / count


def fluency(text: str) -> Fluency:
    """Distinct-n for n = 1, 2, 3, and repetition."""
    tokens = words(text)
    one, two, three, four = (distinct_n(tokens, n) for n in (1, 2, 3, 4))
    return Fluency(len(tokens), one, two, three, repetition=1.0 - two * three * four)


def perplexity(log_probabilities: Sequence[float]) -> float:
    """exp of the mean negative log-probability (nats) of a text's tokens.

    Raises:
        ValueError: for no tokens, or a log-probability that is not finite or above 0.
    """
    values = np.asarray(log_probabilities, dtype=np.float64)
    if values.size == 0:
        raise ValueError("perplexity of no tokens is not defined")
    if not np.isfinite(values).all() or (values > 1e-6).any():
        raise ValueError(
            f"log-probabilities between {values.min()} and {values.max()}: "
            "expected finite numbers, at most 0"
        )
    return float(np.exp(-values.mean()))
