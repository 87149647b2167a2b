"""Shared parts of the commands: consoles, tables, JSON, and progress of long runs."""

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import polars as pl
import typer
from rich.console import Console, RenderableType
from rich.markup import escape

from steer_assets.commands import screen_tables
from steer_assets.commands.live import live_table, own_screen
from steer_assets.resources.progress import StageEvent, StageProgress, describe, listening

#: Results go to standard output, everything else to standard error.
out = Console(soft_wrap=False, emoji=False)  # texts of models may have ":100:" in them
err = Console(stderr=True, emoji=False)
_LINE_EVERY_S = 5.0
#: Row limit of a printed table: the layout of a longer one takes longer than the query.
_MOST_ROWS = 1000


def say(text: str, *, prose: bool = False) -> None:
    """A line for the user, on standard error; on a screen, `prose` is wrapped at words."""
    wrap = prose and err.is_terminal
    err.print(escape(_printable(text)), highlight=False, soft_wrap=not wrap)


def _printable(text: str) -> str:
    """`text` without terminal control characters, which generated text may contain."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return _printable(str(value))


def _plain(value: object) -> Any:
    """`value` for JSON: exact decimals as numbers, and null for values that are not finite."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value


def json_line(record: Mapping[str, Any]) -> str:
    """One record as JSON: all characters are kept, and control characters are escaped."""
    text = json.dumps(_plain(record), default=str, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def size(n: int) -> str:
    """A human-readable number of bytes."""
    value, units = float(n), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"


def show(
    frame: pl.DataFrame, *, as_json: bool = False, title: str = "", spare: Sequence[str] = ()
) -> None:
    """Print rows as a table, or as JSON lines.

    On a screen that is too narrow for whole words, columns with one value become a line each, and
    those of `spare` are left out, the first of them first.
    """
    if as_json:
        for row in frame.iter_rows(named=True):
            typer.echo(json_line(row))
        return
    rows, left_out = frame.head(_MOST_ROWS), list[str]()
    if out.is_terminal:
        rows, single, left_out = screen_tables.narrowed(rows, _cell, out.width, spare)
        if single and title:
            out.print(escape(title), style="italic", highlight=False)
            title = ""
        for name, value in single.items():
            out.print(escape(f"{_cell(name)}: {value}"), highlight=False)
    if rows.width:
        width = out.width if out.is_terminal else None
        draw(screen_tables.table(rows, _cell, title=title, width=width), columns=frame.width)
    if left_out:
        say(f"for a wider screen, or --json: {', '.join(left_out)}")
    if frame.height > _MOST_ROWS:
        say(f"the first {_MOST_ROWS} of {frame.height} rows; --json gives all")


def draw(what: RenderableType, *, columns: int = 1) -> None:
    """Print a renderable as it is."""
    # Piped output has no screen width: do not wrap it.
    console = out if out.is_terminal else Console(width=max(200, 24 * columns), emoji=False)
    console.print(what)


def frame_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a frame, with all columns inferred from all rows."""
    return pl.DataFrame(rows, infer_schema_length=None)


class _Lines:
    """Progress for pipes and logs: a line when a stage ends, and one every few seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, report: StageProgress | StageEvent) -> None:
        if isinstance(report, StageEvent):
            if report.what == "started":
                say(f"{report.partition} {report.stage} ...")
            elif report.what == "made":
                say(f"{report.partition} {report.stage} made in {report.seconds:.1f} s")
            self._last = time.monotonic()
        elif time.monotonic() - self._last >= _LINE_EVERY_S:
            self._last = time.monotonic()
            say(f"  {describe(report)}")


@contextmanager
def progress() -> Iterator[None]:
    """Show the progress of every stage that runs within the block."""
    if not err.is_terminal:
        with listening(_Lines()):
            yield
        return
    with own_screen(sys.stderr) as screen, live_table(screen):
        yield


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show a status message on a terminal; print nothing in a pipe."""
    if not err.is_terminal:
        yield
        return
    with err.status(escape(what)):
        yield
