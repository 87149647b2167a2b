"""The table of a long run in a terminal: every stage with what is done, its rate, the time left.

It shows one partition at a time and is never higher than the screen: stages made long ago, and
those that come late, are counted in a line. It leaves a line for every partition.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from steer_assets.resources.progress import StageEvent, StageProgress, listening

#: Lines of the screen that are not rows: head and foot, counts, a row of two lines.
_AROUND = 9
_FEWEST_ROWS = 1
_BAR = 12
#: Narrower screens have no bars, and those narrower than the second no rates.
_WITH_BARS, _WITH_RATES = 90, 60


@dataclass(slots=True)
class _Stage:
    """One stage of a partition: not begun, being made, or made."""

    name: str
    state: str = "due"
    seconds: float = 0.0
    report: StageProgress | None = None


class LiveTable:
    """Keeps what was reported of the partition being made, and draws it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._partitions: dict[str, dict[str, _Stage]] = {}
        self._current = ""
        self._began = time.monotonic()

    def __call__(self, report: StageProgress | StageEvent) -> None:
        """Take in a report; from any thread."""
        if isinstance(report, StageEvent) and report.what == "reused":
            return
        with self._lock:
            stages = self._partitions.setdefault(report.partition, {})
            stage = stages.setdefault(report.stage, _Stage(report.stage))
            if isinstance(report, StageProgress):
                stage.report = report
                return
            stage.state, stage.seconds = report.what, report.seconds
            if report.what != "due":
                self._current = report.partition
            over = all(stage.state == "made" for stage in stages.values())
        if over:
            self.close(report.partition)

    def __rich__(self) -> RenderableType:
        """The table as it is now."""
        with self._lock:
            stages = list(self._partitions.get(self._current, {}).values())
            return self._table(stages) if stages else Text()

    def close(self, partition: str | None = None) -> None:
        """Leave a line for a partition, by default for the one being made; the table is gone."""
        with self._lock:
            name = self._current if partition is None else partition
            stages = list(self._partitions.pop(name, {}).values())
        made = [stage.seconds for stage in stages if stage.state == "made"]
        if not stages:
            return
        count = f"{len(made)} of {len(stages)}" if len(made) < len(stages) else f"{len(made)}"
        plural = "s" if len(stages) > 1 else ""
        line = f"{name}: {count} stage{plural} made in {duration(sum(made))}"
        # Outside the lock: to print, the console draws the table again.
        self._console.print(escape(line), highlight=False, soft_wrap=True)

    def _table(self, stages: list[_Stage]) -> Table:
        width = self._console.width
        bars, rates = width >= _WITH_BARS, width >= _WITH_RATES
        done = sum(stage.state == "made" for stage in stages)
        gone = duration(time.monotonic() - self._began)
        title = f"{self._current}: {done} of {len(stages)} stages, {gone}"
        table = Table(title=escape(title), title_justify="left", expand=True)
        table.add_column("stage", overflow="fold", ratio=3)
        table.add_column("done", overflow="fold", ratio=3)
        if rates:
            table.add_column("rate", justify="right", no_wrap=True)
        table.add_column("left", justify="right", no_wrap=True)
        before, shown, after = self._window(stages)
        if before:
            table.add_row(f"{before} more", "made")
        for stage in shown:
            table.add_row(*_cells(stage, bars=bars, rates=rates))
        if after:
            table.add_row(f"{after} more", "to come")
        return table

    def _window(self, stages: list[_Stage]) -> tuple[int, list[_Stage], int]:
        """Stages that fit on the screen around the one being made, and how many do not."""
        # On a narrow screen most rows take two lines.
        lines_a_row = 1 if self._console.width >= _WITH_RATES else 2
        room = max(_FEWEST_ROWS, (self._console.height - _AROUND) // lines_a_row)
        at = next((i for i, stage in enumerate(stages) if stage.state == "started"), 0)
        first = max(0, min(at - room // 2, len(stages) - room))
        return first, stages[first : first + room], max(0, len(stages) - first - room)


def _cells(stage: _Stage, *, bars: bool, rates: bool) -> list[RenderableType]:
    report = stage.report
    if stage.state == "made":
        cells: list[RenderableType] = [stage.name, f"made in {duration(stage.seconds)}", ""]
        return [*cells, ""] if rates else cells
    if stage.state == "due" or report is None:
        said = "to come" if stage.state == "due" else "..."
        return [stage.name, said, "", ""] if rates else [stage.name, said, ""]
    name = f"{stage.name}: {report.step}" if report.step else stage.name
    count = f"{report.done}/{report.total} {report.unit}"
    done: RenderableType = escape(count)
    if bars:
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=report.total, completed=report.done, width=_BAR)
        grid.add_row(bar, escape(count))
        done = grid
    left = "" if report.seconds_left is None else duration(report.seconds_left)
    return [escape(name), done, *([_rate(report)] if rates else []), left]


def _rate(report: StageProgress) -> str:
    if report.tokens_per_second:
        return f"{report.tokens_per_second:.0f} tokens/s"
    if report.seconds_left and report.total > report.done:
        return f"{(report.total - report.done) / report.seconds_left:.3g} {report.unit}/s"
    return ""


def duration(seconds: float) -> str:
    """Seconds as a person says them: `8.1 s`, `45 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def live_table(console: Console) -> Iterator[None]:
    """Draw the table of all that is reported within the block."""
    table = LiveTable(console)
    with Live(table, console=console, refresh_per_second=4, transient=True), listening(table):
        try:
            yield
        finally:
            table.close()


@contextmanager
def own_screen(stream: TextIO) -> Iterator[Console]:
    """A console on the terminal of a stream, also while its descriptor leads elsewhere.

    Dagster redirects standard error into a file while steps run.
    """
    with os.fdopen(os.dup(stream.fileno()), "w", encoding="utf-8") as screen:
        yield Console(file=screen, force_terminal=True, emoji=False)
