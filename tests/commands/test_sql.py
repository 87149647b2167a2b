"""`steer sql`: a query as an argument, with its leading comment, from a file or standard input."""

import json

import polars as pl
import pytest

from steer_assets.commands import warehouse
from steer_assets.paths import SQL

EXAMPLES = sorted((SQL / "examples").glob("*.sql"))
COMMENTED = "-- How many?\nSELECT 7 AS n"


def _rows(answer):
    assert answer.code == 0, answer.err
    return [json.loads(line) for line in answer.out.splitlines()]


@pytest.mark.parametrize("before", [True, False])
def test_a_query_may_begin_with_a_comment(full, steer, before):
    typed = ("--json", COMMENTED) if before else (COMMENTED, "--json")
    assert _rows(steer("sql", *typed)) == [{"n": 7}]


def test_a_comment_with_an_equals_sign_is_no_option(full, steer):
    assert _rows(steer("sql", "-- margin = 0.2\nSELECT 7 AS n", "--json")) == [{"n": 7}]


@pytest.mark.parametrize("typed", [("-",), ()])
def test_standard_input(full, steer, typed):
    assert _rows(steer("sql", *typed, "--json", stdin=COMMENTED.encode())) == [{"n": 7}]


def test_a_file_may_begin_with_a_byte_order_mark(full, steer, tmp_path):
    path = tmp_path / "question.sql"
    path.write_bytes(b"\xef\xbb\xbf" + COMMENTED.encode())
    assert _rows(steer("sql", "--file", path, "--json")) == [{"n": 7}]


def test_a_mistyped_option_is_still_refused(full, steer):
    assert "--jsn" in steer("sql", "SELECT 1", "--jsn").err


def test_two_queries_and_none_are_refused(full, steer, tmp_path):
    path = tmp_path / "question.sql"
    path.write_text(COMMENTED)
    assert "not both" in steer("sql", "SELECT 1", "--file", path).refused()
    assert "standard input holds no query" in steer("sql", stdin=b" \n").refused()
    path.write_bytes(b"\xff\xfe\xff")
    assert "is not UTF-8 text" in steer("sql", "--file", path).refused()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_runs_as_a_file_and_pasted(full, steer, path, monkeypatch):
    from_file = steer("sql", "--file", path, "--json")
    assert from_file.code == 0, from_file.err
    # Pasted, the same words are asked.
    asked = []
    monkeypatch.setattr(
        warehouse.sandboxed_sql, "ask", lambda _, sql: asked.append(sql) or pl.DataFrame()
    )
    for typed in (["--file", path], [path.read_text()]):
        assert steer("sql", *typed, "--json").code == 0
    assert asked[0] == asked[1]
