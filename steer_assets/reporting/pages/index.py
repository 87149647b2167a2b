"""Index page over all models and traits: verdicts, a sortable table, stale artifacts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import polars as pl

from steer_assets.reporting.pages.page import asset, environment, policy
from steer_assets.reporting.verdict_text import MEANINGS, SYMBOLS

#: More rows than these are left to the page over models, which draws only those in view.
_MOST_ROWS = 3000


@dataclass(frozen=True, slots=True)
class _Cell:
    """One model and trait in the heat map; without layers if nothing was run."""

    href: str
    layers: tuple[dict[str, Any], ...]


def render_index(
    summary: pl.DataFrame, stale: pl.DataFrame, reports: Mapping[tuple[str, str], str]
) -> str:
    """The page as text; the same rows give the same bytes.

    Args:
        summary: rows of `identifiability_summary`.
        stale: one row per artifact that is out of date, any columns; empty if all are fresh.
        reports: (model, trait) -> path of the report relative to the index file, with `/`.
    """
    links = {key: quote(path, safe="/") for key, path in reports.items()}
    rows = summary.sort("model", "trait", "layer", "protocol", "scorer")
    models = sorted({*rows["model"], *(model for model, _ in links)})
    traits = sorted({*rows["trait"], *(trait for _, trait in links)})
    script = asset("index.js")
    large = rows.height > _MOST_ROWS
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            policy=policy(str(script)),
            script=script,
            large=large,
            models=models,
            traits=traits,
            cells={}
            if large
            else {(m, t): _cell(rows, links, m, t) for m in models for t in traits},
            tally=[(v, rows.filter(pl.col("verdict") == v).height) for v in SYMBOLS],
            rows=[row | {"href": links.get((row["model"], row["trait"]), "")}
                  for row in rows.head(0 if large else _MOST_ROWS).iter_rows(named=True)],
            stale=stale,
            meanings=MEANINGS,
        )
    )  # fmt: skip


def _cell(
    rows: pl.DataFrame, links: Mapping[tuple[str, str], str], model: str, trait: str
) -> _Cell:
    """Verdicts of the controlled protocol, if it was run."""
    found = rows.filter(pl.col("model") == model, pl.col("trait") == trait)
    controlled = found.filter(pl.col("protocol") == "controlled")
    chosen = found if controlled.is_empty() else controlled
    return _Cell(links.get((model, trait), ""), tuple(chosen.iter_rows(named=True)))
