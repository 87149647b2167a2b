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
from steer_assets.storage.schema import conform

TABLE = "artifact_lineage"


@dataclass(frozen=True, slots=True, order=True)
class InputVersion:
    """One input of an artifact, an asset partition or an outside source, with its data version."""

    asset_key: str
    partition: str
    data_version: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of an artifact, relative to the data folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Record:
    """The newest materialisation of one asset partition."""

    asset_key: str
    partition: str
    data_version: str
    inputs: frozenset[InputVersion]
    files: tuple[StoredFile, ...]
    study: str
    code_version: str
    run_id: str
    mlflow_run_id: str
    created_at: datetime


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
    newest = frame.filter(pl.col("created_at") == pl.col("created_at").max())
    files = newest.select("path", "bytes", "file_sha256").unique().sort("path")
    inputs = newest.select("input_asset_key", "input_partition", "input_data_version").unique()
    first = newest.row(0, named=True)
    return Record(
        asset_key=asset_key,
        partition=first["partition"],
        data_version=first["data_version"],
        inputs=frozenset(InputVersion(*row) for row in inputs.iter_rows()),
        files=tuple(StoredFile(*row) for row in files.iter_rows()),
        study=first["study"],
        code_version=first["code_version"],
        run_id=first["run_id"],
        mlflow_run_id=first["mlflow_run_id"],
        created_at=first["created_at"],
    )


def _rows(record: Record, key: PartitionKey) -> pl.DataFrame:
    rows = [
        {
            "asset_key": record.asset_key,
            "partition": record.partition,
            "model": key.get("model", ""),
            "trait": key.get("trait", ""),
            "data_version": record.data_version,
            "input_asset_key": source.asset_key,
            "input_partition": source.partition,
            "input_data_version": source.data_version,
            "study": record.study,
            "mlflow_run_id": record.mlflow_run_id,
            "path": file.path,
            "bytes": file.bytes,
            "file_sha256": file.sha256,
            "run_id": record.run_id,
            "code_version": record.code_version,
        }
        for file in record.files
        for source in sorted(record.inputs)
    ]
    frame = pl.DataFrame(rows).with_columns(pl.lit(record.created_at).alias("created_at"))
    return conform(frame, TABLE)


def append(layout: Layout, asset_key: str, key: PartitionKey, records: Sequence[Record]) -> None:
    """Append materialisations to the lineage of their partition."""
    frame = pl.concat([_rows(record, key) for record in records])
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
