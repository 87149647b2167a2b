"""Loads Parquet into DuckDB with one idempotent `sync`.

A run only writes Parquet. `sync` compares the parts on disk with those loaded and applies the
difference in one transaction, under an inter-process lock. While another process locks the
database, sync is postponed instead of failing, since the Parquet files are complete and the next
sync loads them.
"""

from dataclasses import dataclass, field

import duckdb
import polars as pl
from filelock import FileLock, Timeout

from steer_assets.storage import lineage
from steer_assets.storage.database.warehouse import (
    WarehouseBusyError,
    connect,
    kept_elsewhere,
    quoted,
    where,
)
from steer_assets.storage.files.atomic import atomic_path
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.files.parquet import DamagedFileError, first_bad_column, read_part
from steer_assets.storage.layout import Layout, Part
from steer_assets.storage.schema import (
    SchemaError,
    columns,
    conform,
    nullable,
    table_statements,
    view_statements,
)

_BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS _parts (path VARCHAR PRIMARY KEY, signature VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS _schema (hash VARCHAR NOT NULL);
"""

#: The newest lineage of every artifact, updated from the parts of `artifact_lineage`.
_CURRENT = "current_lineage"

#: Vacuuming on close would rewrite partly filled row groups, which takes longer than the rest of a
#: sync into a large table. Empty row groups are freed in any case, so the file does not grow.
_NO_VACUUM = "SET max_vacuum_tasks = 0"


@dataclass(slots=True)
class SyncResult:
    """Result of a sync: parts loaded and removed, unreadable parts, or why it was postponed."""

    loaded: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    deferred: str = ""


def signatures(layout: Layout) -> dict[str, str]:
    """File signatures of the parts, by name; a signature changes when the part does.

    Parts are replaced only by rename, so inode, size and time change together with content.
    """
    return {
        name: f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
        for name, status in layout.stamps().items()
    }


def _schema_hash() -> str:
    return hash_json([table_statements(), view_statements()])


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create tables and views; recreate them if their SQL has changed."""
    connection.execute(_BOOKKEEPING)
    if connection.execute("SELECT hash FROM _schema").fetchall() == [(_schema_hash(),)]:
        return
    for view in view_statements():
        connection.execute(f"DROP VIEW IF EXISTS {quoted(view)}")
    for table, statement in table_statements().items():
        connection.execute(f"DROP TABLE IF EXISTS {quoted(table)}")
        connection.execute(statement)
    for statement in view_statements().values():
        connection.execute(statement)
    connection.execute("DELETE FROM _parts")
    connection.execute("DELETE FROM _schema")
    connection.execute("INSERT INTO _schema VALUES (?)", [_schema_hash()])


def _delete_rows(connection: duckdb.DuckDBPyConnection, table: str, key: dict[str, str]) -> None:
    statement = f"DELETE FROM {quoted(table)} WHERE {where(key)}"  # noqa: S608 - quoted
    connection.execute(statement, list(key.values()))


def _read(part: Part) -> pl.DataFrame:
    """The rows of a part, checked against the table's schema and the part's path.

    Raises:
        DamagedFileError, ValueError: the part is damaged, or fails these checks.
    """
    if unknown := [name for name in part.key if name not in columns(part.table)]:
        raise SchemaError(f"the table {part.table} has no column {unknown[0]!r}")
    frame = conform(read_part(part.path), part.table)
    if bad := first_bad_column(frame, nullable(part.table)):
        raise ValueError(f"{part.path}: {bad}")
    for dimension, value in part.key.items():
        if not (frame[dimension] == value).all():
            raise ValueError(f"{part.path}: holds rows whose {dimension} is not {value!r}")
    return frame


def _load(connection: duckdb.DuckDBPyConnection, part: Part) -> None:
    frame = _read(part)
    _delete_rows(connection, part.table, part.key)
    connection.register("_incoming", frame.to_arrow())
    into = f"INSERT INTO {quoted(part.table)} BY NAME SELECT * FROM _incoming"  # noqa: S608 - quoted
    connection.execute(into)
    if part.table == lineage.TABLE:  # a part of the lineage table is the history of one artifact
        _delete_rows(connection, _CURRENT, part.key)
        names = ", ".join(map(quoted, columns(_CURRENT)))
        connection.execute(
            f"INSERT INTO {_CURRENT} SELECT DISTINCT {names} FROM _incoming "  # noqa: S608 - quoted
            "WHERE created_at = (SELECT max(created_at) FROM _incoming)"
        )
    connection.unregister("_incoming")


def _unload(connection: duckdb.DuckDBPyConnection, part: Part) -> None:
    _delete_rows(connection, part.table, part.key)
    if part.table == lineage.TABLE:
        _delete_rows(connection, _CURRENT, part.key)


def _apply(
    connection: duckdb.DuckDBPyConnection, layout: Layout, expected: pl.DataFrame | None
) -> SyncResult:
    result = SyncResult()
    _prepare(connection)
    loaded = dict(connection.execute("SELECT path, signature FROM _parts").fetchall())
    present = signatures(layout)
    for path, signature in present.items():
        if loaded.get(path) == signature:
            continue
        part = layout.part_at(path)
        try:
            _load(connection, part)
        except SchemaError as error:
            result.damaged.append(f"{part.path}: {error}")
            continue
        except (DamagedFileError, ValueError) as error:
            result.damaged.append(str(error))
            continue
        connection.execute("INSERT OR REPLACE INTO _parts VALUES (?, ?)", [path, signature])
        result.loaded.append(path)
    for path in sorted(loaded.keys() - present.keys()):
        _unload(connection, layout.part_at(path))
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
    """Load new parts from Parquet and remove deleted ones, in one transaction.

    `expected_inputs` replaces the table with which `v_stale_artifacts` compares lineage.
    """
    if elsewhere := kept_elsewhere():
        return SyncResult(deferred=elsewhere)
    layout.root.mkdir(parents=True, exist_ok=True)
    try:
        with (
            FileLock(layout.root / ".sync.lock", timeout=wait_s),
            connect(layout.database, read_only=False) as connection,
        ):
            connection.execute(_NO_VACUUM)
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
    except (duckdb.Error, OSError) as error:  # for example a full disk; Parquet has all the data
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        return SyncResult(deferred=f"{layout.database} could not be written: {why}")


def rebuild(
    layout: Layout, *, expected_inputs: pl.DataFrame | None = None, wait_s: float = 60.0
) -> SyncResult:
    """Build the database again from Parquet; the old one stays until the new one is complete.

    Raises:
        WarehouseBusyError: another sync is running and does not end in time, or `STEER_WAREHOUSE`
            names another host.
    """
    if elsewhere := kept_elsewhere():
        raise WarehouseBusyError(elsewhere)
    layout.root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(layout.root / ".sync.lock", timeout=wait_s):
            with atomic_path(layout.database) as fresh:
                with connect(fresh, read_only=False) as connection:
                    result = _apply(connection, layout, expected_inputs)
                # DuckDB must not replay the old file's log into the new one.
                layout.database.with_name("steer.duckdb.wal").unlink(missing_ok=True)
            return result
    except Timeout:
        raise WarehouseBusyError("another sync is running; try again when it is done") from None
