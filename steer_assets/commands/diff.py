"""`steer diff`: what differs between two warehouses, studies or dates, and why."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from steer_assets.catalog.errors import CatalogError
from steer_assets.commands import terminal
from steer_assets.commands.options import Json
from steer_assets.paths import data_folder
from steer_assets.reporting.changes import KEY, Changes, compare, sentences
from steer_assets.storage.database import states
from steer_assets.storage.database.states import State
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.layout import Layout

_SIDE = "A data folder, a .duckdb file, a study, or a date (UTC) such as 2026-01-31."


def diff(
    a: Annotated[str, typer.Argument(help=_SIDE, metavar="A")],
    b: Annotated[str, typer.Argument(help=f"{_SIDE} Default: now.", metavar="B")] = "",
    page: Annotated[Path | None, typer.Option(help="Also write a page: FILE.html.")] = None,
    json: Json = False,
) -> None:
    """Which verdicts, effects and texts differ between A and B, and why.

    Studies and dates are those of the data folder, from the history that every run adds to. Reasons
    come from lineage: an input, the code or a setting of the study. Effects and texts of earlier
    reports are kept as `history/` in the data folder, from the first summary that showed them.
    """
    changes = compare(_state(a), _state(b))
    if page is not None:
        from steer_assets.reporting.pages.changes import render_changes

        write_text(page, render_changes(changes))
    if json:
        terminal.show(changes.rows.join(_told(changes), on=KEY[:2], how="left"), as_json=True)
        return
    if not changes.rows.is_empty():
        terminal.show(_printed(changes), title=f"{changes.before} → {changes.after}")
    for sentence in sentences(changes):
        terminal.say(sentence, prose=True)
    if page is not None:
        terminal.say(f"page      {page}")


def _state(side: str) -> State:
    """The state that a user named.

    Raises:
        CatalogError: it is no warehouse, no date, and no study with verdicts.
    """
    own = Layout(data_folder()).database
    if not side:
        return states.now(own, "now")
    path = Path(side).expanduser()
    if path.is_dir():
        return states.now(Layout(path).database, str(path))
    if path.is_file():
        return states.now(path)
    if when := _date(side):
        return states.at(own, when)
    if side in (known := states.studies(own)):
        return states.under(own, side)
    raise CatalogError(
        f"{side!r} is no data folder, no file, no date like 2026-01-31, and no study with verdicts "
        f"here ({', '.join(known) or 'there are none yet'})"
    )


def _date(text: str) -> datetime | None:
    """A date or time as UTC; a date alone means its end."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is not None:
        return found.astimezone(UTC).replace(tzinfo=None)
    only_day = len(text) <= len("2026-01-31")
    return found.replace(hour=23, minute=59, second=59, microsecond=999999) if only_day else found


def _printed(changes: Changes) -> pl.DataFrame:
    """Rows for a terminal: what stayed the same is shown once."""

    def number(side: str) -> pl.Expr:
        names = (f"efficacy_{side}", f"efficacy_low_{side}", f"efficacy_high_{side}")
        return pl.format("{} [{}, {}]", *(pl.col(n).round(2) for n in names)).fill_null("–")

    def step(before: pl.Expr, after: pl.Expr) -> pl.Expr:
        return pl.when(before == after).then(after).otherwise(pl.format("{} → {}", before, after))

    verdicts = [pl.col(f"verdict_{side}").fill_null("none") for side in ("before", "after")]
    return changes.rows.select(
        "model",
        "trait",
        "scorer",
        "layer",
        step(*verdicts).alias("verdict"),
        step(number("before"), number("after")).alias("efficacy of v, SD"),
    )


def _told(changes: Changes) -> pl.DataFrame:
    """What else differs for every model and trait, for JSON."""
    rows = [
        {
            "model": pair.model,
            "trait": pair.trait,
            "texts": pair.texts,
            "effects": pair.effects,
            "why": [f"{kind}: {phrase}" for kind, phrase in pair.why],
        }
        for pair in changes.pairs
    ]
    schema = dict.fromkeys(("model", "trait", "texts", "effects"), pl.String)
    return pl.DataFrame(rows, schema={**schema, "why": pl.List(pl.String)})
