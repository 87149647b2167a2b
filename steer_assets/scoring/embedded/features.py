"""Features of a text for a ``minilm`` head, and the kernel between texts.

Token means of the hidden layers are standardised and normalised to length one (z); surface
features, for traits that use them, are standardised, clipped and averaged (s). Then

    k(x, x') = (1 + z . z')^2 / 2 + w s . s'.

The squared term represents products of features ("not" with "good"), which a linear head cannot: on
held-out topics it adds 0.02 AUROC for agreeableness and changes nothing elsewhere. Normalisation to
length one bounds the score of unusual texts, in particular broken ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from steer_assets.scoring.embedded.encoder import DIM, N_LAYERS, MiniLMEncoder
from steer_assets.scoring.embedded.surface import surface_features

#: All hidden layers: style is in the lower ones, content in the upper ones. On held-out topics of
#: sentiment this adds 0.005 AUROC over four of them, elsewhere nothing.
LAYERS = tuple(range(N_LAYERS + 1))
#: Weight w of surface features by trait. They improve formality, and no other trait that was tried.
SURFACE_WEIGHT = {"formality": 0.1}
_CLIP = 3.0


@dataclass(frozen=True)
class TextFeatures:
    """Raw features of n texts: token means of hidden layers, and surface features."""

    hidden: Float[np.ndarray, "n d"]
    surface: Float[np.ndarray, "n k"]

    @classmethod
    def of(cls, texts: Sequence[str], encoder: MiniLMEncoder) -> "TextFeatures":
        """One encoder pass over the texts."""
        hidden = encoder.pooled_layers(texts, LAYERS).reshape(len(texts), len(LAYERS) * DIM)
        return cls(hidden.astype(np.float64), surface_features(texts))

    def __getitem__(self, rows: np.ndarray) -> "TextFeatures":
        return TextFeatures(self.hidden[rows], self.surface[rows])


@dataclass(frozen=True)
class Standard:
    """Location and scale of features, estimated on one set of texts."""

    hidden_mean: Float[np.ndarray, " d"]
    hidden_scale: Float[np.ndarray, " d"]
    surface_mean: Float[np.ndarray, " k"]
    surface_scale: Float[np.ndarray, " k"]

    @classmethod
    def of(cls, features: TextFeatures) -> "Standard":
        """Column means and inverse standard deviations (1 for constant columns)."""
        hidden, surface = features.hidden, features.surface
        return cls(
            hidden.mean(axis=0), _inverse_sd(hidden), surface.mean(axis=0), _inverse_sd(surface)
        )

    def apply(self, features: TextFeatures) -> TextFeatures:
        """Standardised features, scaled for the kernel's inner products."""
        z = (features.hidden - self.hidden_mean) * self.hidden_scale
        norm = np.linalg.norm(z, axis=1, keepdims=True)
        s = (features.surface - self.surface_mean) * self.surface_scale
        return TextFeatures(
            z / np.where(norm > 0, norm, 1.0), np.clip(s, -_CLIP, _CLIP) / np.sqrt(s.shape[1])
        )


def _inverse_sd(x: np.ndarray) -> np.ndarray:
    spread = x.std(axis=0)
    return np.asarray(1.0 / np.where(spread > 0, spread, 1.0))


def kernel(a: TextFeatures, b: TextFeatures, surface_weight: float) -> Float[np.ndarray, "m n"]:
    """The kernel of standardised features; see the module's docstring."""
    k = (1.0 + a.hidden @ b.hidden.T) ** 2 / 2.0
    if surface_weight:
        k += surface_weight * (a.surface @ b.surface.T)
    return np.asarray(k)


def stack(a: TextFeatures, b: TextFeatures) -> TextFeatures:
    """Rows of a, then rows of b."""
    return TextFeatures(
        np.concatenate([a.hidden, b.hidden]), np.concatenate([a.surface, b.surface])
    )
