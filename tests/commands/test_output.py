"""What commands print: tables for people, JSON lines for programs, and pipes that may close."""

import io
import json
import math
import subprocess
import sys

import polars as pl
import pytest

from steer_assets.assets import plan, scorers
from steer_assets.assets.stage import STAGES
from steer_assets.catalog import catalog
from steer_assets.commands import terminal
from steer_assets.storage import lineage
from steer_assets.storage.lineage import InputVersion
from tests.storage import synthetic


def _rows(text: str) -> list[dict]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


@pytest.fixture
def full(layout, steer):
    synthetic.write_warehouse(layout)
    assert steer("db", "sync").code == 0
    return layout


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


def test_status_of_nothing(steer):
    answer = steer("status")
    assert (answer.code, answer.out) == (0, "")
    assert "nothing is materialised yet" in answer.err


def _stale(steer) -> list[dict]:
    return [row for row in _rows(steer("status", "--json").out) if row["state"] == "stale"]


def test_status_says_what_is_stale_and_why(layout, steer):
    synthetic.write(layout, "prompt_sets", {"trait": "formality"}, {})
    made_from = [InputVersion("code", "prompt_sets", "long ago")]
    synthetic.record(layout, "prompt_sets", {"trait": "formality"}, made_from)
    (row,) = _stale(steer)
    assert (row["stage"], row["partition"], row["trait"]) == (
        "prompt_sets",
        "formality",
        "formality",
    )
    assert row["model"] is None
    assert "code prompt_sets changed" in row["why"]
    layout.part("prompt_sets", {"trait": "formality"}).unlink()
    (row,) = _stale(steer)
    assert "prompt_sets/trait=formality/part.parquet is missing" in row["why"]
    assert steer("db", "sync").code == 0
    stale = _rows(steer("sql", "FROM v_stale_artifacts", "--json").out)
    assert any(row["why"].startswith("file is missing: ") for row in stale)
    assert any(row["why"].startswith("code changed: ") for row in stale)


@pytest.fixture
def partly(layout):
    """One stale and one fresh artifact of a model; nothing else."""
    synthetic.write(layout, "prompt_sets", {"trait": "formality"}, {})
    synthetic.record(
        layout, "prompt_sets", {"trait": "formality"}, [InputVersion("code", "x", "0")]
    )
    stage = STAGES["model_snapshot"]
    key = {"model": "smollm2-135m-instruct"}
    synthetic.write(layout, "models", key, {})
    study = catalog.study("quick")
    path = layout.relative(layout.part("models", key))
    lineage.write_record(
        layout, asset_key=stage.name, key=key, data_version="1", study="quick", code_version="1",
        inputs=plan.expected_inputs(layout, stage, key, study), run_id="r", mlflow_run_id="",
        files=[lineage.describe_file(layout, path)],
    )  # fmt: skip
    return layout


def test_status_is_a_grid_with_a_legend(partly, steer):
    answer = steer("status")
    assert (answer.code, answer.err) == (0, "")
    assert "smollm2-135m-instruct" in answer.out
    lines: dict[str, str] = {}
    for line in answer.out.splitlines():
        if line.startswith("│"):
            lines.setdefault(line.split()[1], line)  # the grid stands before the reasons
    heading = next(line for line in answer.out.splitlines() if line.startswith("┃"))
    traits = [word for word in heading.split() if word != "┃"][1:]
    assert traits == catalog.trait_keys()
    cells = [cell.strip() for cell in lines["prompt_sets"].split("│")[2:-1]]
    assert dict(zip(traits, cells, strict=True))["formality"] == "◐"
    assert set(lines["model_snapshot"].split("│")[2].strip()) == {"●"}
    assert lines["generations"].count("·") == len(traits)
    assert "● fresh (1)   ◐ stale (1)   · missing" in answer.out
    assert "code prompt_sets is new" in answer.out
    assert "\x1b" not in answer.out


def test_status_counts_what_is_missing_and_can_be_narrowed(partly, steer):
    rows = _rows(steer("status", "--trait", "sentiment", "--json").out)
    assert {row["trait"] for row in rows} == {None, "sentiment"}
    states = {(row["stage"], row["state"]) for row in rows}
    assert ("model_snapshot", "fresh") in states
    assert ("generations", "missing") in states
    assert len(rows) == len(STAGES)
    assert "did you mean sentiment" in steer("status", "--trait", "sentimnt").refused()


class _Lengths:
    """A scorer whose scores can be checked by eye."""

    def score(self, texts):
        return [len(text) / 10 for text in texts]


@pytest.fixture
def lengths(monkeypatch):
    monkeypatch.setattr(scorers, "scorer", lambda name, trait: _Lengths())


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
    records = [{"text": "x" * (n % 7), "id": n} for n in range(1300)]
    scored = _rows(steer("score", "formality", stdin=_json_lines(*records)).out)
    assert [(row["id"], row["score"]) for row in scored] == [(n, n % 7 / 10) for n in range(1300)]


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


COMMANDS = ("run", "status", "report", "figures", "table", "sql", "score")
GROUPS = ("models", "traits", "vectors", "db")


def test_help_names_every_command_and_how_to_begin(steer):
    answer = steer("--help")
    assert answer.code == 0
    for name in (*COMMANDS, *GROUPS):
        assert f" {name} " in answer.out
    assert "Begin with: steer run" in answer.out
    assert "--install-completion" in answer.out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_an_example_and_explains_every_option(steer, name):
    shown = " ".join(steer(name, "--help").out.split())
    assert f"Example: steer {name}" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "command",
    ["run", "status", "report", "figures", "table", "sql", "models list", "traits list",
     "vectors list"],
)  # fmt: skip
def test_whatever_prints_rows_prints_json(steer, command):
    assert "--json" in steer(*command.split(), "--help").out
