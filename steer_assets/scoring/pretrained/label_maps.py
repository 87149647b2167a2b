"""Label maps: the weight of each label of a classifier.

The published experiment decided a label's sign by ``'formal' in label``, which is true for
"informal" too, and likewise for agreeable and disagreeable. Here signs are not inferred from names:
every label of the model has an explicit weight under its exact name.
"""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float


def label_weights(
    label_map: Mapping[str, float], id2label: Mapping[int, str]
) -> Float[np.ndarray, " labels"]:
    """The map's weights in the order of the model's outputs.

    Args:
        label_map: weight of every label by exact name: positive for the positive pole, negative for
            the negative one, 0 for labels without information (neutral).
        id2label: the model's labels by output index.

    Raises:
        ValueError: if a label of the model has no weight, a weight has no label, two outputs share
            a name, a weight is not finite, or one of the poles has no label.
    """
    labels = [id2label[index] for index in range(len(id2label))]
    if len(set(labels)) != len(labels):
        raise ValueError(f"the model names two outputs alike: {labels}")
    if missing := sorted(set(labels) - set(label_map)):
        raise ValueError(
            f"label map without {missing[0]!r}: the model's labels are {labels}, "
            f"the map has {sorted(label_map)}"
        )
    if unknown := sorted(set(label_map) - set(labels)):
        raise ValueError(f"label map names {unknown[0]!r}: the model's labels are {labels}")
    weights = np.array([label_map[label] for label in labels], dtype=np.float64)
    for label, weight in zip(labels, weights, strict=True):
        if not math.isfinite(weight):
            raise ValueError(f"label map: weight of {label!r} is {weight}")
    if not ((weights > 0).any() and (weights < 0).any()):
        raise ValueError(f"label map {dict(label_map)}: needs a positive and a negative weight")
    return weights


def pole_log_odds(
    logits: Float[np.ndarray, "n labels"], weights: Float[np.ndarray, " labels"]
) -> Float[np.ndarray, " n"]:
    """log sum_{w > 0} w p - log sum_{w < 0} |w| p, with p the softmax of the logits.

    Computed as a difference of two log-sum-exps, so that it does not saturate; the softmax's
    normalisation cancels. Labels of weight 0 are ignored.
    """
    x = logits.astype(np.float64)
    return np.asarray(_log_sum(x, np.maximum(weights, 0)) - _log_sum(x, np.maximum(-weights, 0)))


def _log_sum(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    kept = weights > 0
    return np.asarray(np.logaddexp.reduce(x[:, kept] + np.log(weights[kept]), axis=1))
