"""Untrusted SQL: read-only, and restricted to the data folder.

A read-only database is not enough: DuckDB reads any file of the machine, writes with COPY (also as
a WITH clause of a SELECT), attaches databases and loads extensions. A query is therefore first run
with all file access disabled. If it needs a file, it is run again as a subquery, where DuckDB
accepts only a single SELECT without writing clauses, with access to the data folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl

from steer_assets.storage.database.warehouse import QueryError, answer, connect
from steer_assets.storage.layout import Layout


def ask(layout: Layout, sql: str) -> pl.DataFrame:
    """The result of one untrusted SQL query.

    Raises:
        WarehouseBusyError, WarehouseDamagedError, FileNotFoundError: see `warehouse.connect`.
        QueryError: it returns no table, or reads or writes outside its permissions.
        duckdb.Error: the SQL is wrong.
    """
    try:
        with connect(layout.database, read_only=True) as connection:
            _confine(connection, [])
            return answer(connection, sql)
    except duckdb.PermissionException as error:
        refused = error
    try:
        with connect(layout.database, read_only=True) as connection:
            _confine(connection, list(_readable(layout.root)))
            return answer(connection, "FROM query(?)", [sql])
    except (duckdb.PermissionException, duckdb.ParserException, duckdb.BinderException) as error:
        why = error if isinstance(error, duckdb.BinderException) else refused
        raise QueryError(
            f"a question reads the database and, by one SELECT, files in {layout.root}; it writes "
            f"nothing and reads nothing else ({str(why).splitlines()[0]})"
        ) from error


def _confine(connection: duckdb.DuckDBPyConnection, folders: list[Path]) -> None:
    """Restrict the connection irrevocably to its database and to files in `folders`."""
    paths = [f"{folder}{os.sep}" for folder in folders]
    connection.execute("SET allowed_directories = $paths", {"paths": paths})
    for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
        connection.execute(f"SET {setting} = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _readable(root: Path) -> Iterator[Path]:
    """Subfolders of the data folder without symbolic links that lead out of it.

    DuckDB resolves links, but resolves `link/..` to the folder that contains the link, which can
    differ from the parent of its target.
    """
    for room in root.iterdir():
        if room.is_dir() and not room.is_symlink() and not any(_ways_out(room, root)):
            yield room


def _ways_out(room: Path, root: Path) -> Iterator[str]:
    for folder, names, _ in os.walk(room):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - a hundred thousand folders
            if os.path.islink(path) and not Path(path).resolve().is_relative_to(root):  # noqa: PTH114
                yield path
