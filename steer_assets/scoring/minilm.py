"""The ``minilm`` scorer: a linear head on the embedded encoder, fitted on labelled texts.

Features are token means of several hidden layers: sentence embeddings proper (the last layer) hold
what a text is about, the layers below how it is said. Everything is fitted from the texts handed
in, deterministically.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from steer_assets.scoring.encoder import MiniLMEncoder
from steer_assets.scoring.heads import LinearHead, fit_head
from steer_assets.scoring.labelled import LabelledText, is_positive
from steer_assets.scoring.validation import Validation, held_out_scores, validate_scores

__all__ = ["MiniLMEncoder", "MiniLMScorer", "fit_minilm", "validate_by_topic"]

NAME = "minilm"
#: Hidden layers whose token means are the features.
LAYERS = (2, 4, 6)


@dataclass(frozen=True)
class MiniLMScorer:
    """Log-odds of the trait's positive pole; a ``Scorer``."""

    trait: str
    encoder: MiniLMEncoder
    head: LinearHead
    name: str = NAME

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Scores in input order, float64, finite for any text."""
        return self.head.decide(_features(self.encoder, texts))


def fit_minilm(
    trait: str, labelled: Sequence[LabelledText], encoder: MiniLMEncoder, *, name: str = NAME
) -> MiniLMScorer:
    """Fit the trait's head on all labelled texts.

    Raises:
        ValueError: if a pole is missing.
    """
    features = _features(encoder, [text.text for text in labelled])
    head = fit_head(features, is_positive(labelled), [text.topic for text in labelled])
    return MiniLMScorer(trait, encoder, head, name)


def validate_by_topic(
    trait: str, labelled: Sequence[LabelledText], encoder: MiniLMEncoder, *, name: str = NAME
) -> Validation:
    """AUROC on held-out topics: every text is scored by a head that never saw its topic.

    Raises:
        ValueError: with fewer than two topics, or if a pole is missing from a fold's rest.
    """
    features = _features(encoder, [text.text for text in labelled])
    positive = is_positive(labelled)
    topics = [text.topic for text in labelled]

    def fit_and_score(fit_rows: np.ndarray, score_rows: np.ndarray) -> np.ndarray:
        head = fit_head(features[fit_rows], positive[fit_rows], [topics[row] for row in fit_rows])
        return head.decide(features[score_rows])

    return validate_scores(name, held_out_scores(labelled, fit_and_score), labelled)


def _features(encoder: MiniLMEncoder, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
    return encoder.pooled_layers(texts, LAYERS).reshape(len(texts), -1)
