"""What a terminal shows of a long run, and of a table that is wider than its screen."""

import io
import os
import subprocess
import sys
from contextlib import suppress

import polars as pl
import pytest
from rich.console import Console

from steer_assets.commands import screen_tables, terminal
from steer_assets.commands.live import LiveTable, duration, live_table
from steer_assets.paths import REPOSITORY
from steer_assets.resources.progress import StageEvent, StageProgress, announce

PAIR = "smollm2-135m-instruct|sentiment"
STAGES = [f"stage_of_number_{n:02}" for n in range(30)]


def _console(width: int, height: int = 24) -> Console:
    """A terminal of that size whose escape codes are those of the cursor alone."""
    out = io.StringIO()
    return Console(file=out, width=width, height=height, force_terminal=True, color_system=None)


def _drawn(table: LiveTable, console: Console) -> list[str]:
    with console.capture() as caught:
        console.print(table)
    return [line for line in caught.get().splitlines() if line.strip()]


def _progress(stage: str, done: int = 300, rate: float | None = 812.0) -> StageProgress:
    return StageProgress(stage, PAIR, "decoding", done, 1200, "texts", rate, 75.0)


def _half_done(console: Console, rate: float | None = 812.0) -> LiveTable:
    table = LiveTable(console)
    for name in STAGES:
        table(StageEvent(name, PAIR, "due"))
    for name in STAGES[:15]:
        table(StageEvent(name, PAIR, "started"))
        table(StageEvent(name, PAIR, "made", 2.0))
    table(StageEvent(STAGES[15], PAIR, "started"))
    table(_progress(STAGES[15], rate=rate))
    return table


@pytest.mark.parametrize(("width", "height"), [(120, 40), (80, 24), (58, 16), (40, 12)])
def test_the_table_fits_the_screen_and_has_the_stage_being_made(width: int, height: int) -> None:
    console = _console(width, height)
    lines = _drawn(_half_done(console), console)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "300/1200" in text
    assert "1 min 15 s" in text
    assert ("812 tokens/s" in text) is (width >= 60)
    assert len(lines) <= height
    if width >= 80:
        assert f"{PAIR}: 15 of 30 stages" in text
        shown = sum(name in text for name in STAGES)
        counted = [int(line.split()[1]) for line in lines if " more " in line]
        assert shown + sum(counted) == 30


def test_a_stage_without_tokens_has_the_rate_of_its_units() -> None:
    console = _console(100)
    text = "\n".join(_drawn(_half_done(console, rate=None), console))
    assert "12 texts/s" in text  # 900 to go in 75 seconds


def _one_made_and_one_failed() -> None:
    for what in ("due", "started", "made"):
        announce(StageEvent("model_snapshot", "tiny", what, 83.0))
    for stage in ("one", "two"):
        announce(StageEvent(stage, PAIR, "due"))
    announce(StageEvent("one", PAIR, "started"))
    announce(StageEvent("one", PAIR, "made", 3.0))
    announce(StageEvent("two", PAIR, "started"))
    raise RuntimeError


def test_every_partition_leaves_a_line_and_so_does_the_one_that_failed() -> None:
    console = _console(80)
    with pytest.raises(RuntimeError), live_table(console):
        _one_made_and_one_failed()
    written = console.file.getvalue()
    assert "tiny: 1 stage made in 1 min 23 s" in written
    assert f"{PAIR}: 1 of 2 stages made in 3.0 s" in written


def test_a_pipe_gets_lines_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.progress():
        announce(StageEvent("one", "tiny", "due"))
        announce(StageEvent("one", "tiny", "started"))
        announce(StageEvent("one", "tiny", "made", 1.25))
    assert capsys.readouterr().err == "tiny one ...\ntiny one made in 1.2 s\n"


_REDIRECTED = """
import os, time
from steer_assets.commands import terminal
from steer_assets.paths import REPOSITORY
from steer_assets.resources.progress import StageEvent, announce
with terminal.progress():
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    announce(StageEvent("one", "tiny", "due"))
    announce(StageEvent("one", "tiny", "started"))
    time.sleep(0.6)
    announce(StageEvent("one", "tiny", "made", 1.0))
"""


def test_the_table_is_on_the_screen_while_standard_error_leads_elsewhere() -> None:
    """As while Dagster runs a step, whose standard error goes to a file."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", _REDIRECTED]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    screen = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    with subprocess.Popen(command, env=environment, cwd=REPOSITORY, **screen) as done:
        os.close(theirs)
        seen = b""
        with suppress(OSError):  # the other end is closed
            while more := os.read(ours, 4096):
                seen += more
    os.close(ours)
    assert done.returncode == 0
    assert "tiny: 0 of 1 stages" in seen.decode()
    assert "tiny: 1 stage made in 1.0 s" in seen.decode()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (59.7, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_duration_is_said_in_at_most_two_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


VERDICTS = pl.DataFrame(
    {
        "model": ["a-model-with-a-long-name"] * 2,
        "scorer": ["minilm", "words"],
        "verdict": ["inconclusive → different", "equivalent"],
        "look": [1, 2],
        "efficacy of v, SD": ["1.44 [1.24, 1.65]", "–"],
    }
)


def _table(width: int) -> tuple[str, dict[str, str], list[str]]:
    frame, single, left_out = screen_tables.narrowed(VERDICTS, str, width, ("look",))
    console = _console(width)
    with console.capture() as caught:
        console.print(screen_tables.table(frame, str, width=width))
    return caught.get(), single, left_out


@pytest.mark.parametrize("width", [200, 80, 60, 48, 42])
def test_no_word_is_cut_where_all_words_fit(width: int) -> None:
    text, single, left_out = _table(width)
    for word in ("inconclusive", "equivalent", "different", "efficacy", "minilm", "words"):
        assert word in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert bool(single) is (width < 70)
    assert left_out == ([] if width > 42 else ["look"])


def test_on_the_narrowest_screen_words_are_broken_and_nothing_is_lost() -> None:
    text, _, _ = _table(24)
    assert "…" not in text
    by_column = [line.split("│") for line in text.splitlines() if "│" in line]
    assert "inconclusive→different" in "".join(cells[2].strip() for cells in by_column)


def test_one_row_that_does_not_fit_is_a_line_for_every_column() -> None:
    frame, single, left_out = screen_tables.narrowed(VERDICTS.head(1), str, 40, ("look",))
    assert frame.is_empty()
    assert single["verdict"] == "inconclusive → different"
    assert list(single) == VERDICTS.columns
    assert left_out == []
    assert not screen_tables.narrowed(VERDICTS.head(1), str, 200, ())[1]
