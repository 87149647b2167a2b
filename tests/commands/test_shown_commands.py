"""Whatever `steer` command a person can read, a person can type.

Commands are taken from the documents themselves, so that a new one is tested without being listed.
The shell splits and expands each line; the command then runs in this process against the rows of a
finished partition. A run itself is replaced: other tests are of runs.
"""

import html
import re
import shlex
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Self

import pytest
import typer.main

from steer_assets import cli
from steer_assets.automation import runner
from steer_assets.commands import calibrate
from steer_assets.commands import run as run_command
from steer_assets.paths import REPOSITORY
from steer_assets.storage.files.parquet import read_part
from tests.commands.conftest import KEY, MODEL, TRAIT
from tests.databases import empty_databases
from tests.tiny import few_figures

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs" / "pages").rglob("*.md"))]
TEMPLATES = sorted((REPOSITORY / "steer_assets" / "reporting").rglob("*.j2"))
#: What stands in a synopsis for something of the reader's own.
STAND_INS = {
    "MODEL": MODEL, "M": MODEL, "TRAIT": TRAIT, "T": TRAIT, "S": "quick", "NAME": "verdicts",
    "qwen--qwen2.5-0.5b-instruct": MODEL,
    "FILE": "sql/examples/which_scorers_disagree.sql", "DAYS": "90", "FOLDER": "out",
    "<commit>": "0" * 40, "<trait>": TRAIT,
}  # fmt: skip


def _in_fences(text: str) -> list[str]:
    blocks = re.findall(r"```(?:bash|sh)?\n(.*?)```", text, flags=re.DOTALL)
    return [line.partition("     #")[0] for block in blocks for line in block.splitlines()]


def _shown() -> list[tuple[str, str]]:
    """(where, command) for every `steer` command of the documents, templates and help."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text()
        inline = re.findall(r"`([^`\n]+)`", text)
        found += [(path.name, line) for line in [*_in_fences(text), *inline]]
    for path in TEMPLATES:
        codes = re.findall(r"<code>(steer [^<{]*)</code>", path.read_text())
        found += [(path.name, html.unescape(code)) for code in codes]
    group = typer.main.get_command(cli.app)
    epilogs = [group.epilog, *(command.epilog for command in group.commands.values())]
    found += [("help", line.partition(": ")[2]) for line in epilogs if line]
    cleaned = [(where, line.strip().removeprefix(".venv/bin/")) for where, line in found]
    # Completion writes into the reader's shell profile.
    return sorted(
        {
            (where, line)
            for where, line in cleaned
            if line.startswith("steer ") and "--install-completion" not in line
        }
    )


SHOWN = _shown()
LINES = sorted({line for _, line in SHOWN})


@pytest.fixture
def reader(layout, loaded, monkeypatch, tmp_path) -> Path:
    """A folder with what the reader has: a finished partition, texts, and vectors to bring."""
    shutil.copytree(loaded.root, layout.root)
    shutil.copytree(empty_databases() / "home", tmp_path / "dagster")
    page = layout.pair_file("reports", MODEL, TRAIT, ".html")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("<html></html>")
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "sql").symlink_to(REPOSITORY / "sql")
    (folder / "mine.csv").write_text("positive,negative,test\na,b,c\nd,e,\n")
    (folder / "texts.jsonl").write_text('{"text": "It works well."}\n')
    monkeypatch.chdir(folder)
    monkeypatch.setattr(runner, "materialise", lambda *_, **__: runner.Outcome())
    monkeypatch.setattr(runner, "materialise_inputs", lambda *_: None)
    swept = read_part(layout.part("steering_calibration", KEY))
    monkeypatch.setattr(calibrate, "_swept", lambda *_: swept)
    monkeypatch.setattr("steer_assets.resources.scorers.scorer", lambda *_: _Constant())
    monkeypatch.setattr("steer_assets.commands.serve.server", lambda *_: _Interrupted())
    return folder


class _Interrupted(nullcontext):
    """A server of reports whose reader presses Ctrl-C at once."""

    server_port = 3001

    def __enter__(self) -> Self:
        return self

    def serve_forever(self) -> None:
        raise KeyboardInterrupt


class _Constant:
    def score(self, texts: list[str]) -> list[float]:
        return [0.0 for _ in texts]


def _typed(line: str) -> tuple[list[str], bytes]:
    """The arguments and the standard input that a shell makes of a line."""
    line = line.replace("[", "").replace("]", "") if "SELECT" not in line else line
    for name, value in STAND_INS.items():
        line = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", value, line)
    line = line.partition(" | ")[0]
    arguments, _, read = line.partition(" < ")
    command = f"steer() {{ printf '%s\\0' \"$@\"; }}; {arguments}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout.decode().split("\0")[:-1], Path(read).read_bytes() if read else b""


def _is_group(arguments: list[str]) -> bool:
    """`steer db`, or `steer vectors`: the name of a group, which the text sends to its help."""
    group = typer.main.get_command(cli.app)
    return len(arguments) == 1 and hasattr(group.commands[arguments[0]], "commands")


#: Commands of which only the options are tried, for they read what the reader alone has.
OWN_FILES = {
    "reproduce bundle",
    "reproduce out",
    "models add",
    "traits check",
    "traits import",
    "vectors import",
    "vectors export",
}


@pytest.mark.parametrize("line", LINES)
def test_a_shown_command_can_be_typed(reader, steer, line):
    arguments, stdin = _typed(line)
    if _is_group(arguments) or line in ("steer sql", "steer score", "steer table"):
        arguments = [*arguments, "--help"]
    with few_figures() if line == "steer figures" else nullcontext():
        answer = steer(*arguments, stdin=stdin)
    assert "No such" not in answer.err, answer.err
    assert "Missing" not in answer.err, answer.err
    if " ".join(arguments[:2]) not in OWN_FILES:
        assert answer.code == 0, answer.err


def test_what_a_run_prints_last_can_be_typed(reader, steer):
    said = steer("run", "--model", MODEL, "--trait", TRAIT).err
    lines = [line.partition("steer ")[2] for line in said.splitlines() if "steer " in line]
    assert lines
    for line in lines:
        assert steer(*shlex.split(line)).code == 0
    assert run_command._QUESTION in said
    report = re.search(r"report +(\S+)", said)
    assert report
    assert report[1].endswith(f"reports/{KEY['model']}/{KEY['trait']}.html")


def test_documents_show_commands():
    assert {where for where, _ in SHOWN} >= {"README.md", "bring.md", "operate.md", "help"}
    assert len(LINES) > 20
