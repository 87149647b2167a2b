"""Labelled texts, to which scorer heads are fitted and on which scorers are validated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, cast

import numpy as np
from jaxtyping import Bool

from steer_assets.encodings import decoded

Label = Literal["positive", "negative"]
_LABELS = ("positive", "negative")
_MOST_BYTES = 16 << 20
#: Texts of each pole for the validation of a judge, which is as slow at reading as at generating.
_PER_POLE = 60


@dataclass(frozen=True)
class LabelledText:
    """A text with its pole of the trait, and its topic and register."""

    text: str
    label: Label
    topic: str
    register: str


_KEYS = tuple(field.name for field in fields(LabelledText))


def read_labelled(path: Path) -> list[LabelledText]:
    """Read JSON lines with the keys text, label (positive or negative), topic and register.

    Raises:
        ValueError: for any other content, with file, line and field; for a text that occurs twice
            (it could be on both sides of a split); for a file without one of the poles.
    """
    texts: list[LabelledText] = []
    first_line: dict[str, int] = {}
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path}: expected a file of {_MOST_BYTES} bytes at most")
    try:
        lines = decoded(path.read_bytes()).split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        record = _parse(line, where)
        key = record.text.strip().casefold()
        if key in first_line:
            raise ValueError(f"{where}: text: the same as in line {first_line[key]}")
        first_line[key] = number
        texts.append(record)
    for label in _LABELS:
        if not any(text.label == label for text in texts):
            raise ValueError(f"{path}: label: no text with the label {label!r}")
    return texts


def _parse(line: str, where: str) -> LabelledText:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not a JSON object ({error})") from error
    if not isinstance(record, dict):
        raise ValueError(f"{where}: expected a JSON object, found {type(record).__name__}")
    for key in _KEYS:
        value = record.get(key)
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{where}: {key}: expected a non-empty string, found {value!r}")
    if unknown := sorted(set(record) - set(_KEYS)):
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; expected {', '.join(_KEYS)}")
    if record["label"] not in _LABELS:
        raise ValueError(
            f"{where}: label: expected 'positive' or 'negative', found {record['label']!r}"
        )
    return LabelledText(
        record["text"], cast(Label, record["label"]), record["topic"], record["register"]
    )


def is_positive(labelled: Sequence[LabelledText]) -> Bool[np.ndarray, " n"]:
    """True for texts of the positive pole."""
    return np.array([text.label == "positive" for text in labelled], dtype=bool)


def validation_texts(labelled: Sequence[LabelledText]) -> list[LabelledText]:
    """Equal numbers of texts of both poles for validating a judge, spread over the file."""
    chosen: list[LabelledText] = []
    for pole in ("positive", "negative"):
        own = [text for text in labelled if text.label == pole]
        rows = np.unique(np.linspace(0, len(own) - 1, min(_PER_POLE, len(own))).astype(int))
        chosen += [own[row] for row in rows]
    return chosen
