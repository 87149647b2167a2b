"""A page over all models: verdicts by trait and layer as a matrix, and effect against size.

The rows are data in the page; its own script draws those that are in view, so that hundreds of
models and traits open at once.
"""

import json
from collections.abc import Mapping
from typing import Any

import polars as pl
from markupsafe import Markup

from steer_assets.reporting.pages.page import asset, environment, policy
from steer_assets.reporting.safe_text import plain
from steer_assets.reporting.verdict_text import MEANINGS, SYMBOLS, VERDICTS

_NUMBERS = ("efficacy", "efficacy_low", "efficacy_high")


def render_models(summary: pl.DataFrame, sizes: Mapping[str, int]) -> str:
    """The page as text; the same rows give the same bytes.

    Args:
        summary: rows of `identifiability_summary`; those of the controlled protocol are shown.
        sizes: number of parameters by model; models without one are not in the chart.
    """
    rows = summary.filter(pl.col("protocol") == "controlled").sort(
        "model", "trait", "layer", "scorer"
    )
    models, traits = (sorted(rows[name].unique()) for name in ("model", "trait"))
    script = asset("models.js")
    return (
        environment()
        .get_template("models.html.j2")
        .render(
            policy=policy(str(script)),
            script=script,
            n_models=len(models),
            n_traits=len(traits),
            tally=[(v, rows.filter(pl.col("verdict") == v).height) for v in SYMBOLS],
            meanings=MEANINGS,
            data=_embedded(
                {
                    "models": [[plain(m), m, sizes.get(m, 0)] for m in models],
                    "traits": [[plain(t), t] for t in traits],
                    "verdicts": [[name, SYMBOLS[name]] for name in VERDICTS],
                    "scorers": _by_scorer(summary, rows, models, traits),
                }
            ),
        )
    )


def _by_scorer(
    summary: pl.DataFrame, rows: pl.DataFrame, models: list[str], traits: list[str]
) -> list[dict[str, Any]]:
    """Columns of every scorer, in the order of the summary, where the deciding one comes first."""
    scorers = summary["scorer"].unique(maintain_order=True)
    places = [
        rows[name].replace_strict({key: at for at, key in enumerate(keys)}, return_dtype=pl.Int32)
        for name, keys in (("model", models), ("trait", traits), ("verdict", list(VERDICTS)))
    ]
    indexed = rows.with_columns(s.alias(n) for s, n in zip(places, ("m", "t", "v"), strict=True))
    found = []
    for scorer in scorers:
        own = indexed.filter(pl.col("scorer") == scorer)
        if not own.is_empty():
            numbers = own.select("m", "t", "v", "layer", *(pl.col(n).round(3) for n in _NUMBERS))
            found.append({"scorer": plain(scorer), **numbers.to_dict(as_series=False)})
    return found


def _embedded(data: Any) -> Markup:
    """JSON that ends no script element, whatever names are in it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
