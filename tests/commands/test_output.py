"""Output of commands: tables for people, JSON lines for programs, and pipes that may close."""

import io
import json
import math
import subprocess
import sys

import polars as pl
import pytest

from steer_assets.commands import terminal
from steer_assets.resources import scorers


def _rows(text: str) -> list[dict]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_json_lines_hold_every_row(full, steer):
    answer = steer("sql", "SELECT trait, layer, efficacy FROM equivalence_reports", "--json")
    assert (answer.code, answer.err) == (0, "")
    rows = sorted(_rows(answer.out), key=lambda row: row["trait"])
    assert rows == [
        {"trait": "formality", "layer": 15, "efficacy": 0.5},
        {"trait": "sentiment", "layer": 15, "efficacy": 0.5},
    ]


def test_json_is_json_whatever_the_type(full, steer):
    answer = steer(
        "sql",
        """SELECT 'NaN'::DOUBLE AS nan, '-Infinity'::FLOAT AS infinite, NULL AS nothing,
        sum(n) AS total, 1.50::DECIMAL(5, 2) AS exact, [1.5, 'NaN'::DOUBLE] AS list,
        {'a': 'NaN'::DOUBLE} AS struct, DATE '2026-02-06' AS day, true AS flag,
        E'a\\n"é"\\x1b' AS text, 'ab'::BLOB AS bytes FROM range(5) AS t(n)""",
        "--json",
    )
    (row,) = _rows(answer.out)
    assert isinstance(row.pop("bytes"), str)
    assert row == {
        "nan": None,
        "infinite": None,
        "nothing": None,
        "total": 10,
        "exact": 1.5,
        "list": [1.5, None],
        "struct": {"a": None},
        "day": "2026-02-06",
        "flag": True,
        "text": 'a\n"é"\x1b',
    }


def test_lists_of_a_table_are_lists(full, steer):
    query = "SELECT token_ids, len(token_ids) AS n FROM generations LIMIT 1"
    assert _rows(steer("sql", query, "--json").out) == [{"token_ids": [1, 2], "n": 2}]
    assert "[1, 2]" in steer("sql", query).out


def test_an_empty_answer_is_no_lines(full, steer):
    assert steer("sql", "FROM models", "--json").out == ""
    assert "run_id" in steer("sql", "FROM models").out


def test_tables_do_not_wrap_in_a_pipe(full, steer):
    assert "x" * 150 in steer("sql", "SELECT repeat('x', 150) AS a").out


def test_long_tables_are_cut_and_say_so(full, steer):
    query = "SELECT 'row ' || n AS name FROM range(1001) AS t(n) ORDER BY n"
    answer = steer("sql", query)
    assert "row 999 " in answer.out
    assert "row 1000 " not in answer.out
    assert answer.err == "the first 1000 of 1001 rows; --json gives all\n"
    whole = steer("sql", query, "--json")
    assert (len(_rows(whole.out)), whole.err) == (1001, "")


def test_texts_of_models_do_not_steer_the_terminal(full, steer):
    query = r"SELECT E'\x1b[2J\x07[red]text[/red]' AS text"
    table = steer("sql", query).out
    assert "\x1b" not in table
    assert "\\x1b[2J\\x07[red]text[/red]" in table


def test_sentences_do_not_wrap_and_keep_their_brackets(capsys):
    text = f"a[/b] [red]c[/red] {'word ' * 60}"
    terminal.say(text)
    assert capsys.readouterr().err == f"{text}\n"


class _Lengths:
    """A scorer whose scores can be checked by eye."""

    def score(self, texts):
        return [len(text) / 10 for text in texts]


@pytest.fixture
def lengths(monkeypatch):
    monkeypatch.setattr(scorers, "scorer", lambda name, trait, layout: _Lengths())


def _json_lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def test_score_returns_the_same_lines_with_scores(steer, lengths):
    records = [{"text": "ab", "id": 7}, {"id": 8, "text": "é𝄞\n", "nested": {"a": [1, None]}}]
    answer = steer("score", "formality", stdin=b"\n" + _json_lines(*records) + b"  \n")
    assert (answer.code, answer.err) == (0, "")
    scored = _rows(answer.out)
    assert [list(row) for row in scored] == [[*record, "score"] for record in records]
    assert [row.pop("score") for row in scored] == [0.2, 0.3]
    assert scored == records


def test_score_keeps_the_order_of_a_long_stream(steer, lengths):
    records = [{"text": "x" * (n % 7), "id": n} for n in range(2100)]
    scored = _rows(steer("score", "formality", stdin=_json_lines(*records)).out)
    assert [(row["id"], row["score"]) for row in scored] == [(n, n % 7 / 10) for n in range(2100)]


def test_score_of_nothing_is_nothing(steer, lengths):
    assert steer("score", "formality").out == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"not json", "standard input, line 2: not JSON"),
        (b'{"text": "a"', "standard input, line 2: not JSON"),
        (b'["text"]', 'standard input, line 2: expected an object whose "text" is a text'),
        (b'{"txt": "a"}', 'standard input, line 2: expected an object whose "text" is a text'),
        (b'{"text": 3}', 'standard input, line 2: expected an object whose "text" is a text'),
        (b'{"text": null}', 'standard input, line 2: expected an object whose "text" is a text'),
        (b'{"text": "\\ud800"}', 'standard input, line 2: expected an object whose "text" is'),
        (b"[" * 100_000, "standard input, line 2: not JSON"),
        (b'{"text": "a", "n": ' + b"9" * 5000 + b"}", "standard input, line 2: not JSON"),
        (b'{"text": "K\xfcrze"}', "standard input is not UTF-8 text"),
    ],
)
def test_score_names_the_line_that_is_none(steer, lengths, line, said):
    answer = steer("score", "formality", stdin=b'{"text": "a"}\n' + line + b"\n")
    assert answer.refused().startswith(said)


def test_an_unknown_scorer_is_named(steer):
    answer = steer("score", "formality", "--scorer", "minlm", stdin=_json_lines({"text": "a"}))
    assert answer.refused() == "unknown scorer 'minlm'; did you mean minilm?"


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_pipe_that_closes_is_no_accident(full, form):
    query = "SELECT n, repeat('x', 100) FROM range(1000) AS t(n)"  # more than a pipe holds
    command = [sys.executable, "-m", "steer_assets.cli", "sql", query, *form]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        process.wait(timeout=60)
    assert first
    assert said == ""


def test_numbers_are_short_and_text_is_whole():
    frame = pl.DataFrame({"x": [math.pi], "t": ["text " * 10]})
    console_text = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", console_text)
        terminal.show(frame)
    assert "3.14 " in console_text.getvalue()
    assert ("text " * 10).strip() in console_text.getvalue()


def test_a_text_with_colons_is_printed_as_it_is(full, steer, capsys):
    """Rich would draw an emoji for ":100:", which is also a line number behind a path."""
    assert "a :100: b :smile:" in steer("sql", "SELECT 'a :100: b :smile:' AS text").out
    terminal.say("mine.yaml:100: is given twice")
    assert capsys.readouterr().err == "mine.yaml:100: is given twice\n"
