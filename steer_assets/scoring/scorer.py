"""What every scorer is: text in, one real number per text out.

A score is on a logit scale (logits, log-odds), larger meaning closer to the trait's positive pole.
It is never a probability: probabilities saturate at the poles, where steering pushes texts, and a
saturated score hides differences from the paired tests that are run on it.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float


class ScorerUnavailable(RuntimeError):
    """A scorer's model cannot be had here (no network, not cached); the message says why.

    Distinct from ``ValueError``, which means the request itself is wrong: a study may go on without
    an unavailable scorer, never with a wrong one.
    """


@runtime_checkable
class Scorer(Protocol):
    """A trait score for texts, without their prompts."""

    @property
    def name(self) -> str:
        """Key of the scorer in ``classifier_scores`` and ``scorer_validation``."""
        ...

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Scores in input order, float64, finite for any text, the empty one included."""
        ...


def readable(text: str) -> str:
    """The text with lone surrogates replaced, which no tokenizer accepts.

    They come out of byte-level decoding cut in the middle of a character and out of JSON escapes.
    """
    return text.encode("utf-8", "replace").decode("utf-8")
