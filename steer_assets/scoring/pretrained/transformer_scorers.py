"""Scorers on pretrained transformers: ``hf_classifier`` and ``hf_zero_shot``.

``hf_classifier`` runs a classifier trained for the trait (or one near it). ``hf_zero_shot`` asks a
model of natural language inference whether the text entails a hypothesis for each pole (Yin, Hay &
Roth, "Benchmarking Zero-shot Text Classification", EMNLP 2019).

Both raise ``ScorerUnavailable`` if their model is not available.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from steer_assets.scoring.pretrained.classifiers import PretrainedClassifier
from steer_assets.scoring.pretrained.label_maps import label_weights, pole_log_odds


@dataclass(frozen=True)
class ClassifierScorer:
    """Log-odds of the positive pole's labels against those of the negative one."""

    name: str
    classifier: PretrainedClassifier
    weights: Float[np.ndarray, " labels"]

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Scores in input order, float64."""
        return pole_log_odds(self.classifier.logits(texts), self.weights)


@dataclass(frozen=True)
class ZeroShotScorer:
    """Entailment log-odds of the positive pole's hypothesis relative to the negative pole's."""

    name: str
    classifier: PretrainedClassifier
    weights: Float[np.ndarray, " labels"]
    positive_hypothesis: str
    negative_hypothesis: str

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Entailment log-odds of the positive hypothesis minus those of the negative, float64."""
        positive, negative = (
            pole_log_odds(self.classifier.logits(texts, [hypothesis] * len(texts)), self.weights)
            for hypothesis in (self.positive_hypothesis, self.negative_hypothesis)
        )
        return np.asarray(positive - negative)


def hf_classifier(
    name: str, location: str, label_map: Mapping[str, float], *, revision: str | None = None
) -> ClassifierScorer:
    """A classifier by hub id or folder.

    Args:
        name: key of the scorer.
        location: folder or hub id.
        label_map: weight of each label by exact name (see ``label_maps``).
        revision: commit, tag or branch on the hub.

    Raises:
        ScorerUnavailable: if the model cannot be had.
        ValueError: if the label map does not fit the model.
    """
    classifier = PretrainedClassifier.load(location, revision=revision)
    return ClassifierScorer(name, classifier, label_weights(label_map, classifier.id2label))


def hf_zero_shot(
    name: str,
    location: str,
    label_map: Mapping[str, float],
    *,
    positive_hypothesis: str,
    negative_hypothesis: str,
    revision: str | None = None,
) -> ZeroShotScorer:
    """A model of natural language inference by hub id or folder.

    Args:
        name: key of the scorer.
        location: folder or hub id.
        label_map: weight of each label by exact name, usually entailment 1, neutral 0,
            contradiction -1.
        positive_hypothesis: a sentence true of texts at the positive pole.
        negative_hypothesis: a sentence true of texts at the negative pole.
        revision: commit, tag or branch on the hub.

    Raises:
        ScorerUnavailable: if the model cannot be had.
        ValueError: if the label map does not fit the model, or the hypotheses are empty or alike.
    """
    poles = (positive_hypothesis.strip(), negative_hypothesis.strip())
    if not all(poles) or poles[0] == poles[1]:
        raise ValueError(f"hypotheses {poles[0]!r} and {poles[1]!r}: expected two that differ")
    classifier = PretrainedClassifier.load(location, revision=revision)
    weights = label_weights(label_map, classifier.id2label)
    return ZeroShotScorer(name, classifier, weights, *poles)
