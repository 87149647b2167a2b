"""Scores of texts: heads over a sentence encoder, classifiers, a language model as judge."""

# Submodules are imported on use, because some take seconds.
__all__ = [
    "embedded",
    "fluency",
    "labelled",
    "lexicon",
    "lm_judge",
    "pretrained",
    "registry",
    "scorer",
    "validation",
    "words",
]
