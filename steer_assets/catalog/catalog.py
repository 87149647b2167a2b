"""The catalog: what can be asked for. Built-in files, and the user's own beside the data.

`<data>/catalog/{models,traits,studies}` is searched after the built-in folders, so that adding a
model or a trait never means editing the installed package. `STEER_CATALOG_DIR` moves it.
"""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from steer_assets.catalog import trait_files, yaml_files
from steer_assets.catalog.errors import CatalogError, UnknownNameError
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


def _enter(found: dict[str, Path], name: str, path: Path) -> None:
    """Note that `path` defines `name`; CatalogError for a name that is no key, or is taken."""
    try:
        validate_slug(name, "file name" if name == path.stem else "name")
    except InvalidKeyError as error:
        raise CatalogError(f"{path}: {error}") from error
    if name in found:
        raise CatalogError(f"{path}: {name!r} is already defined in {found[name]}")
    found[name] = path


def _files(room: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in (CATALOG / room, user_catalog() / room):
        for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
            _enter(found, path.stem, path)
    return found


def _read(room: str, what: str, field: str, name: str, model: type[Entry]) -> Entry:
    files = _files(room)
    if name not in files:
        raise UnknownNameError(what, name, files)
    return yaml_files.read(files[name], model, key_field=field)


def _trait_files() -> dict[str, Path]:
    """The file of every trait; your own may be CSV, JSON lines or published JSON as well."""
    found: dict[str, Path] = {}
    for folder in (CATALOG / "traits", user_catalog() / "traits"):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix in trait_files.SUFFIXES:
                for name in trait_files.names(path):
                    _enter(found, name, path)
    return found


def model_keys() -> list[str]:
    """Keys of all catalogued models."""
    return list(_files("models"))


def trait_keys() -> list[str]:
    """Keys of all catalogued traits."""
    return list(_trait_files())


def study_keys() -> list[str]:
    """Keys of all studies."""
    return list(_files("studies"))


def model_entry(model: str) -> ModelEntry:
    """One model; raises CatalogError if unknown or malformed."""
    return _read("models", "model", "model", model, ModelEntry)


def trait(name: str) -> Trait:
    """One trait; raises CatalogError if unknown or malformed."""
    files = _trait_files()
    if name not in files:
        raise UnknownNameError("trait", name, files)
    return trait_files.read(files[name], name)


def control_trait(name: str) -> ControlTrait:
    """One control direction; raises CatalogError if unknown or malformed."""
    return _read("controls", "control trait", "trait", name, ControlTrait)


def scorer_keys() -> list[str]:
    """Keys of all scorers."""
    return list(_files("scorers"))


def scorer_entry(name: str) -> ScorerEntry:
    """One scorer; raises CatalogError if unknown or malformed."""
    return _read("scorers", "scorer", "scorer", name, ScorerEntry)


def study(name: str) -> Study:
    """One study; raises CatalogError if unknown or malformed."""
    return _read("studies", "study", "study", name, Study)


def labelled_path(trait_name: str) -> Path:
    """JSON lines of labelled texts of a trait; the user's file, if there is one, goes first."""
    name = f"{trait_name}.jsonl"
    candidates = [user_catalog() / "labelled" / name, CATALOG / "labelled" / name]
    for path in candidates:
        if path.exists():
            return path
    raise CatalogError(
        f"trait {trait_name!r} has no labelled texts to fit a scorer on; write {candidates[0]}"
    )
