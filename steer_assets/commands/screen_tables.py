"""Tables that fit the width of a screen: words are broken only where nothing else is left."""

from collections.abc import Callable, Sequence

import polars as pl
from rich.markup import escape
from rich.table import Table

_Text = Callable[[object], str]


def table(frame: pl.DataFrame, text: _Text, *, title: str = "", width: int | None = None) -> Table:
    """All rows and columns, for a screen of `width` characters or for any (None).

    text: a cell as text without markup.
    """
    made = Table(title=title or None, title_justify="left")
    widths = _widths(frame, text, width)
    for name, dtype in frame.schema.items():
        made.add_column(
            escape(text(name)),
            justify="right" if dtype.is_numeric() else "left",
            overflow="fold",
            width=widths.get(name),
        )
    for cells in frame.iter_rows():
        made.add_row(*(escape(text(value)) for value in cells))
    return made


def narrowed(
    frame: pl.DataFrame, text: _Text, width: int, spare: Sequence[str]
) -> tuple[pl.DataFrame, dict[str, str], list[str]]:
    """A frame whose words fit, if they can, into `width` characters.

    Columns with one value in every row go first (all, where there is one row), then those of
    `spare`, in order. Returns the frame, the single values by column, and the columns of `spare`
    that were left out.
    """
    single, left_out = {}, []
    if not frame.is_empty() and _needed(frame, text) > width:
        single = {c: text(frame[c][0]) for c in frame.columns if frame[c].n_unique() == 1}
        frame = frame.drop(single)
    for name in spare:
        if name in frame.columns and frame.width > 1 and _needed(frame, text) > width:
            frame = frame.drop(name)
            left_out.append(name)
    return frame, single, left_out


def _borders(frame: pl.DataFrame) -> int:
    return 3 * frame.width + 1


def _needed(frame: pl.DataFrame, text: _Text) -> int:
    """Width of a table in which no word is broken."""
    return sum(_longest_word(frame, c, text) for c in frame.columns) + _borders(frame)


def _texts(frame: pl.DataFrame, column: str, text: _Text) -> list[str]:
    return [text(column), *map(text, frame[column])]


def _longest_word(frame: pl.DataFrame, column: str, text: _Text) -> int:
    return max(len(word) for one in _texts(frame, column, text) for word in one.split() or [""])


def _widths(frame: pl.DataFrame, text: _Text, width: int | None) -> dict[str, int]:
    """Columns' widths: at least the longest word, and what is left to the least wanting first."""
    if width is None or not frame.width:
        return {}
    whole = {c: max(map(len, _texts(frame, c, text))) for c in frame.columns}
    found = {c: _longest_word(frame, c, text) for c in frame.columns}
    left = width - _borders(frame) - sum(found.values())
    if left < 0:
        return {}
    for column in sorted(frame.columns, key=lambda c: whole[c] - found[c]):
        more = min(left, whole[column] - found[column])
        found[column] += more
        left -= more
    return found
