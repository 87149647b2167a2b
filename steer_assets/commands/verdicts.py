"""The verdicts of models and traits, as commands print them."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.reporting.tables.formats import NO_BOUND
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.layout import Layout

_WORDS = {
    "equivalent": "v + v_perp is shown to act like v, within {margin} standard deviations",
    "different": "v + v_perp is shown to act differently from v",
    "inconclusive": "it stays open whether v + v_perp acts like v",
    "untestable": "nothing can be said of v + v_perp",
}


def verdicts(layout: Layout, models: list[str], traits: list[str]) -> pl.DataFrame:
    """Rows of the summary in readable form: numbers with their intervals and floors."""
    rows = read_part(layout.part("identifiability_summary", {}))
    shown = rows.filter(pl.col("model").is_in(models) & pl.col("trait").is_in(traits))
    return shown.select(
        "model",
        "trait",
        "scorer",
        "layer",
        "verdict",
        "look",
        pl.col("n_texts").alias("texts"),
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


def in_words(layout: Layout, models: list[str], traits: list[str], margin: float) -> list[str]:
    """One sentence per model and trait: at which blocks v + v_perp acts like v, and where not.

    By the first scorer of each, under the controlled protocol. margin: in standard deviations.
    """
    rows = read_part(layout.part("identifiability_summary", {})).filter(
        pl.col("model").is_in(models)
        & pl.col("trait").is_in(traits)
        & (pl.col("protocol") == CONTROLLED)
    )
    return [
        f"{model}, {trait}: {'; '.join(_blocks(own, margin))}"
        for (model, trait), own in rows.group_by("model", "trait", maintain_order=True)
    ]


def _blocks(rows: pl.DataFrame, margin: float) -> Iterator[str]:
    own = rows.filter(pl.col("scorer") == rows.item(0, "scorer")).sort("layer")
    for verdict, words in _WORDS.items():
        found = own.filter(pl.col("verdict") == verdict)
        if found.is_empty():
            continue
        blocks = " and ".join(str(layer) for layer in found["layer"])
        texts = found["n_texts"].drop_nulls()
        after = f" ({' and '.join(map(str, texts))} texts)" if len(texts) else ""
        plural = "blocks" if len(found) > 1 else "block"
        yield f"at {plural} {blocks} {words.format(margin=f'{margin:g}')}{after}"


def report_path(layout: Layout, model: str, trait: str) -> Path:
    """The page of one model and trait."""
    return layout.pair_file("reports", model, trait, ".html")
