"""What a host knows of a depot: records become local parts of lineage, files local files."""

import dataclasses
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import polars as pl
from filelock import FileLock

from steer_assets.storage import journal, lineage
from steer_assets.storage.depot.depot import Depot
from steer_assets.storage.depot.records import Artifact
from steer_assets.storage.files.hashing import hash_file_once
from steer_assets.storage.files.parquet import DamagedFileError, read_part
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import Record, StoredFile

#: Whether a file of a record is brought.
Wanted = Callable[[StoredFile], bool]
_AT_ONCE = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Arrived:
    """The newest record of an artifact and its number; None and 0 if there is none."""

    number: int
    record: Record | None


class Mirror:
    """Brings records and files of a depot to a data folder."""

    def __init__(self, depot: Depot, layout: Layout) -> None:
        self._depot, self._layout = depot, layout

    def bring_all(self, artifacts: Iterable[Artifact], wanted: Wanted) -> dict[Artifact, Arrived]:
        """`bring` of several artifacts at once."""
        asked = list(dict.fromkeys(artifacts))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(lambda artifact: self.bring(artifact, wanted), asked)
            return dict(zip(asked, found, strict=True))

    def bring(self, artifact: Artifact, wanted: Wanted) -> Arrived:
        """Bring the newest record of an artifact and those of its files that are wanted.

        The record becomes the newest in the local lineage once these files are there.

        Raises:
            DepotError: an object is missing or damaged, or the depot does not answer.
        """
        number = self._depot.newest(artifact)
        if not number:
            return Arrived(0, None)
        known = self._known(artifact)
        new, ended = self._new(artifact, number, known)
        newest = new[-1] if new else self._depot.record(artifact, number)
        # A record of this host alone was made before it had a depot; its files are newer.
        behind = any(at > newest.created_at for at, _ in known)
        if not newest.files:
            if not behind:
                self._remove(artifact)
            return Arrived(number, None)
        lacks = [] if behind else [file for file in newest.files if wanted(file)]
        absent = [file for file in lacks if not self.has(file)]
        if absent or new:
            changed = [file.path for file in absent if file.path.startswith("tables/")]
            with journal.changing(self._layout, [*changed, self._part(artifact)]):
                for file in absent:
                    self.fetch(file, newest)
                if ended and not behind:
                    (self._layout.root / self._part(artifact)).unlink(missing_ok=True)
                self._append(artifact, new)
        return Arrived(number, newest)

    def _new(
        self, artifact: Artifact, number: int, known: Collection[tuple[datetime, str]]
    ) -> tuple[list[Record], bool]:
        """Records that are not here, the oldest first; whether the artifact ended before them."""
        new: list[Record] = []
        for n in range(number, 0, -1):
            record = self._depot.record(artifact, n)
            if not record.files:
                return new, True
            if (record.created_at, record.run_id) in known:
                break
            new.insert(0, record)
        return new, False

    def _part(self, artifact: Artifact) -> str:
        return lineage.record_part(self._layout, artifact.asset, artifact.key)

    def _remove(self, artifact: Artifact) -> None:
        """Remove an artifact that was ended: first its lineage, so that it counts as never made."""
        last = lineage.history(self._layout, artifact.asset, artifact.key)[-1:]
        files = [file.path for record in last for file in record.files]
        tables = [path for path in files if path.startswith("tables/")]
        if last:
            with journal.changing(self._layout, [self._part(artifact), *tables]):
                for path in (self._part(artifact), *files):
                    (self._layout.root / path).unlink(missing_ok=True)

    def fetch(self, file: StoredFile, record: Record) -> None:
        """Bring one file of a record."""
        self._depot.fetch(file, self._layout.root / file.path, written=record.created_at)

    def has(self, file: StoredFile) -> bool:
        """Whether the file is here as it was recorded."""
        path = self._layout.root / file.path
        try:
            return path.stat().st_size == file.bytes and hash_file_once(path) == file.sha256
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _known(self, artifact: Artifact) -> Collection[tuple[datetime, str]]:
        """Time and run of every record that the local lineage has."""
        path = self._layout.root / self._part(artifact)
        try:
            rows = read_part(path).select("created_at", "run_id").unique().rows()
        except (FileNotFoundError, DamagedFileError, pl.exceptions.ColumnNotFoundError):
            return ()
        return {(at, run) for at, run in rows}

    def _append(self, artifact: Artifact, records: list[Record]) -> None:
        if not records:
            return
        # Two processes that read, add and write would each lose what the other adds.
        with FileLock(self._layout.root / ".lineage.lock"):
            known = self._known(artifact)
            new = [one for one in records if (one.created_at, one.run_id) not in known]
            if new:
                lineage.append(self._layout, artifact.asset, artifact.key, new)
