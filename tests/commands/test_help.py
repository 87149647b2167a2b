"""Help texts and shell completion."""

import pytest

COMMANDS = (
    "run",
    "status",
    "report",
    "figures",
    "table",
    "sql",
    "score",
    "calibrate",
    "diff",
    "publish",
    "reproduce",
)
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
    ["run", "calibrate", "status", "report", "figures", "table", "sql", "diff", "models list",
     "traits list", "vectors list"],
)  # fmt: skip
def test_whatever_prints_rows_prints_json(steer, command):
    assert "--json" in steer(*command.split(), "--help").out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("steer fig", {"figures"}),
        ("steer run --model ", {"smollm2-135m-instruct"}),
        ("steer table verdicts --trait s", {"sentiment"}),
    ],
)
def test_a_shell_completes_commands_models_and_traits(steer, monkeypatch, typed, offered):
    monkeypatch.setenv("_STEER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split(" ")) - 1))
    answer = steer()
    assert set(answer.out.split()) == offered, answer
