"""The user's own files (catalog, external vectors) on all hosts, by a comparison of three versions.

Each host remembers the version of a file on which it and the depot last agreed. A file that changed
on one side goes to the other; one that changed on both is told, and nothing is overwritten. In the
depot a file is a list of numbered versions, each created once.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from steer_assets.storage.depot.depot import Depot, blob, numbered
from steer_assets.storage.depot.objects import DamagedObjectError
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.files.hashing import hash_file_once
from steer_assets.storage.lineage import StoredFile

_FOLDER = "carried/"
#: `<place>/<folders>/<file>`; hidden files and other characters stay on their host.
_NAME = re.compile(r"(?:catalog|external)(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*){1,4}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Version:
    """A version in the depot; without a digest the file was removed."""

    number: int = 0
    sha256: str = ""
    bytes: int = 0


@dataclass(slots=True)
class Carried:
    """Names that were brought, stored, and found changed on both sides (as sentences)."""

    brought: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


class CarriedFiles:
    """The files of some folders of this host, and their versions in the depot."""

    def __init__(self, depot: Depot, places: dict[str, Path], memory: Path) -> None:
        """places: folder by its name in the depot. memory: where the agreed versions are kept."""
        self._depot, self._places, self._memory = depot, places, memory

    def carry(self, *, store: bool) -> Carried:
        """Bring what changed in the depot and, if `store`, store what changed here.

        Raises:
            DepotError: the depot does not answer, or an object is missing or damaged.
        """
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._memory.with_suffix(".lock")):
            return self._compared(store=store)

    def _compared(self, *, store: bool) -> Carried:
        agreed, carried = self._agreed(), Carried()
        there, here = self._versions(agreed), dict(self._local())
        for name in sorted({*here, *there, *agreed}):
            now = here.get(name, "")
            base, depot = agreed.get(name, _Version()), there.get(name, _Version())
            if now == depot.sha256:
                agreed[name] = depot
            elif now == base.sha256 or (not now and depot.number > base.number):
                if self._now(name) == now:  # else it is being written, and compared next time
                    self._bring(name, depot)
                    agreed[name] = depot
                    carried.brought.append(name)
            elif depot.number != base.number:
                carried.conflicts.append(
                    f"{self._path(name)} was changed here and in the depot: nothing is "
                    "overwritten; move it away to take the depot's, then change that one"
                )
            elif store and (version := self._store(name, base.number + 1, now)):
                agreed[name] = version
                carried.stored.append(name)
        self._remember(agreed)
        return carried

    def _path(self, name: str) -> Path:
        place, _, inside = name.partition("/")
        return self._places[place] / inside

    def _now(self, name: str) -> str:
        path = self._path(name)
        return hash_file_once(path) if path.is_file() else ""

    def _local(self) -> Iterator[tuple[str, str]]:
        for place, folder in self._places.items():
            for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
                name = f"{place}/{path.relative_to(folder).as_posix()}"
                if _NAME.fullmatch(name) and path.is_file():
                    yield name, hash_file_once(path)

    def _versions(self, agreed: dict[str, _Version]) -> dict[str, _Version]:
        """Newest version of every file in the depot; one that is known already is not read."""
        newest: dict[str, int] = {}
        for found in self._depot.objects.list(_FOLDER):
            name, _, end = found.name.removeprefix(_FOLDER).rpartition("/")
            if name.partition("/")[0] in self._places and _NAME.fullmatch(name) and end.isdigit():
                newest[name] = max(int(end), newest.get(name, 0))
        return {
            name: known
            if (known := agreed.get(name)) is not None and known.number == number
            else self._read(name, number)
            for name, number in newest.items()
        }

    def _read(self, name: str, number: int) -> _Version:
        version = f"{_FOLDER}{name}/{numbered(number)}"
        try:
            value = json.loads(self._depot.objects.read(version))
            digest, size = str(value["sha256"]), int(value["bytes"])
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedObjectError(f"{version} in the depot is damaged: {error}") from error
        if digest and not _DIGEST.fullmatch(digest):
            raise DamagedObjectError(f"{version} in the depot is damaged: it names no content")
        return _Version(number, digest, size)

    def _bring(self, name: str, version: _Version) -> None:
        path = self._path(name)
        if version.sha256:
            self._depot.fetch(StoredFile(name, version.bytes, version.sha256), path)
        else:
            path.unlink(missing_ok=True)

    def _store(self, name: str, number: int, digest: str) -> _Version | None:
        """Store a version; None if another host was first, which the next comparison sees."""
        version = _Version(number, digest)
        if digest:
            path = self._path(name)
            version = _Version(number, digest, path.stat().st_size)
            self._depot.put_file(path, StoredFile(name, version.bytes, digest))
        value = {"sha256": version.sha256, "bytes": version.bytes}
        content = json.dumps(value).encode()
        made = self._depot.objects.create(f"{_FOLDER}{name}/{numbered(number)}", content)
        return version if made else None

    def _agreed(self) -> dict[str, _Version]:
        """Versions that this host and the depot had in common; none of a folder that is gone."""
        try:
            value = json.loads(self._memory.read_text("utf-8"))
            found = {name: _Version(*row) for name, row in value["files"].items()}
        except (OSError, ValueError, TypeError, KeyError):
            return {}
        if value.get("of") != self._identity():
            return {}
        gone = {place for place, folder in self._places.items() if not folder.is_dir()}
        return {n: v for n, v in found.items() if n.partition("/")[0] not in gone}

    def _identity(self) -> list[str]:
        return [self._depot.objects.address, *map(str, self._places.values())]

    def _remember(self, agreed: dict[str, _Version]) -> None:
        files = {n: [v.number, v.sha256, v.bytes] for n, v in agreed.items() if v.number}
        text = json.dumps({"of": self._identity(), "files": files}, indent=1, sort_keys=True)
        if not self._memory.exists() or self._memory.read_text("utf-8") != text:
            write_text(self._memory, text)


def referenced(depot: Depot) -> set[str]:
    """Blobs of the newest version of every carried file."""
    newest: dict[str, str] = {}
    for found in depot.objects.list(_FOLDER):
        newest[found.name.rpartition("/")[0]] = max(
            found.name, newest.get(found.name.rpartition("/")[0], "")
        )
    values = [json.loads(depot.objects.read(name)) for name in newest.values()]
    return {blob(str(value["sha256"])) for value in values if value["sha256"]}
