"""Errors are one sentence and an exit code: 2 for wrong input, 1 for an invalid state."""

import re
import sys

import click
import pytest
import typer

from steer_assets import cli
from steer_assets.catalog.errors import CatalogError
from steer_assets.commands import warehouse as warehouse_commands
from steer_assets.paths import CATALOG

MODEL = "smollm2-135m-instruct"
HOSTILE = [
    "",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "formality/..",
    "a\\b",
    "a'; DROP TABLE models; --",
    'a"b',
    "a|b",
    "a,b",
    "a\nb",
    "a\x1b[31mb",
    "a\x00b",
    "[bold]a",
    "ünïcode",
]


def _options(command: str, **names: str) -> list[str]:
    return [command, *(f"--{option}={value}" for option, value in names.items())]


@pytest.mark.parametrize("command", ["run", "report"])
@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"model": "smolm2-135m", "trait": "formality"}, f"unknown model .*{MODEL}"),
        ({"model": MODEL, "trait": "formalty"}, "unknown trait 'formalty'; did you mean formality"),
        ({"model": MODEL, "trait": "xyzzy"}, "unknown trait 'xyzzy'; known: agreeableness, form"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(steer, layout, command, names, said):
    assert re.match(said, steer(*_options(command, **names)).refused())
    assert not layout.root.exists()


def test_an_unknown_study_is_answered_with_the_nearest(steer, layout):
    answer = steer(*_options("run", model=MODEL, trait="formality", study="quik"))
    assert answer.refused() == "unknown study 'quik'; did you mean quick?"
    assert not layout.root.exists()


def test_an_unknown_study_of_the_environment_is_named_too(steer, monkeypatch):
    monkeypatch.setenv("STEER_STUDY", "quik")
    answer = steer(*_options("run", model=MODEL, trait="formality"))
    assert answer.refused() == "unknown study 'quik'; did you mean quick?"


@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_keys_are_refused_before_anything_is_touched(steer, layout, key):
    tries = {
        "unknown model": [
            _options("run", model=key, trait="formality"),
            _options("report", model=key, trait="formality"),
        ],
        "unknown trait": [
            _options("run", model=MODEL, trait=key),
            _options("report", model=MODEL, trait=key),
            ["score", "--", key],
        ],
    }
    if key:  # an empty study is the default one
        tries["unknown study"] = [_options("run", model=MODEL, trait="formality", study=key)]
    for said, commands in tries.items():
        for command in commands:
            assert steer(*command).refused().startswith(f"{said} {key!r};")
    if key:
        added = steer("models", "add", "gpt2/x", "--revision=abc", f"--name={key}")
        assert "is not allowed: use 1 to 80 of" in added.refused()
    assert not layout.root.exists()


def test_a_report_that_is_not_there_yet(steer):
    said = steer("report", "--model", MODEL, "--trait", "formality").refused()
    assert f"`steer run --model {MODEL} --trait formality` makes it" in said


def test_what_nobody_foresaw_is_one_sentence_and_a_log(steer, layout, monkeypatch):
    def fail(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(warehouse_commands.sandboxed_sql, "ask", fail)
    said = steer("sql", "SELECT 1").refused(code=1)
    log = layout.root / "steer-error.log"
    assert said == f"unexpected KeyError: 'surprise'; see {log}"
    assert "Traceback" in log.read_text()


def test_where_no_log_can_be_written_the_sentence_stays(steer, layout, monkeypatch):
    def fail(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(warehouse_commands.sandboxed_sql, "ask", fail)
    layout.root.write_text("a file where the data folder should be")
    assert steer("sql", "SELECT 1").refused(code=1) == "unexpected KeyError: 'surprise'"


def test_a_data_folder_that_is_a_file_is_named(steer, layout):
    layout.root.write_text("a file")
    assert str(layout.root) in steer("db", "sync").refused(code=1)


def _commands() -> list[list[str]]:
    found: list[list[str]] = []

    def walk(command: click.Command, path: list[str]) -> None:
        found.append(path)
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, [*path, name])

    walk(typer.main.get_command(cli.app), [])
    return found


def test_the_promised_commands_are_there():
    promised = "run,status,report,score,sql,models list,models add,traits list,traits check,"
    promised += "db sync,db rebuild"
    assert {tuple(name.split()) for name in promised.split(",")} <= set(map(tuple, _commands()))


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_command_explains_itself(steer, command):
    answer = steer(*command, "--help")
    assert answer.code == 0
    assert "Usage: steer" in answer.out
    assert answer.err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["run"],
        ["run", "--model", MODEL],
        ["sql", "a", "b"],
        ["db", "nope"],
        ["run", "--nope"],
    ],
)
def test_wrong_usage_is_exit_2_without_traceback(steer, arguments):
    answer = steer(*arguments)
    assert answer.code == 2
    assert "Usage: steer" in answer.err
    assert "Traceback" not in answer.err


class _Innermost(Exception):
    """What a library says."""


def test_a_failed_stage_is_told_in_our_words_not_in_those_of_its_cause():
    from dagster._utils.error import serializable_error_info_from_exc_info

    from steer_assets.automation.runner import _sentence

    def told(outer: Exception) -> str:
        try:
            try:
                raise _Innermost("KeyError: 0x7f")
            except _Innermost as cause:
                raise outer from cause
        except Exception:
            return _sentence(serializable_error_info_from_exc_info(sys.exc_info()))

    assert told(CatalogError("mine.csv:3: no trait")) == "mine.csv:3: no trait"
    assert told(ValueError("mine.jsonl:1: text is empty")) == "mine.jsonl:1: text is empty"
    assert told(KeyError("layer")) == "KeyError: 'layer'"


def test_a_study_that_contradicts_itself_is_told_without_class_names(steer, layout):
    text = (CATALOG / "studies" / "quick.yaml").read_text()
    path = layout.root / "catalog" / "studies" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        text.replace("study: quick", "study: mine") + "\nprotocol_texts: {layers: [3]}\n"
    )
    said = steer(*_options("run", model=MODEL, trait="formality", study="mine")).refused()
    assert said.startswith(f"{path}:")
    assert "Value error" not in said
