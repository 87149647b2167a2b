"""Inputs of each stored artifact, and whether it is up to date.

One row per materialisation, stored file and input. Inputs are other assets and sources outside the
graph: catalog files, the study settings that the asset reads, the code version. An artifact is
fresh if its newest record names exactly the inputs that it would be made from now and all of its
files are present and intact.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import polars as pl

from steer_assets.paths import depot_address
from steer_assets.storage.files.file_stamp import Stamp, stamp
from steer_assets.storage.files.hashing import hash_file, hash_file_once
from steer_assets.storage.files.parquet import DamagedFileError, read_part, write_part
from steer_assets.storage.layout import Layout, PartitionKey, partition_name
from steer_assets.storage.lineage_rows import TABLE as TABLE
from steer_assets.storage.lineage_rows import InputVersion as InputVersion
from steer_assets.storage.lineage_rows import Record as Record
from steer_assets.storage.lineage_rows import StoredFile as StoredFile
from steer_assets.storage.lineage_rows import record_of, rows_of
from steer_assets.storage.schema import conform


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether an artifact is up to date; `reasons` explains why it is not."""

    fresh: bool
    reasons: tuple[str, ...]


def _part_key(asset_key: str, key: PartitionKey) -> PartitionKey:
    return {"asset_key": asset_key, **key}


def record_part(layout: Layout, asset_key: str, key: PartitionKey) -> str:
    """Name of the part with the records of one asset partition, relative to the data folder."""
    return layout.relative(layout.part(TABLE, _part_key(asset_key, key)))


def describe_file(layout: Layout, path: str) -> StoredFile:
    """Size and checksum of one stored file."""
    full = layout.root / path
    return StoredFile(path, full.stat().st_size, hash_file(full))


def read_record(layout: Layout, asset_key: str, key: PartitionKey) -> Record | None:
    """The newest record of one asset partition, or None if it was never materialised."""
    path = layout.part(TABLE, _part_key(asset_key, key))
    if not path.exists():
        return None
    mark = stamp(path)
    return _read(path, asset_key) if mark is None else _remembered(path, asset_key, mark)


@lru_cache(maxsize=4096)
def _remembered(path: Path, asset_key: str, mark: Stamp) -> Record:
    return _read(path, asset_key)


def _read(path: Path, asset_key: str) -> Record:
    frame = read_part(path)
    return record_of(frame.filter(pl.col("created_at") == pl.col("created_at").max()), asset_key)


def history(layout: Layout, asset_key: str, key: PartitionKey) -> list[Record]:
    """Every record of one asset partition, the oldest first; none if they cannot be read."""
    try:
        frame = read_part(layout.part(TABLE, _part_key(asset_key, key)))
    except (FileNotFoundError, DamagedFileError):
        return []
    groups = frame.partition_by("created_at", "run_id")
    records = [record_of(group, asset_key) for group in groups]
    return sorted(records, key=lambda record: record.created_at)


def append(layout: Layout, asset_key: str, key: PartitionKey, records: Sequence[Record]) -> None:
    """Append materialisations to the lineage of their partition."""
    frame = pl.concat([rows_of(record, key) for record in records])
    path = layout.part(TABLE, _part_key(asset_key, key))
    if path.exists():
        # A damaged part loses its history; the artifact itself has just been made again.
        with contextlib.suppress(DamagedFileError, ValueError):
            frame = pl.concat([conform(read_part(path), TABLE), frame])
    write_part(path, frame)


def write_record(
    layout: Layout,
    *,
    asset_key: str,
    key: PartitionKey,
    data_version: str,
    inputs: Sequence[InputVersion],
    files: Sequence[StoredFile],
    study: str,
    code_version: str,
    run_id: str,
    mlflow_run_id: str,
    commit: Callable[[Record], Record] | None = None,
) -> Record:
    """Append one materialisation to the lineage of its partition. Written last, as the commit.

    commit: where results are kept elsewhere too, stores the record there and returns the one that
        stands there, which is appended.
    """
    record = Record(
        asset_key=asset_key,
        partition=partition_name(key),
        data_version=data_version,
        inputs=frozenset(inputs),
        files=tuple(sorted(files, key=lambda file: file.path)),
        study=study,
        code_version=code_version,
        run_id=run_id,
        mlflow_run_id=mlflow_run_id,
        created_at=datetime.now(UTC).replace(tzinfo=None),
    )
    if commit is not None:
        record = commit(record)
    append(layout, asset_key, key, [record])
    return record


#: The clock of a file system lags behind that of the machine.
_CLOCKS_APART = timedelta(milliseconds=20)


def _touched(path: Path, record: Record) -> bool:
    """Whether a file may have been written to after its record."""
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
    return changed > record.created_at - _CLOCKS_APART


def damaged_files(layout: Layout, record: Record, *, all_read: bool = True) -> list[str]:
    """Problems with the files of a record, as sentences; empty if all are present and intact.

    Without `all_read` only files that were written to after their record are read, since reading
    years of results would take an hour; readers of a file verify its checksum anyway. With a depot
    a file that is not here is no problem: stages bring what they read.
    """
    problems = []
    for file in record.files:
        path = layout.root / file.path
        if not path.exists():
            if depot_address():
                continue
            problems.append(f"{file.path} is missing")
        elif path.stat().st_size != file.bytes or (
            (all_read or _touched(path, record)) and hash_file_once(path) != file.sha256
        ):
            problems.append(
                f"{file.path} is damaged: its checksum differs from when it was written"
            )
    return problems


def changes(recorded: frozenset[InputVersion], expected: frozenset[InputVersion]) -> list[str]:
    """Differences between two sets of inputs, as sentences."""
    before = {(i.asset_key, i.partition): i.data_version for i in recorded}
    now = {(i.asset_key, i.partition): i.data_version for i in expected}
    words = []
    for source in sorted(before.keys() | now.keys()):
        name = " ".join(source)
        if source not in before:
            words.append(f"{name} is new")
        elif source not in now:
            words.append(f"{name} is gone")
        elif before[source] != now[source]:
            words.append(f"{name} changed")
    return words


def freshness(
    layout: Layout, asset_key: str, key: PartitionKey, expected: Sequence[InputVersion]
) -> Freshness:
    """Compare the newest record with the inputs that the artifact would have now."""
    try:
        record = read_record(layout, asset_key, key)
    except DamagedFileError as error:
        return Freshness(False, (str(error),))
    if record is None:
        return Freshness(False, ("never materialised",))
    reasons = changes(record.inputs, frozenset(expected)) + damaged_files(layout, record)
    return Freshness(not reasons, tuple(reasons))
