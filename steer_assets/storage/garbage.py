"""Unreferenced files of the data folder.

The newest lineage record of every artifact decides: the files it names are kept, as are the figures
of report pages. Only files whose names follow this program's patterns are considered, links are
neither followed nor removed, and recently changed files are kept because a run may not have
written its record yet. Heads of scorers have no record: one is kept for every trait of the catalog.
The user's own folders (catalog, external vectors, watched folder) are not searched.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from steer_assets.processes import is_left_over
from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.storage.lineage import TABLE, Record, read_record
from steer_assets.storage.shards import partial_folder
from steer_assets.storage.slugs import is_slug

#: A run writes its record seconds after the files; younger files are not considered.
SETTLED_S = 900.0
_DIED = "left by a process that died"
_PAIR_ROOMS = {
    "activations": (".h5",),
    "moments": (".h5",),
    "bases": (".h5",),
    "vectors": (".safetensors",),
    "protocols": (".h5", ".safetensors"),
    "reports": (".html",),
}
_FIGURE = re.compile(r"reports/(?P<page>[^/]+/[^/]+)/figures/[^/]+\.(?:svg|pdf|csv)")
_THUMBNAIL = re.compile(r"reports/(?P<key>(?:[^/]+/){0,2})thumbnails/(?P<stage>[^/]+)\.png")
_PARTIAL = re.compile(r"(?P<key>partial/.+)/[0-9a-f]{24}/[^/]+\.(?:h5|json)")
_HEAD = re.compile(r"scorers/(?P<trait>[^/]+)\.safetensors")
#: Whether a run is working on the artifact to which a path (relative to the data folder) belongs.
Busy = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Waste:
    """An unreferenced file or folder, with the reason and the time of its last change."""

    path: Path
    bytes: int
    why: str
    seen: float


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    name: str  # relative to the data folder
    bytes: int
    written: float
    changed: float  # time of the last write, rename or copy


def _files(root: Path, folder: Path) -> Iterator[_File]:
    """Regular files below a folder, without links."""
    if folder.is_symlink():
        return
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                status = path.lstat()
            except OSError:
                continue  # renamed by a run in the meantime
            if path.is_file() and not path.is_symlink():
                changed = max(status.st_mtime, status.st_ctime)
                name = path.relative_to(root).as_posix()
                yield _File(path, name, status.st_size, status.st_mtime, changed)


def _records(layout: Layout, assets: Mapping[str, tuple[str, ...]]) -> dict[str, Record]:
    """Newest record of every artifact, by the folder of its stage's pieces."""
    found = {}
    for part in layout.parts(TABLE):
        asset = part.key.get("asset_key", "")
        if asset not in assets:
            continue
        key: PartitionKey = {name: part.key[name] for name in assets[asset]}
        if (record := read_record(layout, asset, key)) is not None:
            found[layout.relative(partial_folder(layout, asset, key))] = record
    return found


def _why_table(name: str, assets: Collection[str], kept: Collection[str]) -> str:
    parts = name.split("/")
    if parts[-1] != "part.parquet" or len(parts) < 3:
        return ""
    if parts[1] != TABLE:
        return "" if name in kept else "no artifact has these rows"
    asset = parts[2].removeprefix("asset_key=")
    return "" if asset in assets else f"no stage is called {asset}"


def _why_thumbnail(
    layout: Layout,
    shown: re.Match[str],
    assets: Mapping[str, tuple[str, ...]],
    made: Collection[str],
) -> str:
    values = shown["key"].split("/")[:-1]
    dimensions = assets.get(shown["stage"])
    if dimensions is None or len(values) != len(dimensions) or not all(map(is_slug, values)):
        return ""
    key = dict(zip(dimensions, values, strict=True))
    artifact = layout.relative(partial_folder(layout, shown["stage"], key))
    return "" if artifact in made else "its artifact is gone"


def _why_pair(name: str, kept: Collection[str]) -> str:
    room, *inside = name.split("/")
    if figure := _FIGURE.fullmatch(name):
        page = f"reports/{figure['page']}.html"
        return "" if page in kept else "its report is gone"
    ours = len(inside) == 2 or name == "reports/index.html"
    if name in kept or not ours or not inside[-1].endswith(_PAIR_ROOMS[room]):
        return ""
    return "no artifact has this file"


def _why_head(name: str, traits: Collection[str]) -> str:
    head = _HEAD.fullmatch(name)
    if head is None or not is_slug(head["trait"]) or head["trait"] in traits:
        return ""
    return f"no trait is called {head['trait']}"


def _why_partial(file: _File, assets: Collection[str], made: Mapping[str, Record]) -> str:
    found = _PARTIAL.fullmatch(file.name)
    if found is None:
        return ""
    if (stage := file.name.split("/")[1]) not in assets:
        return f"no stage is called {stage}"
    record = made.get(found["key"])
    finished = record.created_at.replace(tzinfo=UTC).timestamp() if record else 0.0
    return "a piece of a stage that is finished" if finished > file.written else ""


def _models(layout: Layout, kept: Collection[str], sources: Collection[Path]) -> Iterator[Waste]:
    """Snapshots without a record, except folders that are model sources of the catalog."""
    folder = layout.root / "models"
    in_use = {name.split("/")[1] for name in kept if name.startswith("models/")}
    for path in sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else ():
        if path.is_symlink() or not path.is_dir():
            continue
        files = list(_files(layout.root, path))
        size, newest = sum(f.bytes for f in files), max((f.changed for f in files), default=0.0)
        if is_left_over(path):
            yield Waste(path, size, _DIED, newest)
        elif (
            path.name not in in_use
            and is_slug(path.name)
            and (path / "config.json").is_file()
            and not any(path in (source, *source.parents) for source in sources)
        ):
            yield Waste(path, size, "no snapshot has this folder", newest)


def find(
    layout: Layout,
    assets: Mapping[str, tuple[str, ...]],
    sources: Collection[Path],
    busy: Busy = lambda _: False,
    traits: Collection[str] = (),
) -> list[Waste]:
    """Files that can be removed, by room.

    assets: dimensions of every stage, by name.
    sources: model sources of the catalog.
    traits: those of the catalog, whose heads are kept; an outdated head is overwritten.

    Raises:
        DamagedFileError: a lineage record cannot be read, so its references are unknown.
    """
    made = _records(layout, assets)
    kept = {file.path for record in made.values() for file in record.files}
    waste = [
        Waste(path, path.stat().st_size, _DIED, path.stat().st_ctime)
        for path in layout.root.glob(".*.tmp*")
        if is_left_over(path) and path.is_file() and not path.is_symlink()
    ]
    for room in ("tables", "partial", "scorers", *_PAIR_ROOMS):
        for file in _files(layout.root, layout.root / room):
            if is_left_over(file.path):
                why = _DIED
            elif room == "tables":
                why = _why_table(file.name, assets, kept)
            elif room == "partial":
                why = _why_partial(file, assets, made)
            elif room == "scorers":
                why = _why_head(file.name, traits)
            elif shown := _THUMBNAIL.fullmatch(file.name):
                why = _why_thumbnail(layout, shown, assets, made)
            else:
                why = _why_pair(file.name, kept)
            if why:
                waste.append(Waste(file.path, file.bytes, why, file.changed))
    waste += _models(layout, kept, sources)
    until = time.time() - SETTLED_S
    return [w for w in waste if w.seen < until and not busy(layout.relative(w.path))]


def remove(root: Path, waste: Waste) -> bool:
    """Remove a file that was found, unless it has changed since or is no longer in `root`.

    Folders left empty are removed too, up to the room.
    """
    path = waste.path
    if path.is_symlink() or path.parent.resolve() != path.parent or root not in path.parents:
        return False
    try:
        if path.is_dir():
            newest = max((f.changed for f in _files(root, path)), default=0.0)
        else:
            newest = max(path.lstat().st_mtime, path.lstat().st_ctime)
        if newest > waste.seen:
            return False
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    for parent in path.parents:
        if parent.parent in (root, *root.parents) or any(parent.iterdir()):
            break
        parent.rmdir()
    return True
