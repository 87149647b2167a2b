"""Texts in, numbers out: heads over a sentence encoder, classifiers, a model as judge."""

# Modules are imported where they are named: some take seconds.
__all__ = [
    "embedded",
    "fluency",
    "labelled",
    "lm_judge",
    "pretrained",
    "registry",
    "scorer",
    "validation",
]
