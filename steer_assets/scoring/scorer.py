"""The interface of scorers: from texts to one real number per text.

A score is on a logit scale (logits, log-odds); larger means closer to the trait's positive pole. It
is never a probability: probabilities saturate at the poles, where steering pushes texts, and a
saturated score hides differences from the paired tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from steer_assets.scoring.validation import Validation


class ScorerUnavailable(RuntimeError):
    """A scorer's model is not available (no network, not cached); the message gives the reason.

    Distinct from ``ValueError``, which means that the request is invalid: a study can continue
    without an unavailable scorer, but not with an invalid one.
    """


@runtime_checkable
class Scorer(Protocol):
    """A trait score for texts, without their prompts."""

    @property
    def name(self) -> str:
        """Key of the scorer in ``classifier_scores`` and ``scorer_validation``."""
        ...

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Scores in input order, float64, finite for any text, including the empty one."""
        ...


@runtime_checkable
class FittedScorer(Scorer, Protocol):
    """A scorer fitted to labelled texts, which cannot be validated on the same texts."""

    def held_out(self) -> Validation:
        """AUROC on held-out topics; every text is scored by a fit without its topic."""
        ...


def score_once(scorer: Scorer, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
    """Scores in input order; equal texts are scored once, which makes their scores equal."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return np.empty(0)
    scores = np.asarray(scorer.score(distinct), dtype=np.float64)
    of = dict(zip(distinct, scores.tolist(), strict=True))
    return np.array([of[text] for text in texts])


def readable(text: str) -> str:
    """The text with lone surrogates replaced, which no tokenizer accepts.

    They occur when byte-level decoding stops within a character, and in JSON escapes.
    """
    return text.encode("utf-8", "replace").decode("utf-8")
