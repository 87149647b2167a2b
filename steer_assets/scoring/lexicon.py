"""The ``lexicon`` scorer of sentiment: VADER, a lexicon with rules, fitted to nothing here.

Words have valences rated by people; rules handle negation, degree words, capitals and punctuation
(Hutto & Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text", ICWSM 2014). Its ``compound`` c lies in [-1, 1]; the score is log((1 + c) / (1 - c)).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from steer_assets.scoring.scorer import ScorerUnavailable, readable

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

PACKAGE = "vaderSentiment"
#: ``compound`` has four decimals.
_LARGEST = 0.9999


@dataclass(frozen=True)
class LexiconScorer:
    """A ``Scorer``; 0 for texts without a word of the lexicon."""

    name: str

    def __post_init__(self) -> None:
        if importlib.util.find_spec(PACKAGE) is None:
            raise ScorerUnavailable(f"scorer {self.name!r}: package {PACKAGE} is not installed")

    @cached_property
    def _analyzer(self) -> SentimentIntensityAnalyzer:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        return SentimentIntensityAnalyzer()

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Scores in input order, float64, finite for any text."""
        found = [self._analyzer.polarity_scores(readable(text))["compound"] for text in texts]
        compound = np.clip(np.array(found, dtype=np.float64), -_LARGEST, _LARGEST)
        return np.asarray(np.log1p(compound) - np.log1p(-compound))
