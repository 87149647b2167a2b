"""The ``minilm`` scorer: a head on the embedded encoder, fitted to labelled texts.

Encoder and features are frozen. The head (``heads``) is fitted, in under a second and
deterministically, to the features and kernel of ``features``, from the given labelled texts and the
trait's anchors if it has any (``anchors``). Encoding those texts takes seconds, so the state of a
fitted scorer is stored as plain arrays and restored without encoding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from steer_assets.scoring.embedded.anchors import ANCHORS
from steer_assets.scoring.embedded.encoder import DIM, MiniLMEncoder
from steer_assets.scoring.embedded.features import (
    LAYERS,
    SURFACE_WEIGHT,
    Standard,
    TextFeatures,
    kernel,
    stack,
)
from steer_assets.scoring.embedded.heads import PENALTIES, Dual, fit_dual
from steer_assets.scoring.embedded.surface import NAMES as SURFACE_NAMES
from steer_assets.scoring.labelled import LabelledText, is_positive
from steer_assets.scoring.validation import Validation, held_out_scores, validate_scores

__all__ = ["MiniLMEncoder", "MiniLMScorer", "fit_minilm"]

NAME = "minilm"
#: Weight of all anchors together, relative to all labelled texts together.
ANCHOR_WEIGHT = 0.2
#: Inverse penalty of traits for which it was chosen on texts of other sources than the labelled
#: ones: sentiment, on sentences of product reviews and editorials that people rated (`Methods`).
INVERSE_PENALTY = MappingProxyType({"sentiment": 1.0})
_CHUNK = 1024


@dataclass(frozen=True)
class _Head:
    standard: Standard
    support: TextFeatures
    dual: Dual
    surface_weight: float

    def decide(self, features: TextFeatures) -> np.ndarray:
        new = self.standard.apply(features)
        return self.dual.decide(kernel(new, self.support, self.surface_weight))


@dataclass(frozen=True)
class _Data:
    """Labelled texts and anchors; heads are fitted to rows of the former and all of the latter."""

    trait: str
    labelled: tuple[LabelledText, ...]
    features: TextFeatures
    anchors: TextFeatures

    @classmethod
    def of(cls, trait: str, labelled: Sequence[LabelledText], encoder: MiniLMEncoder) -> "_Data":
        positive, negative = _anchors(trait)
        return cls(
            trait,
            tuple(labelled),
            TextFeatures.of([text.text for text in labelled], encoder),
            TextFeatures.of(positive + negative, encoder),
        )

    @property
    def every_row(self) -> np.ndarray:
        return np.arange(len(self.labelled))

    def fit(self, rows: np.ndarray) -> _Head:
        texts = [self.labelled[row] for row in rows]
        anchors = _anchors(self.trait)
        n_anchors = len(self.anchors.hidden)
        positive = np.concatenate(
            [is_positive(texts), np.repeat([True, False], [len(pole) for pole in anchors])]
        )
        topics = [*(text.topic for text in texts), *[None] * n_anchors]
        share = ANCHOR_WEIGHT * len(rows) / max(n_anchors, 1)
        weights = np.concatenate([np.ones(len(rows)), np.full(n_anchors, share)])
        standard, support = self._support(rows)
        gram = kernel(support, support, self._surface_weight)
        penalty = INVERSE_PENALTY.get(self.trait)
        penalties = PENALTIES if penalty is None else (penalty,)
        dual = fit_dual(gram, positive, topics, weights, penalties=penalties)
        return _Head(standard, support, dual, self._surface_weight)

    def fitted(self, dual: Dual) -> _Head:
        """The head on the rows whose coefficients are given."""
        standard, support = self._support(self.every_row)
        return _Head(standard, support, dual, self._surface_weight)

    @property
    def _surface_weight(self) -> float:
        return SURFACE_WEIGHT.get(self.trait, 0.0)

    def _support(self, rows: np.ndarray) -> tuple[Standard, TextFeatures]:
        standard = Standard.of(self.features[rows])
        support = standard.apply(self.features[rows])
        if len(self.anchors.hidden):
            # Anchors are much shorter than texts: standardised by themselves they differ by pole,
            # standardised with the texts mostly by being short.
            support = stack(support, Standard.of(self.anchors).apply(self.anchors))
        return standard, support


@dataclass(frozen=True)
class MiniLMScorer:
    """Log-odds of the trait's positive pole; a ``Scorer``."""

    trait: str
    encoder: MiniLMEncoder
    data: _Data
    head: _Head
    name: str = NAME

    @property
    def state(self) -> dict[str, np.ndarray]:
        """Arrays from which ``from_state`` restores the scorer: features of its texts, and its fit.

        Token means are float32, as from the encoder; everything else is float64.
        """
        dual = self.head.dual
        return {
            "hidden": self.data.features.hidden.astype(np.float32),
            "surface": self.data.features.surface,
            "anchor_hidden": self.data.anchors.hidden.astype(np.float32),
            "anchor_surface": self.data.anchors.surface,
            "coefficients": dual.coefficients,
            "bias_and_inverse_penalty": np.array([dual.bias, dual.inverse_penalty]),
        }

    @classmethod
    def from_state(
        cls,
        trait: str,
        labelled: Sequence[LabelledText],
        encoder: MiniLMEncoder,
        state: Mapping[str, np.ndarray],
        *,
        name: str = NAME,
    ) -> "MiniLMScorer":
        """The scorer that ``fit_minilm`` made of the same texts, identical to the byte.

        Raises:
            ValueError: if the numbers of texts and anchors in the state differ from those given.
        """
        n_texts, n_anchors = len(labelled), sum(map(len, _anchors(trait)))
        hidden, surface = len(LAYERS) * DIM, len(SURFACE_NAMES)
        expected = {
            "hidden": (n_texts, hidden),
            "surface": (n_texts, surface),
            "anchor_hidden": (n_anchors, hidden),
            "anchor_surface": (n_anchors, surface),
            "coefficients": (n_texts + n_anchors,),
            "bias_and_inverse_penalty": (2,),
        }
        found = {key: value.shape for key, value in state.items()}
        if found != expected:
            raise ValueError(f"trait {trait!r}: a state of {found}, expected {expected}")
        data = _Data(
            trait,
            tuple(labelled),
            TextFeatures(state["hidden"].astype(np.float64), state["surface"]),
            TextFeatures(state["anchor_hidden"].astype(np.float64), state["anchor_surface"]),
        )
        bias, inverse_penalty = state["bias_and_inverse_penalty"].tolist()
        dual = Dual(state["coefficients"], bias, inverse_penalty)
        return cls(trait, encoder, data, data.fitted(dual), name)

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Scores in input order, float64, finite for any text."""
        out = np.empty(len(texts))
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            out[start : start + len(chunk)] = self.head.decide(TextFeatures.of(chunk, self.encoder))
        return out

    def held_out(self) -> Validation:
        """AUROC on held-out topics: every text is scored by a head fitted without its topic.

        Uses only the texts and features of this scorer, without encoding again.

        Raises:
            ValueError: with fewer than two topics.
        """
        data = self.data

        def fit_and_score(fit_rows: np.ndarray, score_rows: np.ndarray) -> np.ndarray:
            return data.fit(fit_rows).decide(data.features[score_rows])

        scores = held_out_scores(data.labelled, fit_and_score)
        return validate_scores(self.name, scores, data.labelled)


def fit_minilm(
    trait: str, labelled: Sequence[LabelledText], encoder: MiniLMEncoder, *, name: str = NAME
) -> MiniLMScorer:
    """Fit the trait's head on all labelled texts.

    Raises:
        ValueError: if a pole is missing.
    """
    _require_poles(trait, labelled)
    data = _Data.of(trait, labelled, encoder)
    return MiniLMScorer(trait, encoder, data, data.fit(data.every_row), name)


def _anchors(trait: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    anchors = ANCHORS.get(trait)
    return (anchors.positive, anchors.negative) if anchors else ((), ())


def _require_poles(trait: str, labelled: Sequence[LabelledText]) -> None:
    positive = is_positive(labelled)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if min(n_positive, n_negative) < 2:
        raise ValueError(
            f"trait {trait!r}: {n_positive} positive and {n_negative} negative labelled texts, "
            "at least 2 of each are needed"
        )
