"""Tables and views of the database, made from their SQL, and made again where it has changed."""

import duckdb

from steer_assets.storage.database import journal_state
from steer_assets.storage.database.warehouse import quoted
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.schema import table_statements, view_statements

_BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS _parts (path VARCHAR PRIMARY KEY, signature VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS _schema (hash VARCHAR NOT NULL);
"""


def _schema_hash() -> str:
    return hash_json([table_statements(), view_statements()])


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create tables and views; recreate them if their SQL has changed."""
    connection.execute(_BOOKKEEPING + journal_state.BOOKKEEPING)
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
    journal_state.forget(connection)
    connection.execute("DELETE FROM _schema")
    connection.execute("INSERT INTO _schema VALUES (?)", [_schema_hash()])
