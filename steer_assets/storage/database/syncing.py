"""Loads Parquet into DuckDB with one idempotent `sync`.

A run only writes Parquet. `sync` compares the parts on disk with those loaded and applies the
difference in one transaction, under an inter-process lock. `catch_up` compares only the parts that
the journal names since the last time. While another process locks the database, both are postponed
instead of failing, since the Parquet files are complete and the next sync loads them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import duckdb
import polars as pl
from filelock import FileLock, Timeout

from steer_assets.storage import journal, lineage
from steer_assets.storage.database import journal_state
from steer_assets.storage.database.tables import prepare
from steer_assets.storage.database.warehouse import (
    WarehouseBusyError,
    connect,
    kept_elsewhere,
    quoted,
    where,
)
from steer_assets.storage.files.atomic import atomic_path
from steer_assets.storage.files.parquet import DamagedFileError, first_bad_column, read_part
from steer_assets.storage.layout import Layout, Part
from steer_assets.storage.schema import (
    SchemaError,
    columns,
    conform,
    nullable,
)

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


def signatures(layout: Layout, names: Collection[str] | None = None) -> dict[str, str]:
    """File signatures of the parts, or of those of `names` that exist, by name.

    Parts are replaced only by rename, so inode, size and time change together with content.
    """
    return {
        name: f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
        for name, status in layout.stamps(names).items()
    }


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


def _loaded(connection: duckdb.DuckDBPyConnection, names: Collection[str] | None) -> dict[str, str]:
    """Signatures of the loaded parts, or of those of `names`, by name."""
    if names is None:
        return dict(connection.execute("SELECT path, signature FROM _parts").fetchall())
    wanted = "SELECT path, signature FROM _parts WHERE path IN (SELECT unnest(?))"
    return dict(connection.execute(wanted, [list(names)]).fetchall()) if names else {}


def _apply(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    expected: pl.DataFrame | None,
    *,
    all_parts: bool = True,
) -> SyncResult:
    prepare(connection)
    # The journal is read before the parts: what is written in between is looked at again.
    known = None if all_parts else journal_state.positions(connection)
    news = journal.read(layout, known)
    changing = journal_state.changing(connection, news)
    names = {name for parts in changing.values() for name in parts} if news.complete else None
    result = _apply_parts(connection, layout, names)
    dropped = [path.name for path in journal.old(layout)] if all_parts else []
    journal_state.remember(connection, news, dropped=dropped)
    if expected is not None:
        _delete_rows(connection, "expected_inputs", {})
        connection.register("_incoming", conform(expected, "expected_inputs").to_arrow())
        connection.execute("INSERT INTO expected_inputs BY NAME SELECT * FROM _incoming")
        connection.unregister("_incoming")
    return result


def _apply_parts(
    connection: duckdb.DuckDBPyConnection, layout: Layout, names: Collection[str] | None
) -> SyncResult:
    """Bring the rows of all parts, or of those named, to what is on disk."""
    result = SyncResult()
    loaded, present = _loaded(connection, names), signatures(layout, names)
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
        result.loaded.append(path)
    for path in sorted(loaded.keys() - present.keys()):
        _unload(connection, layout.part_at(path))
        result.removed.append(path)
    _remember(connection, result, present)
    return result


def _remember(
    connection: duckdb.DuckDBPyConnection, result: SyncResult, present: Mapping[str, str]
) -> None:
    """Note the signatures of what was loaded; in two statements, whatever the number of parts."""
    if result.loaded:
        signed = [present[path] for path in result.loaded]
        statement = "INSERT OR REPLACE INTO _parts SELECT unnest(?), unnest(?)"
        connection.execute(statement, [result.loaded, signed])
    if result.removed:
        statement = "DELETE FROM _parts WHERE path IN (SELECT unnest(?))"
        connection.execute(statement, [result.removed])


def sync(
    layout: Layout, *, expected_inputs: pl.DataFrame | None = None, wait_s: float = 5.0
) -> SyncResult:
    """Load new parts from Parquet and remove deleted ones, in one transaction.

    `expected_inputs` replaces the table with which `v_stale_artifacts` compares lineage.
    """
    return _synced(layout, expected_inputs, wait_s, all_parts=True)


def catch_up(layout: Layout, *, wait_s: float = 5.0) -> SyncResult:
    """`sync` of the parts that the journal names; its duration is independent of all others.

    Where the journal does not continue what was read before, of all parts.
    """
    return _synced(layout, None, wait_s, all_parts=False)


def _synced(
    layout: Layout, expected: pl.DataFrame | None, wait_s: float, *, all_parts: bool
) -> SyncResult:
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
                result = _apply(connection, layout, expected, all_parts=all_parts)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            if all_parts:
                journal.drop_old(layout)
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
