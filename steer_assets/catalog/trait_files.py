"""Traits from files: this package's YAML, tables, JSON lines, and published layouts.

| file | layout |
| --- | --- |
| `.yaml` | ours; see `traits.py`, `contrasts.py` and `prompts.py` |
| `.csv`, `.tsv` | a table with a header, of any delimiter; rows as in `layouts/rows.py` |
| `.jsonl` | the same, one object per line |
| `.json` | the same as a list; or one of the objects of `layouts/objects.py` |

The trait is named after the file; a published file names its traits itself.
"""

import json
from dataclasses import replace
from pathlib import Path

from steer_assets.catalog import yaml_files
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts import answers, documents, objects, rows, statements, tables
from steer_assets.catalog.layouts.objects import NEUTRAL, own_words
from steer_assets.catalog.layouts.reading import Reading
from steer_assets.catalog.traits import Trait
from steer_assets.storage.slugs import validate_slug

__all__ = ["NEUTRAL", "SUFFIXES", "Reading", "names", "own_words", "read", "reading"]

SUFFIXES = (".yaml", ".csv", ".tsv", ".jsonl", ".json")
_TABLES = (".csv", ".tsv")


def names(path: Path) -> list[str]:
    """Traits that a file defines; a published file may define several."""
    if path.suffix != ".json":
        return [path.stem]
    try:
        return objects.names(json.loads(yaml_files.read_text(path))) or [path.stem]
    except (ValueError, RecursionError):
        return [path.stem]  # `read` reports the error in the file


def read(path: Path, name: str) -> Trait:
    """The trait `name` of a file of any of the layouts.

    Raises:
        CatalogError: the file cannot be read or is invalid; the message has line and field.
    """
    if path.suffix == ".yaml":
        return yaml_files.read(path, Trait, key_field="trait")
    return reading(path, name).trait


def reading(path: Path, name: str, *, key: str = "") -> Reading:
    """As `read`, with notes on how the file was interpreted and the lines of its parts.

    key: replaces the trait's name.

    Raises:
        CatalogError: the file cannot be read or is invalid; the message has line and field.
    """
    found = _reading(path, name)
    if key in ("", name):
        return found
    renamed = found.trait.model_copy(update={"trait": validate_slug(key, "trait")})
    return replace(found, trait=renamed)


def _reading(path: Path, name: str) -> Reading:
    if path.suffix == ".yaml":
        trait = yaml_files.read(path, Trait, key_field="trait")
        return Reading(trait, (), yaml_files.lines_of(yaml_files.read_text(path), ()))
    if path.suffix in _TABLES:
        return rows.read(
            path, name, tables.rows(path, rows.FIELDS, (*answers.MARKS, statements.MARK))
        )
    if path.suffix == ".jsonl":
        return rows.read(path, name, documents.lines(path))
    if path.suffix != ".json":
        tsv = "; save Excel's Unicode text as .tsv" if path.suffix == ".txt" else ""
        raise CatalogError(f"{path}: a trait file ends in {', '.join(SUFFIXES)}{tsv}")
    text = yaml_files.read_text(path)
    if documents.is_list(text):
        return rows.read(path, name, documents.items(path, text))
    return objects.read(path, name, text, documents.parse(path, text))
