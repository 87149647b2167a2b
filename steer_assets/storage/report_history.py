"""Effects and texts of reports that have been replaced, for comparisons with them.

The tables keep the newest run of a model and a trait. For every report that a summary has shown,
`history/<model>/<trait>.<version>.effects.parquet` has its pooled effects in standard deviations,
and `.texts.parquet` a digest of every text, about 24 bytes each.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from steer_assets.storage.files.parquet import read_part, write_part
from steer_assets.storage.layout import Layout

ROOM = "history"
_PAIR = {"model": pl.String, "trait": pl.String}
EFFECTS = pl.Schema(
    {
        **_PAIR,
        **dict.fromkeys(
            ("protocol", "scorer", "comparison", "vector_id", "reference_id"), pl.String
        ),
        "layer": pl.Int32,
        "alpha": pl.Float64,
        "cohens_d": pl.Float64,
    }
)
TEXTS = pl.Schema({**_PAIR, "generation_id": pl.String, "text": pl.String})
#: Hexadecimal digits of a text's SHA-256.
DIGITS = 16
Report = tuple[str, str, str]


def keep(layout: Layout, report: Report) -> None:
    """Store effects and texts of a report (model, trait, version) whose tables are current.

    What is stored already stays. Raises `FileNotFoundError` or `DamagedFileError` for tables that
    are missing or cannot be read.
    """
    key = {"model": report[0], "trait": report[1]}
    to = _file(layout, report, "texts")
    if to.exists():
        return
    tests = read_part(layout.part("equivalence_tests", key))
    pooled = tests.filter(pl.col("environment") == "pooled", pl.col("margin_kind") == "sd")
    write_part(_file(layout, report, "effects"), pooled.select(EFFECTS.names()))
    texts = read_part(layout.part("generations", key)).select(TEXTS.names())
    digests = pl.Series("text", map(_digest, texts["text"]), dtype=pl.String)
    write_part(to, texts.with_columns(digests))


def effects(layout: Layout, reports: Iterable[Report]) -> pl.DataFrame:
    """Effects of all reports that are kept."""
    return _all(layout, reports, "effects", EFFECTS)


def texts(layout: Layout, reports: Iterable[Report]) -> pl.DataFrame:
    """Digests of the texts of all reports that are kept."""
    return _all(layout, reports, "texts", TEXTS)


def _all(layout: Layout, reports: Iterable[Report], what: str, schema: pl.Schema) -> pl.DataFrame:
    paths = [_file(layout, report, what) for report in reports]
    kept = [read_part(path) for path in paths if path.exists()]
    return pl.concat([pl.DataFrame(schema=schema), *kept])


def _file(layout: Layout, report: Report, what: str) -> Path:
    model, trait, version = report
    return layout.pair_file(ROOM, model, trait, f".{version}.{what}.parquet")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
