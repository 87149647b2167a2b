"""Detection of new models: catalog files, and models dropped into the watched folder.

Each model is validated separately. A failing model is reported once with the reason, is ignored
until its files change, and does not block the others. A model in the watched folder that passes
gets a file in the user's catalog.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from steer_assets.automation.manifest import ManifestError, check_local
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.models import ModelEntry
from steer_assets.lm.loading.sources import Source, gguf_in, locate, parts_of, whole_stem
from steer_assets.paths import data_folder
from steer_assets.reporting.safe_text import plain
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.slugs import InvalidKeyError, validate_slug

#: A failing entry that changed less than this many seconds ago may still be being copied.
_SETTLE_S = 5.0
_Seen = dict[str, tuple[str, str]]


@dataclass(slots=True)
class Intake:
    """Keys of all usable models, new complaints, and the state for the next pass."""

    usable: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    cursor: str = ""


def watched_folder() -> Path:
    """`STEER_MODELS_DIR`, or `incoming/` in the data folder."""
    return Path(os.environ.get("STEER_MODELS_DIR") or data_folder() / "incoming").resolve()


def key_of(path: Path) -> str:
    """The model key for a dropped folder or file.

    Raises:
        InvalidKeyError: its name contains no usable characters.
    """
    name = whole_stem(path) if path.suffix == ".gguf" else path.name
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.lower())
    return validate_slug(re.sub(r"\.{2,}", ".", slug).strip("-._")[:80], "model")


def _signature(path: Path) -> tuple[str, float]:
    """Names, sizes and times of files as one value, and the newest time."""
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else parts_of(path)
    facts = []
    newest = 0.0
    for file in sorted(files)[:10_000]:
        try:
            status = file.stat()
        except OSError:
            continue
        newest = max(newest, status.st_mtime, status.st_ctime)
        facts.append((str(file.relative_to(path.parent)), status.st_size, status.st_mtime_ns))
    return hash_json(facts), newest


def _dropped(folder: Path) -> Iterator[Path]:
    """Folders and GGUF files; a split file is represented by its first part, even if missing.

    A folder with one split GGUF and no config represents that file.
    """
    seen: set[Path] = set()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or not (path.is_dir() or path.suffix == ".gguf"):
            continue
        found = gguf_in(path) if path.is_dir() else parts_of(path)[0]
        if found not in seen:
            seen.add(found)
            yield found


def _enter(path: Path) -> str:
    """Write a catalog file for a dropped model that has none yet; return its key."""
    key = key_of(path)
    if key in catalog.model_names():
        location = catalog.model_entry(key).source.location
        if location != str(path):
            raise ManifestError(f"the model {key!r} is already in the catalog, from {location}")
        return ""
    kind = check_local(path).kind
    entry = ModelEntry.model_validate(
        {"model": key, "title": path.name, "source": {"kind": kind, "location": str(path)}}
    )
    target = catalog.user_catalog() / "models" / f"{key}.yaml"
    write_text(target, yaml.safe_dump(entry.model_dump(mode="json"), sort_keys=False))
    return key


@cache
def _checked(path: Path, signature: str) -> None:
    """Caches models that passed; failures are checked again."""
    check_local(path)


def _check_entry(key: str) -> None:
    """Validate one catalogued model without reading its weights."""
    entry = catalog.model_entry(key)
    source = entry.source
    if source.kind == "hub":
        if not source.revision:
            raise CatalogError(f"{key}: a hub model needs a pinned revision (a commit)")
        return
    path = Path(source.location).expanduser()
    if source.kind == "package":
        path = locate(Source(source.kind, source.location))
    _checked(path, _signature(path)[0])


def _source_signature(key: str) -> str:
    """Signature of the catalog file and of its source."""
    path = catalog.model_path(key)
    signature, _ = _signature(path)
    try:
        location = Path(catalog.model_entry(key).source.location).expanduser()
    except CatalogError:
        return signature
    return hash_json([signature, _signature(location)[0] if location.is_absolute() else ""])


def retired_mark(key: str) -> Path:
    """The file that marks a retired model, with the signatures of its source files."""
    return catalog.user_catalog() / "retired" / f"{validate_slug(key, 'model')}.json"


def _is_retired(key: str, signature: str) -> bool:
    try:
        return signature in json.loads(retired_mark(key).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def welcome_back(key: str) -> None:
    """Remove the mark of a retired model."""
    retired_mark(key).unlink(missing_ok=True)


def signatures_of(key: str) -> list[str]:
    """Signatures whose change reinstates a model: its catalog file, and dropped files."""
    found = []
    # unknown or defined twice: there is no single signature
    with contextlib.suppress(CatalogError):
        found.append(_source_signature(key))
    for path in _dropped(watched_folder()):
        try:
            if key_of(path) == key:
                found.append(_signature(path)[0])
        except InvalidKeyError:
            continue
    return found


def _told(cursor: str | None) -> _Seen:
    try:
        return {name: (str(s), str(p)) for name, (s, p) in json.loads(cursor or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def look(cursor: str | None) -> Intake:
    """One pass over the watched folder and the catalog; `cursor` is the state of the previous pass.

    An entry that was checked is checked again only when its files change.
    """
    before, now = _told(cursor), {}
    intake = Intake()

    def judge(name: str, signature: str, problem: str) -> None:
        now[name] = (signature, problem)
        if problem and before.get(name, ("", ""))[1] != problem:
            # File names and content may include terminal control sequences.
            intake.told.append(plain(f"{name}: {problem}"))

    for path in _dropped(watched_folder()):
        name = f"incoming/{path.name}"
        signature, newest = _signature(path)
        if before.get(name) == (signature, ""):
            now[name] = (signature, "")  # accepted, and unchanged since
            continue
        try:
            if not _is_retired(key_of(path), signature) and (key := _enter(path)):
                intake.added.append(key)
            judge(name, signature, "")
        except (ValueError, OSError) as error:
            if time.time() - newest >= _SETTLE_S:
                judge(name, signature, str(error))
            elif name in before:
                now[name] = before[name]
    for key in catalog.model_names():
        name, signature = f"models/{key}.yaml", ""
        try:
            signature = _source_signature(key)
            if _is_retired(key, signature):
                continue
            if before.get(name) != (signature, ""):
                _check_entry(key)
            judge(name, signature, "")
            intake.usable.append(key)
        except (ValueError, OSError) as error:
            judge(name, signature, str(error))
    intake.cursor = json.dumps(now, sort_keys=True)
    return intake
