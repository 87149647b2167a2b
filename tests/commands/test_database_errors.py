"""What is wrong with a query or with the database is said in words, with the remedy."""

import re

import pytest

from tests.storage import synthetic
from tests.storage.processes import database_open, holding


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("selekt", "Parser Error: syntax error at or near"),
        ("SELECT * FROM nope", "Catalog Error: Table with name nope does not exist"),
        ("SELECT nope FROM models", "Binder Error"),
        ("DELETE FROM models", "Invalid Input Error.*read-only"),
        ("", "write one SQL query"),
        ("SELECT 1; DROP TABLE models", "read-only"),
    ],
)
def test_bad_sql_is_answered_in_words(steer, full, query, said):
    answer = steer("sql", query)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("steer: ")
    assert re.search(said, answer.err)
    assert "Traceback" not in answer.err


def test_no_database_yet(steer, layout):
    said = steer("sql", "SELECT 1").refused()
    assert said == f"{layout.database} does not exist yet; `steer db sync` makes it"


def test_a_database_open_elsewhere(steer, full):
    with holding(database_open(read_only=False), full.database):
        said = steer("sql", "SELECT 1").refused(code=1)
        assert said == f"{full.database} is open in another process; close it or try again later"
        put_off = steer("db", "sync")
        assert put_off.code == 1
        assert "is open in another process" in put_off.err
    assert steer("sql", "SELECT 1").code == 0


def test_a_damaged_database_and_its_remedy(steer, layout):
    synthetic.write(layout, "prompt_sets", {"trait": "formality"}, {})
    assert steer("db", "sync").code == 0
    layout.database.write_bytes(b"nothing like a database" * 1000)
    for command in (["sql", "SELECT 1"], ["db", "sync"]):
        said = steer(*command).refused(code=1)
        assert str(layout.database) in said
        assert "`steer db rebuild` remakes it from Parquet" in said
    assert steer("db", "rebuild").code == 0
    assert steer("sql", "SELECT count(*) AS n FROM prompt_sets", "--json").out == '{"n": 1}\n'


def test_a_damaged_part_is_named_and_the_rest_is_loaded(steer, layout):
    for trait in ("formality", "sentiment"):
        synthetic.write(layout, "prompt_sets", {"trait": trait}, {})
    path = layout.part("prompt_sets", {"trait": "formality"})
    path.write_bytes(b"PAR1")
    answer = steer("db", "sync")
    assert answer.code == 1
    damaged, loaded = answer.err.splitlines()
    assert damaged.startswith(f"damaged   {path} is damaged")
    assert damaged.endswith("delete it and run again to remake it")
    assert loaded == "1 parts loaded, 0 removed"
