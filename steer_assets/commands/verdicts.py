"""The verdicts of models and traits, as commands print them."""

from pathlib import Path

import polars as pl

from steer_assets.reporting.tables.formats import NO_BOUND
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.layout import Layout


def verdicts(layout: Layout, models: list[str], traits: list[str]) -> pl.DataFrame:
    """Rows of the summary in readable form: numbers with their intervals and floors."""
    rows = read_part(layout.part("identifiability_summary", {}))
    shown = rows.filter(pl.col("model").is_in(models) & pl.col("trait").is_in(traits))
    return shown.select(
        "model",
        "trait",
        "layer",
        "verdict",
        pl.format(
            "{} [{}, {}]",
            *(pl.col(name).round(2) for name in ("efficacy", "efficacy_low", "efficacy_high")),
        )
        .fill_null("–")
        .alias("efficacy of v, SD"),
        *(
            pl.format(
                "{} ({})",
                pl.col(f"null_fraction_{kind}").round(2).cast(pl.String).fill_null("–"),
                pl.col(f"sampling_floor_{kind}").round(2).cast(pl.String).fill_null(NO_BOUND),
            ).alias(f"{kind} null fraction (floor)")
            for kind in ("covariance", "fisher")
        ),
    )


def report_path(layout: Layout, model: str, trait: str) -> Path:
    """The page of one model and trait."""
    return layout.pair_file("reports", model, trait, ".html")
