"""Errors of the language-model engine: each is a ``ValueError`` whose message names a remedy."""

from __future__ import annotations


class LanguageModelError(ValueError):
    """Base class of the engine's errors."""


class SourceError(LanguageModelError):
    """The source cannot be found: no such package, file, folder or hub id."""


class RemoteCodeError(LanguageModelError):
    """The model requires its own code (``auto_map``), which is never run."""


class PickledWeightsError(LanguageModelError):
    """The model has only pickled weights, which can execute code when read."""


class WeightsError(LanguageModelError):
    """The file's tensors do not match the model that its config describes."""


class QuantisedWeightsError(LanguageModelError):
    """The weights are stored quantised in a format that is not turned into plain weights."""


class TokenizerError(LanguageModelError):
    """The tokenizer cannot be read because a file or a package is missing."""


class SelfTestError(LanguageModelError):
    """The model violates an assumption of the measurements, so it is rejected."""


class UnknownLayoutError(LanguageModelError):
    """The residual stream was not found: no single list of blocks outputs its states."""


class SnapshotError(LanguageModelError):
    """A snapshot folder is damaged, or differed when it was read back."""


class InterventionError(LanguageModelError):
    """A layer, vector or hidden size of an intervention does not fit the model."""


class PromptError(LanguageModelError):
    """A prompt is empty, or contains token ids outside the vocabulary."""


class PrecisionError(LanguageModelError):
    """A derivative was requested of a model loaded in less than float32."""
