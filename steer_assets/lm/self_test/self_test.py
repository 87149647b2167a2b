"""The self-test of a model: verifies the assumptions of all measurements before it is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from steer_assets.lm.context import positions
from steer_assets.lm.errors import LanguageModelError, SelfTestError
from steer_assets.lm.forward.attention_windows import narrow_windows, smallest_window
from steer_assets.lm.forward.known_ways import described
from steer_assets.lm.loading_report import first_line
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.self_test import trials

#: Number types of studies, widest first; all but the first may overflow.
STUDY_DTYPES = ("float32", "bfloat16", "float16")
_TOLERANCE = 1e-3
_TOKENS, _BEYOND, _STEPS = 24, 8, 3
#: Windows up to this size are tried at full width; wider ones, which would take minutes, are
#: narrowed.
_WIDEST = 512
_TEXT = "Please write a short email to a colleague who is late.\n\n1. Be polite."


@dataclass(frozen=True)
class SelfTest:
    """Largest errors of the trials, relative to the largest value, in float32.

    ``causal``: change of logits by later tokens; ``batch``: change of a row by other rows of its
    batch; ``hook``: steering against the intended addition; ``prefix``: cached prefixes against
    plain forwards. ``finite_dtypes`` are the number types with finite block outputs and logits,
    joined by commas; ``n_tokens`` is the length of the longest row tried. ``stepping`` is the
    record that `known_ways` reads.
    """

    causal: float
    batch: float
    hook: float
    prefix: float
    finite_dtypes: str
    n_tokens: int
    stepping: str = ""


def require_sound(open_as: Callable[[str], LanguageModel], name: str) -> SelfTest:
    """Try the model that ``open_as(dtype)`` opens; raise SelfTestError if a trial fails.

    Trials run in float32, then once in each dtype of a study to find values that are not finite.
    """
    with trying(name):
        lm = open_as(STUDY_DTYPES[0])
        if not trials.is_finite(lm, _text(lm)):
            raise SelfTestError(
                f"{name} gives values that are not finite in float32; its weights are damaged"
            )
        found = measure(lm, name)
        stepping = described(lm)
        del lm
    finite = [STUDY_DTYPES[0]]
    for dtype in STUDY_DTYPES[1:]:
        with trying(name):
            narrow = open_as(dtype)
            if trials.is_finite(narrow, _text(narrow)):
                finite.append(dtype)
            del narrow
    return SelfTest(*found[:4], ",".join(finite), n_tokens=found[4], stepping=stepping)


def measure(lm: LanguageModel, name: str) -> tuple[float, float, float, float, int]:
    """Errors of causality, batch, hook and prefix, and the length tried; raises SelfTestError."""
    window, limit = smallest_window(lm), _longest(lm)
    narrow = window is not None and window > _WIDEST
    wanted = _TOKENS if window is None or narrow else max(_TOKENS, window + _BEYOND)
    n_tokens = min(wanted, limit)
    prompts = trials.trial_prompts(lm, n_tokens - _STEPS)
    with narrow_windows(lm) if narrow else nullcontext():
        causal = require_causal(lm, name, n_tokens)
        batch = _within(
            trials.batch_error(lm, prompts),
            f"{name} gives a text other values beside other texts than alone (by {{}} of their "
            "size), so that no batch of texts can be run; take another model",
        )
        prefix = _within(
            trials.prefix_error(lm, prompts, _STEPS),
            f"{name} gives other logits over cached states than over the whole text (by {{}} of "
            "their size), so that texts cannot be sampled from it; take another model",
        )
        hook = _within(
            trials.hook_error(lm, prompts[-1], _layers(lm)),
            f"in {name} a vector added to a block's output does not reach what follows as it "
            "should (logits off by {} of their size), so that it cannot be steered; take another "
            "model",
        )
    return causal, batch, hook, prefix, n_tokens


def require_causal(lm: LanguageModel, name: str, n_tokens: int = 12) -> float:
    """Raise SelfTestError if logits are not finite, or depend on later tokens.

    Runs two texts that differ in their last quarter. Returns the largest difference of earlier
    logits, relative to the largest logit.
    """
    error = trials.causal_error(lm, trials.trial_prompts(lm, min(n_tokens, _longest(lm)))[-1])
    if math.isinf(error):
        raise SelfTestError(
            f"{name} gives logits that are not finite in {lm.dtype}; its weights are damaged, or "
            "need a wider number type"
        )
    tolerance = _TOLERANCE if lm.torch_dtype.itemsize >= 4 else 5e-2
    return _within(
        error,
        f"in {name} later tokens change earlier positions (logits by {{}} of their size): it is "
        "an encoder, not a causal language model; take a decoder-only model",
        tolerance,
    )


def _within(error: float, failure: str, tolerance: float = _TOLERANCE) -> float:
    if not error <= tolerance:
        raise SelfTestError(failure.format(f"{error:.1g}"))
    return error


@contextmanager
def trying(name: str) -> Iterator[None]:
    """Turns an error of a model's forward into one sentence; out-of-memory errors are passed on."""
    try:
        yield
    except (LanguageModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # other architectures raise arbitrary exceptions
        raise SelfTestError(
            f"{name} cannot be run as measurements need it ({type(error).__name__}: "
            f"{first_line(error)}); take a decoder-only model of another architecture"
        ) from error


def _layers(lm: LanguageModel) -> list[int]:
    """First, middle and last block."""
    return sorted({0, lm.n_layers // 2, lm.n_layers - 1})


def _longest(lm: LanguageModel) -> int:
    """Number of positions of the model; a large number if it declares none."""
    return positions(lm.model.config) or 1 << 30


def _text(lm: LanguageModel) -> list[int]:
    """A prompt as in a study, because values are largest at a template's first tokens."""
    limit = _longest(lm)
    return lm.encode([_TEXT])[0][:limit] or trials.trial_prompts(lm, min(_TOKENS, limit))[-1]
