"""Rows of CSV-like tables, delimited by commas, semicolons, tabs or bars as the header shows."""

import csv
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from steer_assets.catalog import yaml_files
from steer_assets.catalog.errors import CatalogError

#: Line number in the file, and the fields of the row that begins there.
Row = tuple[int, dict[str, Any]]
_DELIMITERS = (",", ";", "\t", "|")
#: The line that declares the delimiter to Excel.
_DECLARED = re.compile(r"\s*\"?sep=(.)\"?[ ,;\t|]*\r?\n", re.IGNORECASE)


def _delimiter(text: str, known: Collection[str]) -> str:
    """The delimiter that gives the most known columns in the header."""

    def n_known(delimiter: str) -> int:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            header = next(reader, [])
        except csv.Error:
            return 0
        return sum(field.strip().lower() in known for field in header)

    return max(_DELIMITERS, key=n_known)  # the comma wins ties


def rows(path: Path, known: Collection[str], lax: Collection[str]) -> Iterator[Row]:
    """Rows by column, without blank cells.

    known: permitted columns. lax: if one of these is present, unknown columns are permitted too.

    Raises:
        CatalogError: it is not a table, has an unknown column, or a row that does not match the
        header.
    """
    text = yaml_files.read_text(path)
    skipped = 0
    delimiter = "" if (declared := _DECLARED.match(text)) is None else declared.group(1)
    if declared:
        text, skipped = text[declared.end() :], 1
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter or _delimiter(text, known), strict=True
    )
    try:
        header = [field.strip().lower() for field in next(reader, [])]
        _check(path, 1 + skipped, header, known, lax)
        while True:
            line = reader.line_num + 1 + skipped
            cells = next(reader, None)
            if cells is None:
                return
            if cells:
                yield line, _row(path, line, header, cells)
    except csv.Error as error:
        raise CatalogError(f"{path}:{reader.line_num + skipped}: not valid CSV: {error}") from error


def _check(
    path: Path, line: int, header: list[str], known: Collection[str], lax: Collection[str]
) -> None:
    strict = not any(field in lax for field in header)
    for place, field in enumerate(header):
        if field and field in header[:place]:
            raise CatalogError(f"{path}:{line}: {field}: this column is there twice")
        if field and field not in known and strict:
            raise CatalogError(f"{path}:{line}: {field}: unknown column; known: {', '.join(known)}")


def _row(path: Path, line: int, header: list[str], cells: list[str]) -> dict[str, Any]:
    # Spreadsheets export formerly used columns without a name.
    named = [(field, cell.strip()) for field, cell in zip(header, cells, strict=False)]
    beyond = any(cell.strip() for cell in cells[len(header) :])
    if len(cells) < len(header) or beyond or any(cell and not field for field, cell in named):
        raise CatalogError(
            f"{path}:{line}: row: expected {len(header)} cells, as the header; found {len(cells)}"
        )
    return {field: cell for field, cell in named if cell}
