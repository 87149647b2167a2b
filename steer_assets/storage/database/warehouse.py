"""Access to the DuckDB database: connections, and queries of this program.

A read-write DuckDB connection of one process excludes all other processes. `syncing` loads the
database; untrusted queries go through `sandboxed_sql`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from steer_assets.processes import host
from steer_assets.storage.layout import Layout

_BUSY = ("Could not set lock on file", "with a different configuration")
_REFUSED = ("Permission denied", "Read-only file system", "No space left", "Too many open files")
_DAMAGE = ("Corrupt database file", "not a valid DuckDB database", "Could not read enough bytes")


class WarehouseBusyError(RuntimeError):
    """Another process holds the database open."""


class WarehouseDamagedError(RuntimeError):
    """The database file cannot be read; it can be rebuilt from Parquet."""


class QueryError(ValueError):
    """A query whose result is not a table that can be displayed."""


def kept_on() -> str:
    """The host that alone loads the database, from `STEER_WAREHOUSE`; empty where all may."""
    return os.environ.get("STEER_WAREHOUSE", "")


def kept_elsewhere() -> str:
    """Why this host does not load the database, in words; empty where it may."""
    named = kept_on()
    if named in ("", host(), host().partition(".")[0]):
        return ""
    return f"the database is loaded on {named} only (STEER_WAREHOUSE)"


@contextmanager
def connect(database: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the database.

    Raises:
        WarehouseBusyError: another process has it open in a conflicting mode.
        WarehouseDamagedError: it is not a DuckDB file, or a damaged one.
        FileNotFoundError: it does not exist and `connect` was to open it for reading.
    """
    if read_only and not database.exists():
        raise FileNotFoundError(f"{database} does not exist yet; `steer db sync` makes it")
    try:
        connection = duckdb.connect(str(database), read_only=read_only)
    except (duckdb.Error, UnicodeDecodeError) as error:
        raise _why_not_opened(database, str(error)) from error
    try:
        yield connection
    except duckdb.Error as error:
        # DuckDB reads blocks and verifies their checksums only when a query needs them.
        if any(sign in str(error) for sign in _DAMAGE):
            raise _damaged(database, str(error)) from error
        raise
    finally:
        connection.close()


def _damaged(database: Path, said: str) -> WarehouseDamagedError:
    return WarehouseDamagedError(
        f"{database} is damaged ({said.splitlines()[0]}); `steer db rebuild` remakes it from "
        "Parquet"
    )


def _why_not_opened(database: Path, said: str) -> Exception:
    """DuckDB raises one class for several causes; the message distinguishes them."""
    if any(sign in said for sign in _BUSY):
        return WarehouseBusyError(
            f"{database} is open in another process; close it or try again later"
        )
    if any(sign in said for sign in _REFUSED):
        return OSError(f"{database} cannot be opened: {said.splitlines()[0]}")
    return _damaged(database, said)


def quoted(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def where(key: dict[str, str]) -> str:
    """The condition that selects one part; its values are passed as parameters."""
    return " AND ".join(f"{quoted(dimension)} = ?" for dimension in key) or "TRUE"


def query(layout: Layout, sql: str) -> pl.DataFrame:
    """Result of a trusted SQL query, read-only; untrusted ones go through `sandboxed_sql.ask`.

    Raises:
        WarehouseBusyError, WarehouseDamagedError, FileNotFoundError: see `connect`.
        QueryError: it returns no table, or a column of a type that no table here has.
        duckdb.Error: the SQL is wrong.
    """
    with connect(layout.database, read_only=True) as connection:
        return answer(connection, sql)


def answer(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[str] | None = None
) -> pl.DataFrame:
    """The result of a query on an open database; errors as in `query`."""
    found = connection.sql(sql, params=parameters)
    if found is None:
        raise QueryError("that is no question: write one SQL query")
    try:
        frame: pl.DataFrame = found.pl()
    except pl.exceptions.PolarsError as error:
        types = ", ".join(str(kind) for kind in found.types)
        raise QueryError(
            f"the answer has columns of type {types}, not all of which can be shown; "
            "cast them to VARCHAR"
        ) from error
    return frame


def part_rows(
    connection: duckdb.DuckDBPyConnection, table: str, key: dict[str, str]
) -> pl.DataFrame:
    """The loaded rows of one part, from an open database."""
    statement = f"SELECT * FROM {quoted(table)} WHERE {where(key)}"  # noqa: S608 - quoted
    frame: pl.DataFrame = connection.sql(statement, params=list(key.values())).pl()
    return frame
