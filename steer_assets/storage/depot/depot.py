"""The depot: files by their content, records of lineage that are written once, and a journal.

    blobs/<2 digits>/<sha256>                  a file of an artifact, or of the catalog
    lineage/<asset>/<model>/<trait>/<number>   a record; creating it commits its artifact
    journal/<day>/<time>=<asset>=<model>=<trait>=<number>=<run>   empty; told before a commit
    partial/...                                pieces of stages in progress (`pieces`)
    carried/<path>/<number>                    versions of a file of the user (`carried`)

Records of one artifact are numbered; the greatest is the newest. Of several writers of one number
one wins, which the store decides, and no clock takes part. Files go up before the record that names
them, so a writer that is killed leaves at most files that no record names.
"""

import dataclasses
import hashlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from steer_assets.paths import depot_address
from steer_assets.storage.depot.cloud import CloudObjects
from steer_assets.storage.depot.folder import FolderObjects
from steer_assets.storage.depot.objects import (
    DamagedObjectError,
    DepotError,
    Objects,
)
from steer_assets.storage.depot.records import Artifact, artifact_of, decode, encode
from steer_assets.storage.files.atomic import atomic_path
from steer_assets.storage.files.hashing import hash_file, hash_file_once
from steer_assets.storage.lineage import Record, StoredFile

#: A blob that is older is written again, so that its age says when it was last wanted.
_RENEWED_S = 86_400.0
_JOURNAL = "journal/"


@dataclasses.dataclass(frozen=True, slots=True)
class Committed:
    """A record as it stands in the depot, and its number among those of its artifact."""

    number: int
    record: Record


@dataclasses.dataclass(frozen=True, slots=True)
class Marker:
    """A line of the journal: a record that a writer was about to commit."""

    name: str
    artifact: Artifact
    number: int


def blob(sha256: str) -> str:
    """The name of the object with this content."""
    return f"blobs/{sha256[:2]}/{sha256}"


def numbered(n: int) -> str:
    """A number as the last part of an object's name, in the order of its names."""
    return f"{n:08d}"


class Depot:
    """Reads and writes the objects of one depot."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def put_file(self, path: Path, file: StoredFile) -> None:
        """Store the content of `path`, unless it is there.

        Raises:
            DepotError: the file is not what `file` says, or changed while it was read.
        """
        found = self.objects.find(blob(file.sha256))
        young = found is not None and time.time() - found.written < _RENEWED_S
        if found is not None and found.bytes == file.bytes and young:
            return
        before = path.stat()
        if hash_file_once(path) != file.sha256:
            raise DepotError(f"{path} was changed while it was stored in {self.objects.address}")
        self.objects.put_file(blob(file.sha256), path)
        after = path.stat()
        if (before.st_ino, before.st_mtime_ns) != (after.st_ino, after.st_mtime_ns):
            raise DepotError(f"{path} was changed while it was stored in {self.objects.address}")

    def holds(self, file: StoredFile) -> bool:
        """Whether the depot has an object of this content's name and size."""
        found = self.objects.find(blob(file.sha256))
        return found is not None and found.bytes == file.bytes

    def fetch(self, file: StoredFile, target: Path, *, written: datetime | None = None) -> None:
        """Bring a file; `target` is replaced once its checksum is verified.

        written: UTC; becomes the time of the file, so that it counts as untouched since its record.

        Raises:
            DamagedObjectError: the object is not what its name says; `target` stays as it was.
            MissingObjectError: there is no such object.
        """
        name = blob(file.sha256)

        def verify(path: Path) -> None:
            if hash_file(path) != file.sha256:
                raise DamagedObjectError(
                    f"{name} in the depot {self.objects.address} is damaged and is not used for "
                    f"{file.path}; delete it and make that again, or `steer depot push` from a "
                    "host that has it"
                )
            if written is not None:
                seconds = (written - timedelta(seconds=1)).replace(tzinfo=UTC).timestamp()
                os.utime(path, (seconds, seconds))

        with atomic_path(target, verify) as temporary:
            self.objects.fetch(name, temporary)

    def artifacts(self) -> list[Artifact]:
        """Every artifact that has a record."""
        names = {found.name.rpartition("/")[0] for found in self.objects.list("lineage/")}
        known = (artifact_of(name.split("/")[1:]) for name in sorted(names))
        return [artifact for artifact in known if artifact is not None]

    def newest(self, artifact: Artifact) -> int:
        """The number of the newest record of an artifact; 0 if there is none."""
        ends = [found.name.rpartition("/")[2] for found in self.objects.list(_folder(artifact))]
        return max((int(end) for end in ends if end.isdigit()), default=0)

    def record(self, artifact: Artifact, number: int) -> Record:
        """One record of an artifact.

        Raises:
            MissingObjectError, DamagedObjectError: it is not there, or not whole.
        """
        name = f"{_folder(artifact)}{numbered(number)}"
        return decode(name, self.objects.read(name), artifact)

    def commit(self, root: Path, artifact: Artifact, record: Record, *, seen: int) -> Committed:
        """Store the files of a record, then the record; what stands then.

        seen: the newest number when the computation began. A record of the same inputs that
            another writer committed since then stands, and is returned in place of `record`.
        """
        for file in record.files:
            self.put_file(root / file.path, file)
        while True:
            newest = self.newest(artifact)
            if newest > seen:
                last = self.record(artifact, newest)
                if last.inputs == record.inputs and last.files:
                    return Committed(newest, last)
            if self.append(artifact, record, newest):
                return Committed(newest + 1, self.record(artifact, newest + 1))

    def append(self, artifact: Artifact, record: Record, newest: int) -> bool:
        """Create the record after the newest one; False if another writer was first.

        Its time is later than that of the one before it, whatever the clocks say.
        """
        if newest:
            after = self.record(artifact, newest).created_at + timedelta(microseconds=1)
            record = dataclasses.replace(record, created_at=max(after, record.created_at))
        name, content = f"{_folder(artifact)}{numbered(newest + 1)}", encode(record)
        self._tell(artifact, newest + 1, record.run_id)
        # A request that was repeated finds the object that it had made before.
        return self.objects.create(name, content) or self.objects.read(name) == content

    def retire(self, artifact: Artifact) -> None:
        """End an artifact by a record without files, which removes it from every host."""
        while newest := self.newest(artifact):
            last = self.record(artifact, newest)
            now = datetime.now(UTC).replace(tzinfo=None)
            end = dataclasses.replace(last, inputs=frozenset(), files=(), created_at=now)
            if not last.files or self.append(artifact, end, newest):
                return

    def _tell(self, artifact: Artifact, number: int, run_id: str) -> None:
        now = datetime.now(UTC)
        run = hashlib.sha256(run_id.encode()).hexdigest()[:8]
        words = "=".join((f"{now:%H%M%S%f}", *artifact.words, numbered(number), run))
        self.objects.put(f"{_JOURNAL}{now:%Y%m%d}/{words}", b"")

    def told(self, after: str = "") -> Iterator[Marker]:
        """Markers of the journal by time, from the first name greater than `after`."""
        for found in self.objects.list(_JOURNAL, after):
            words = found.name.rpartition("/")[2].split("=")
            artifact = artifact_of(words[1:4])
            if artifact is not None and len(words) == 6 and words[4].isdigit():
                yield Marker(found.name, artifact, int(words[4]))


def _folder(artifact: Artifact) -> str:
    return f"lineage/{'/'.join(artifact.words)}/"


@lru_cache(maxsize=8)
def at(address: str) -> Depot:
    """The depot at an address: a URL such as `s3://bucket/folder`, or a folder."""
    if "://" in address:
        return Depot(CloudObjects(address.rstrip("/")))
    return Depot(FolderObjects(Path(address).expanduser().resolve()))


def configured() -> Depot | None:
    """The depot that `STEER_DEPOT` names; None by default."""
    address = depot_address()
    return at(address) if address else None
