"""`steer score`."""

import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.commands import terminal
from steer_assets.encodings import decoded_lines
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout

#: Number of texts scored at once; a long stream is answered in chunks of this size.
_CHUNK = 1024


def _lines() -> Iterator[str]:
    try:
        yield from decoded_lines(sys.stdin.buffer)
    except UnicodeDecodeError as error:
        raise CatalogError(f"standard input is not UTF-8 text: {error}") from error


def _is_text(value: object) -> bool:
    """Whether a value is text that can be encoded; JSON can contain unpaired surrogates."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _records() -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CatalogError(f"standard input, line {number}: not JSON: {error}") from error
        if not isinstance(record, dict) or not _is_text(record.get("text")):
            raise CatalogError(
                f'standard input, line {number}: expected an object whose "text" is a text'
            )
        yield record


def score(
    trait: Annotated[str, typer.Argument(help="Trait key.")],
    scorer: Annotated[str, typer.Option(help="Scorer.")] = "minilm",
) -> None:
    """Score texts: JSON lines with `text` in, the same lines with `score` out."""
    from steer_assets.resources.scorers import scorer as make

    catalog.trait(trait)
    judge = make(scorer, trait, Layout(data_folder()))
    records = _records()
    while chunk := list(islice(records, _CHUNK)):
        values = judge.score([record["text"] for record in chunk])
        for record, value in zip(chunk, values, strict=True):
            typer.echo(terminal.json_line({**record, "score": float(value)}))
