"""The content of a database, for comparison, and the names of its parts."""

from steer_assets.storage.database.warehouse import connect, query
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import table_statements

#: Partitions of the synthetic warehouse, and the table of tests that need one alone.
FORMALITY = {"model": "toy", "trait": "formality"}
SENTIMENT = {"model": "toy", "trait": "sentiment"}
TABLE = "classifier_scores"


def all_rows(layout: Layout) -> dict[str, list[tuple]]:
    """All rows of all tables, in an order of their own."""
    with connect(layout.database, read_only=True) as connection:
        return {
            table: connection.execute(f'SELECT * FROM "{table}" ORDER BY ALL').fetchall()
            for table in table_statements()
        }


def count_rows(layout: Layout, table: str) -> int:
    return int(query(layout, f"SELECT count(*) FROM {table}").item())
