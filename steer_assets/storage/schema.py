"""Table schemas: `sql/tables/*.sql` is the single definition of columns and types."""

from collections.abc import Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter

import duckdb
import polars as pl

from steer_assets.paths import SQL
from steer_assets.storage.files.hashing import flat

_POLARS_TYPE: dict[str, type[pl.DataType] | pl.DataType] = {
    "VARCHAR": pl.String,
    "INTEGER": pl.Int32,
    "BIGINT": pl.Int64,
    "DOUBLE": pl.Float64,
    "BOOLEAN": pl.Boolean,
    "TIMESTAMP": pl.Datetime("us"),
    "INTEGER[]": pl.List(pl.Int32),
}

#: Columns of every table that a run fills in.
_OF_A_RUN = ("model", "trait", "run_id", "code_version")


class SchemaError(ValueError):
    """A frame does not have the columns of its table."""


@cache
def table_statements() -> dict[str, str]:
    """CREATE TABLE statements by table name, in the order of their files."""
    return {path.stem: path.read_text() for path in sorted((SQL / "tables").glob("*.sql"))}


@cache
def view_statements() -> dict[str, str]:
    """CREATE VIEW statements by view name, each after the views that it reads."""
    statements = {path.stem: path.read_text() for path in sorted((SQL / "views").glob("*.sql"))}
    reads = {
        name: {other for other in statements if other != name and other in statement}
        for name, statement in statements.items()
    }
    return {name: statements[name] for name in TopologicalSorter(reads).static_order()}


@cache
def _declared() -> list[tuple[str, str, str, bool]]:
    """Table, column, type and whether it may be NULL, of all columns in order.

    One database declares all tables, because opening one takes 60 ms.
    """
    with duckdb.connect() as connection:
        for statement in table_statements().values():
            connection.execute(statement)
        return connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE NOT internal ORDER BY table_name, column_index"
        ).fetchall()


@cache
def nullable(table: str) -> frozenset[str]:
    """Columns of `table` that may be NULL, for values that could not be measured."""
    columns(table)  # raises for a table that there is not
    return frozenset(
        name for of, name, _, may_be_null in _declared() if may_be_null and of == table
    )


@cache
def _all_columns() -> dict[str, dict[str, pl.DataType]]:
    columns: dict[str, dict[str, pl.DataType]] = {}
    for table, column, data_type, _ in _declared():
        dtype = _POLARS_TYPE[data_type]
        columns.setdefault(table, {})[column] = dtype() if isinstance(dtype, type) else dtype
    return columns


def columns(table: str) -> dict[str, pl.DataType]:
    """Column names and polars types of `table`, in order."""
    try:
        return _all_columns()[table]
    except KeyError:
        raise SchemaError(f"there is no table {table!r} in sql/tables") from None


def own_columns(table: str, *filled: str) -> dict[str, pl.DataType]:
    """Columns of `table` without those that a run fills in, and without `filled`."""
    given = {*_OF_A_RUN, *filled}
    return {name: kind for name, kind in columns(table).items() if name not in given}


def frame_of(table: str, rows: Sequence[Mapping[str, object]], *filled: str) -> pl.DataFrame:
    """Rows of `own_columns` in the table's types; may be empty."""
    return pl.DataFrame(rows, schema=own_columns(table, *filled))


def conform(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """Order and cast `frame` to the schema of `table`.

    Raises:
        SchemaError: a column is missing or unknown, or has values of another type, such as
            fractions in an integer column.
    """
    expected = columns(table)
    if missing := [name for name in expected if name not in frame.columns]:
        raise SchemaError(f"{table}: missing columns {', '.join(missing)}")
    if unknown := [name for name in frame.columns if name not in expected]:
        raise SchemaError(f"{table}: unknown columns {', '.join(unknown)}")
    given = frame.schema
    # A part as it was written needs nothing: each polars expression takes a tenth of a millisecond.
    if list(given.items()) == list(expected.items()):
        return frame
    for name, dtype in expected.items():
        from_float = _innermost(given[name]).is_float()
        if from_float and _innermost(dtype).is_integer() and _has_fractions(frame[name]):
            raise SchemaError(f"{table}: {name} holds fractions, not whole numbers")
    try:
        return frame.select(pl.col(name).cast(dtype) for name, dtype in expected.items())
    except pl.exceptions.PolarsError as error:
        raise SchemaError(f"{table}: {error}") from error


def _innermost(dtype: pl.DataType) -> pl.DataType:
    """The type of a list's elements; any other type itself."""
    return pl.Series(dtype=dtype.inner).dtype if isinstance(dtype, pl.List) else dtype


def _has_fractions(column: pl.Series) -> bool:
    values = flat(column)
    return bool((values != values.round()).any())
