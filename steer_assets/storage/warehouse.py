"""DuckDB, the place to ask: real tables, loaded from Parquet by one idempotent `sync`.

DuckDB lets one read-write process shut out all others. So a run only writes Parquet, and `sync`
compares the parts on disk with those loaded and applies the difference in one transaction, under
an inter-process lock. When somebody holds the database open, sync is put off, never failed: the
record is safe and the next sync loads it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl
from filelock import FileLock, Timeout

from steer_assets.storage.hashing import hash_json
from steer_assets.storage.layout import Layout, Part
from steer_assets.storage.parquet import DamagedFileError, read_part
from steer_assets.storage.schema import conform, table_statements, view_statements

_BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS _parts (path VARCHAR PRIMARY KEY, signature VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS _schema (hash VARCHAR NOT NULL);
"""


class WarehouseBusyError(RuntimeError):
    """Another process holds the database open."""


class WarehouseDamagedError(RuntimeError):
    """The database file cannot be read; Parquet can remake it."""


@dataclass(slots=True)
class SyncResult:
    """What a sync did: parts loaded and removed, parts it could not read, or why it was put off."""

    loaded: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    deferred: str = ""


def _signature(path: Path) -> str:
    # Parts are only ever replaced by rename, so inode, size and time change together with content.
    status = path.stat()
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def _schema_hash() -> str:
    return hash_json([table_statements(), view_statements()])


@contextmanager
def connect(database: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the database.

    Raises:
        WarehouseBusyError: another process holds it open in a way that excludes this one.
        WarehouseDamagedError: it is not a DuckDB file, or a damaged one.
        FileNotFoundError: it is opened for reading and does not exist.
    """
    if read_only and not database.exists():
        raise FileNotFoundError(f"{database} does not exist yet; `steer db sync` makes it")
    try:
        connection = duckdb.connect(str(database), read_only=read_only)
    except (duckdb.Error, UnicodeDecodeError) as error:
        if "lock" in str(error).lower():
            raise WarehouseBusyError(
                f"{database} is open in another process; close it or try again later"
            ) from error
        raise WarehouseDamagedError(
            f"{database} is damaged ({str(error).splitlines()[0]}); `steer db rebuild` remakes it "
            "from Parquet"
        ) from error
    try:
        yield connection
    finally:
        connection.close()


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create tables and views; start over when their SQL has changed, Parquet being the record."""
    connection.execute(_BOOKKEEPING)
    if connection.execute("SELECT hash FROM _schema").fetchall() == [(_schema_hash(),)]:
        return
    for view in view_statements():
        connection.execute(f'DROP VIEW IF EXISTS "{view}"')
    for table, statement in table_statements().items():
        connection.execute(f'DROP TABLE IF EXISTS "{table}"')
        connection.execute(statement)
    for statement in view_statements().values():
        connection.execute(statement)
    connection.execute("DELETE FROM _parts")
    connection.execute("DELETE FROM _schema")
    connection.execute("INSERT INTO _schema VALUES (?)", [_schema_hash()])


def _delete_rows(connection: duckdb.DuckDBPyConnection, table: str, key: dict[str, str]) -> None:
    condition = " AND ".join(f'"{dimension}" = ?' for dimension in key) or "TRUE"
    connection.execute(f'DELETE FROM "{table}" WHERE {condition}', list(key.values()))


def _load(connection: duckdb.DuckDBPyConnection, part: Part) -> None:
    frame = conform(read_part(part.path), part.table)
    _delete_rows(connection, part.table, part.key)
    connection.register("_incoming", frame.to_arrow())
    connection.execute(f'INSERT INTO "{part.table}" BY NAME SELECT * FROM _incoming')
    connection.unregister("_incoming")


def _apply(
    connection: duckdb.DuckDBPyConnection, layout: Layout, expected: pl.DataFrame | None
) -> SyncResult:
    result = SyncResult()
    _prepare(connection)
    loaded = dict(connection.execute("SELECT path, signature FROM _parts").fetchall())
    present = {layout.relative(part.path): part for part in layout.parts()}
    for path, part in present.items():
        signature = _signature(part.path)
        if loaded.get(path) == signature:
            continue
        if part.table not in table_statements():
            result.damaged.append(f"{path}: there is no table {part.table!r}")
            continue
        try:
            _load(connection, part)
        except (DamagedFileError, ValueError) as error:
            result.damaged.append(str(error))
            continue
        connection.execute("INSERT OR REPLACE INTO _parts VALUES (?, ?)", [path, signature])
        result.loaded.append(path)
    for path in sorted(loaded.keys() - present.keys()):
        table, *folders = Path(path).parent.parts[1:]
        _delete_rows(connection, table, dict(folder.split("=", 1) for folder in folders))
        connection.execute("DELETE FROM _parts WHERE path = ?", [path])
        result.removed.append(path)
    if expected is not None:
        _delete_rows(connection, "expected_inputs", {})
        connection.register("_incoming", conform(expected, "expected_inputs").to_arrow())
        connection.execute("INSERT INTO expected_inputs BY NAME SELECT * FROM _incoming")
        connection.unregister("_incoming")
    return result


def sync(
    layout: Layout, *, expected_inputs: pl.DataFrame | None = None, wait_s: float = 5.0
) -> SyncResult:
    """Load what is new in Parquet, drop what is gone, in one transaction.

    `expected_inputs` replaces the table that `v_stale_artifacts` compares lineage with.
    """
    layout.root.mkdir(parents=True, exist_ok=True)
    try:
        with (
            FileLock(layout.root / ".sync.lock", timeout=wait_s),
            connect(layout.database, read_only=False) as connection,
        ):
            connection.execute("BEGIN")
            try:
                result = _apply(connection, layout, expected_inputs)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return result
    except Timeout:
        return SyncResult(deferred="another sync is running")
    except WarehouseBusyError as error:
        return SyncResult(deferred=str(error))


def rebuild(layout: Layout, *, expected_inputs: pl.DataFrame | None = None) -> SyncResult:
    """Make the database anew from Parquet; the old one stays until the new one is whole."""
    with FileLock(layout.root / ".sync.lock", timeout=60):
        fresh = layout.root / f".steer.duckdb.{os.getpid()}.tmp"
        fresh.unlink(missing_ok=True)
        try:
            with connect(fresh, read_only=False) as connection:
                result = _apply(connection, layout, expected_inputs)
            (layout.root / "steer.duckdb.wal").unlink(missing_ok=True)
            fresh.replace(layout.database)
        finally:
            fresh.unlink(missing_ok=True)
        return result


def query(layout: Layout, sql: str) -> pl.DataFrame:
    """Answer one SQL question, read-only.

    Raises:
        WarehouseBusyError, WarehouseDamagedError, FileNotFoundError: see `connect`.
        duckdb.Error: the SQL is wrong.
    """
    with connect(layout.database, read_only=True) as connection:
        frame: pl.DataFrame = connection.sql(sql).pl()
        return frame
