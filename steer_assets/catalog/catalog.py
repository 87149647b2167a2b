"""The catalog of models, traits, scorers and studies: built-in files, and the user's own.

`<data>/catalog/{models,traits,studies}` is searched after the built-in folders, so that adding a
model or a trait does not require editing the installed package. `STEER_CATALOG_DIR` moves it.
"""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from steer_assets.catalog import trait_files, yaml_files
from steer_assets.catalog.errors import CatalogError, NoLabelledTextsError, UnknownNameError
from steer_assets.catalog.models import ModelEntry
from steer_assets.catalog.scorer_entries import ScorerEntry
from steer_assets.catalog.studies import Study
from steer_assets.catalog.traits import ControlTrait, Trait
from steer_assets.paths import CATALOG, data_folder
from steer_assets.storage.slugs import InvalidKeyError, validate_slug

Entry = TypeVar("Entry", bound=BaseModel)


def user_catalog() -> Path:
    """The user's own catalog folder."""
    return Path(os.environ.get("STEER_CATALOG_DIR") or data_folder() / "catalog").resolve()


def _files(room: str) -> dict[str, list[Path]]:
    """Files by the name they define, usable or not.

    A trait may also be CSV, JSON lines or published JSON, where one file may define several.
    """
    found: dict[str, list[Path]] = {}
    for folder in (CATALOG / room, user_catalog() / room):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix in (trait_files.SUFFIXES if room == "traits" else (".yaml",)):
                names = trait_files.names(path) if room == "traits" else [path.stem]
                for name in names:
                    found.setdefault(name, []).append(path)
    return found


def _only(name: str, paths: list[Path]) -> Path:
    """The single file of a name; raises CatalogError for two, or for an invalid name."""
    first, *others = paths
    try:
        validate_slug(name, "file name" if name == first.stem else "name")
    except InvalidKeyError as error:
        raise CatalogError(f"{first}: {error}") from error
    if others:
        raise CatalogError(f"{others[0]}: {name!r} is already defined in {first}")
    return first


def _file(room: str, what: str, name: str) -> Path:
    files = _files(room)
    if name not in files:
        raise UnknownNameError(what, name, files)
    return _only(name, files[name])


def keys(room: str) -> list[str]:
    """Names in a folder of the catalog; raises CatalogError for an invalid or repeated name."""
    files = _files(room)
    for name, paths in files.items():
        _only(name, paths)
    return list(files)


def _read(room: str, what: str, field: str, name: str, model: type[Entry]) -> Entry:
    return yaml_files.read(_file(room, what, name), model, key_field=field)


def model_keys() -> list[str]:
    """Keys of all catalogued models."""
    return keys("models")


def model_names() -> list[str]:
    """Names of all model files, including unusable ones, which must not hide the others."""
    return list(_files("models"))


def trait_keys() -> list[str]:
    """Keys of all catalogued traits."""
    return keys("traits")


def model_entry(model: str) -> ModelEntry:
    """One model; raises CatalogError if unknown or malformed."""
    return _read("models", "model", "model", model, ModelEntry)


def model_path(model: str) -> Path:
    """The file of one model; raises CatalogError if there is none or more than one."""
    return _file("models", "model", model)


def trait(name: str) -> Trait:
    """One trait; raises CatalogError if unknown or malformed."""
    return trait_files.read(_file("traits", "trait", name), name)


def control_trait(name: str) -> ControlTrait:
    """One control direction; raises CatalogError if unknown or malformed."""
    return _read("controls", "control trait", "trait", name, ControlTrait)


def scorer_entry(name: str) -> ScorerEntry:
    """One scorer; raises CatalogError if unknown or malformed."""
    return _read("scorers", "scorer", "scorer", name, ScorerEntry)


def study(name: str) -> Study:
    """One study; raises CatalogError if unknown or malformed, or if a scorer of it is unknown."""
    path = _file("studies", "study", name)
    found = yaml_files.read(path, Study, key_field="study")
    known = _files("scorers")
    for place, scorer in enumerate(found.scoring.scorers):
        if scorer not in known:
            line_of = yaml_files.lines_of(yaml_files.read_text(path), ("scoring", "scorers"))
            raise CatalogError(
                f"{path}:{line_of((place,))}: scoring.scorers.{place}: "
                f"{UnknownNameError('scorer', scorer, known)}"
            )
    return found


def labelled_path(trait_name: str) -> Path:
    """JSON lines of labelled texts of a trait; the user's file takes precedence.

    Raises:
        NoLabelledTextsError: there is no such file.
    """
    name = f"{trait_name}.jsonl"
    candidates = [user_catalog() / "labelled" / name, CATALOG / "labelled" / name]
    for path in candidates:
        if path.exists():
            return path
    raise NoLabelledTextsError(
        f"trait {trait_name!r} has no labelled texts to fit a scorer on; write {candidates[0]}"
    )
