"""What the database remembers of the journal: how far it was read, and changes not yet done."""

from collections.abc import Collection

import duckdb

from steer_assets.storage.journal import News, Position

BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS _journal (name VARCHAR PRIMARY KEY, "offset" BIGINT, head VARCHAR);
CREATE TABLE IF NOT EXISTS _changing (id VARCHAR PRIMARY KEY, parts VARCHAR[]);
"""
#: Its row says that all parts were looked at once; it names no file.
_WALKED = ""


def forget(connection: duckdb.DuckDBPyConnection) -> None:
    """The next sync looks at all parts."""
    connection.execute("DELETE FROM _journal")


def positions(connection: duckdb.DuckDBPyConnection) -> dict[str, Position] | None:
    """How far every file was read; None if the parts were never all looked at."""
    rows = connection.execute("FROM _journal").fetchall()
    known = {name: Position(offset, head) for name, offset, head in rows}
    return None if known.pop(_WALKED, None) is None else known


def changing(connection: duckdb.DuckDBPyConnection, news: News) -> dict[str, list[str]]:
    """Parts by change: those that were not done at the last sync, and those begun since."""
    before = dict(connection.execute("FROM _changing").fetchall())
    return before | news.begun


def remember(
    connection: duckdb.DuckDBPyConnection, news: News, *, dropped: Collection[str] = ()
) -> None:
    """Store how far the journal was read, without the files `dropped`, and what is not done.

    After a look at all parts, `news` holds all events of the journal, and changes of which no file
    tells any more are forgotten. Only what differs is written: most syncs find nothing new.
    """
    kept = {name: place for name, place in news.positions.items() if name not in dropped}
    if positions(connection) != kept:
        connection.execute("DELETE FROM _journal")
        rows = [(name, place.offset, place.head) for name, place in kept.items()]
        connection.executemany("INSERT INTO _journal VALUES (?, ?, ?)", [(_WALKED, 0, ""), *rows])
    if not news.complete:
        connection.execute("DELETE FROM _changing")
    for change in news.done:
        connection.execute("DELETE FROM _changing WHERE id = ?", [change])
    for change, parts in news.begun.items():
        if change not in news.done:
            connection.execute("INSERT OR REPLACE INTO _changing VALUES (?, ?)", [change, parts])
