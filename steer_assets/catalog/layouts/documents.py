"""Rows of JSON lines and of JSON lists, with the line on which each begins."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steer_assets.catalog import yaml_files
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts.tables import Row

_BLANK = " \t\r\n"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Rejects repeated fields: JSON loaders silently keep the last of them."""
    found: dict[str, Any] = {}
    for field, value in pairs:
        if field in found:
            raise ValueError(f"{field!r} is given twice")
        found[field] = value
    return found


def parse(path: Path, text: str) -> Any:
    """The value of a whole JSON text; raises CatalogError with the line if it is invalid."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise CatalogError(f"{path}:{line}: not valid JSON: {error}") from error


def lines(path: Path) -> Iterator[Row]:
    """One object per line."""
    for number, line in enumerate(yaml_files.read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                value = json.loads(line, object_pairs_hook=_object)
            except (ValueError, RecursionError) as error:
                raise CatalogError(f"{path}:{number}: not valid JSON: {error}") from error
            if not isinstance(value, dict):
                raise CatalogError(f"{path}:{number}: line: expected one object in braces")
            yield number, value


def is_list(text: str) -> bool:
    """Whether a JSON text starts a list."""
    return text.lstrip(_BLANK).startswith("[")


def items(path: Path, text: str) -> Iterator[Row]:
    """The objects of a JSON list."""
    parse(path, text)  # the whole text is valid, so the code below only has to locate the items
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    at, line, counted = text.index("[") + 1, 1, 0
    while True:
        while text[at] in _BLANK + ",":
            at += 1
        if text[at] == "]":
            return
        line += text.count("\n", counted, at)
        counted = at
        value, at = decoder.raw_decode(text, at)
        if not isinstance(value, dict):
            raise CatalogError(f"{path}:{line}: item: expected an object in braces")
        yield line, value
