"""The ``words`` scorer: logistic regression on the words of a text, fitted to labelled texts.

Features are single words and pairs of adjacent words, weighted by (1 + log count) times inverse
document frequency, of length one per text (Manning, Raghavan & Schütze 2008, chapter 6). It shares
the labelled texts with ``minilm`` but nothing else: no encoder, no word order beyond pairs, no
words that the labelled texts lack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from steer_assets.scoring.labelled import LabelledText, is_positive
from steer_assets.scoring.scorer import readable
from steer_assets.scoring.validation import Validation, held_out_scores, validate_scores

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

#: Inverse penalty; AUROC on held-out topics is flat from 3 to 30 for every shipped trait.
_INVERSE_PENALTY = 10.0


@dataclass(frozen=True)
class WordsScorer:
    """Log-odds of the trait's positive pole; a ``Scorer``."""

    name: str
    labelled: tuple[LabelledText, ...]
    model: Pipeline

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Scores in input order, float64, finite for any text; the bias for the empty one."""
        return _decide(self.model, texts)

    def held_out(self) -> Validation:
        """AUROC on held-out topics; every text is scored by a fit without its topic.

        Raises:
            ValueError: with fewer than two topics.
        """
        texts = [text.text for text in self.labelled]

        def fit_and_score(fit_rows: np.ndarray, score_rows: np.ndarray) -> np.ndarray:
            model = _fit([self.labelled[row] for row in fit_rows])
            return _decide(model, [texts[row] for row in score_rows])

        scores = held_out_scores(self.labelled, fit_and_score)
        return validate_scores(self.name, scores, self.labelled)


def fit_words(labelled: Sequence[LabelledText], *, name: str) -> WordsScorer:
    """Fit on all labelled texts.

    Raises:
        ValueError: if a pole is missing, or no text has a word.
    """
    if len({text.label for text in labelled}) < 2:
        raise ValueError(f"{len(labelled)} labelled texts of one pole: both are needed")
    return WordsScorer(name, tuple(labelled), _fit(labelled))


def _fit(labelled: Sequence[LabelledText]) -> Pipeline:
    # takes a second to import
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=_INVERSE_PENALTY),
    )
    with threadpool_limits(limits=1):
        return model.fit([readable(text.text) for text in labelled], is_positive(labelled))


def _decide(model: Pipeline, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
    if not texts:
        return np.empty(0)
    return np.asarray(model.decision_function([readable(text) for text in texts]))
