"""Errors of the language-model engine: each a ``ValueError`` that says what to do."""

from __future__ import annotations


class LanguageModelError(ValueError):
    """Any refusal of the engine."""


class SourceError(LanguageModelError):
    """The source names nothing that can be read: no such package, file, folder or hub id."""


class RemoteCodeError(LanguageModelError):
    """The model asks for code of its own (``auto_map``); it is never run."""


class PickledWeightsError(LanguageModelError):
    """The model has only pickled weights, which can run code when they are read."""


class WeightsError(LanguageModelError):
    """The file's tensors are not those of the model that its config describes."""


class QuantisedWeightsError(LanguageModelError):
    """The weights are stored quantised; derivatives and comparisons need the plain ones."""


class TokenizerError(LanguageModelError):
    """The tokenizer cannot be read, for want of a file or of a package."""


class SelfTestError(LanguageModelError):
    """The model does not do what every measurement relies on; it is not used."""


class UnknownLayoutError(LanguageModelError):
    """The residual stream was not found: no single list of blocks whose outputs are its states."""


class SnapshotError(LanguageModelError):
    """A snapshot folder is damaged, or did not read back as it was written."""


class InterventionError(LanguageModelError):
    """A layer, vector or hidden size of an intervention is not one of the model's."""


class PromptError(LanguageModelError):
    """A prompt is empty, or holds token ids outside the vocabulary."""


class PrecisionError(LanguageModelError):
    """A derivative was asked of a model loaded in less than float32."""
