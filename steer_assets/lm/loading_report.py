"""Checks that every tensor of a file was used and none is missing.

transformers initialises missing weights randomly and only logs it, so its loading report must be
empty. The report omits what a class declares as dispensable: tied weights, computed buffers, heads
of another task.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from steer_assets.lm.errors import WeightsError

_SHOWN = 3


def require_whole(name: str, report: Mapping[str, Any]) -> None:
    """Raise WeightsError that names the tensors unless the loading report ``report`` is empty.

    ``name`` is the source that was read; ``report`` is transformers' ``output_loading_info``.
    """
    wrong = [
        words
        for words in (
            _part(report.get("missing_keys"), "is missing", "are missing"),
            _part(report.get("unexpected_keys"), "belongs to nothing", "belong to nothing"),
            _mismatched(report.get("mismatched_keys")),
        )
        if words
    ]
    if report.get("error_msgs"):
        wrong.append(first_line(report["error_msgs"][0]))
    if wrong:
        raise WeightsError(
            f"{name} does not hold the model that its config describes: {'; '.join(wrong)}; "
            "take weights and config that belong together"
        )


def require_plain(name: str, model: Any) -> None:
    """Raise WeightsError if a weight has a number type without arithmetic."""
    for path, parameter in model.named_parameters():
        if not (parameter.is_floating_point() and parameter.itemsize >= 2):
            kind = str(parameter.dtype).removeprefix("torch.")
            raise WeightsError(
                f"{name} stores {path} as {kind}; take the plain weights of the same model"
            )


def first_line(error: object, limit: int = 300) -> str:
    """The first line of a library's message, at most ``limit`` characters."""
    lines = str(error).strip().splitlines()
    text = lines[0].strip() if lines else type(error).__name__
    return text if len(text) <= limit else f"{text[:limit]}..."


def _part(names: Collection[str] | None, one: str, many: str) -> str:
    found = sorted(names or ())
    if not found:
        return ""
    tensors = "1 tensor" if len(found) == 1 else f"{len(found)} tensors"
    return f"{tensors} {one if len(found) == 1 else many} ({_some(found)})"


def _mismatched(entries: Collection[Any] | None) -> str:
    found = sorted(entries or ())
    if not found:
        return ""
    shapes = [f"{name} {_shape(held)} for {_shape(wanted)}" for name, held, wanted in found]
    tensors = "1 tensor has" if len(found) == 1 else f"{len(found)} tensors have"
    return f"{tensors} another shape ({_some(shapes)})"


def _shape(shape: Collection[int]) -> str:
    return "x".join(map(str, shape))


def _some(found: list[str]) -> str:
    return ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
