"""A trait read from a file, with notes on how each part of the file was used."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.prompt_texts.sentences import LineOf, sentences
from steer_assets.catalog.traits import Trait


@dataclass(frozen=True, slots=True)
class Reading:
    """The trait; sentences on how the file was interpreted; the line of every location in it."""

    trait: Trait
    notes: tuple[str, ...]
    line_of: LineOf


def validated(
    path: Path, value: dict[str, Any], notes: tuple[str, ...], line_of: LineOf
) -> Reading:
    """The reading of a value with the structure of the YAML layout.

    Raises:
        CatalogError: it is invalid; the message has line and field.
    """
    try:
        return Reading(Trait.model_validate(value), notes, line_of)
    except ValidationError as error:
        raise CatalogError(sentences(path, line_of, error)) from error


def whole(name: str, description: str, contrast: object, test: object) -> dict[str, Any]:
    """The reading of a trait that uses all of its file unchanged, as from YAML."""
    return {
        "trait": name,
        "title": name.replace("_", " ").replace("-", " ").capitalize(),
        "description": description,
        "poles": {"positive": "positive", "negative": "negative"},
        "contrast": contrast,
        "test": test,
    }
