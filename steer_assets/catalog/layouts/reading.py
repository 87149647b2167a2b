"""A trait as it was read from a file, and what became of the file's parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.prompt_texts.sentences import LineOf, sentences
from steer_assets.catalog.traits import Trait


@dataclass(frozen=True, slots=True)
class Reading:
    """The trait; sentences that say what was made of the file; the line of every place in it."""

    trait: Trait
    notes: tuple[str, ...]
    line_of: LineOf


def validated(
    path: Path, value: dict[str, Any], notes: tuple[str, ...], line_of: LineOf
) -> Reading:
    """The reading of a value that is shaped as the YAML would be.

    Raises:
        CatalogError: it does not fit; names line and field.
    """
    try:
        return Reading(Trait.model_validate(value), notes, line_of)
    except ValidationError as error:
        raise CatalogError(sentences(path, line_of, error)) from error


def whole(name: str, description: str, contrast: object, test: object) -> dict[str, Any]:
    """A trait of no other words, as its YAML would have it."""
    return {
        "trait": name,
        "title": name.replace("_", " ").replace("-", " ").capitalize(),
        "description": description,
        "poles": {"positive": "positive", "negative": "negative"},
        "contrast": contrast,
        "test": test,
    }
