"""Arms with broken texts: rows of `fluency`, judged by `stats.verdicts.broken_texts`."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from steer_assets.reporting.evidence import UNSTEERED
from steer_assets.stats.verdicts.broken_texts import judge

_SCHEMA = {
    "vector_id": pl.String,
    "alpha": pl.Float64,
    "n_judged": pl.Int64,
    "perplexity_ratio": pl.Float64,
    "repetition_excess": pl.Float64,
    "broken": pl.Boolean,
    "reason": pl.String,
}


def broken_texts(fluent: pl.DataFrame, limits: Mapping[str, Any]) -> pl.DataFrame:
    """A row per steered arm: whether it is broken, on how many prompts, and why.

    fluent: rows of `fluency` with vector_id, alpha, prompt_id and sample of the text. limits: the
    study's `perplexity_factor` and `repetition`.
    """
    measured = fluent.with_columns(pl.col("perplexity").log().alias("log_perplexity"))
    values = ["log_perplexity", "repetition"]
    unsteered = measured.filter(pl.col("vector_id") == UNSTEERED)
    paired = measured.filter(pl.col("vector_id") != UNSTEERED).join(
        unsteered.select("prompt_id", "sample", *values), on=["prompt_id", "sample"], suffix="_0"
    )
    by_prompt = paired.group_by("vector_id", "alpha", "prompt_id", maintain_order=True).agg(
        (pl.col(name) - pl.col(f"{name}_0")).mean().alias(name) for name in values
    )
    rows = []
    for (vector_id, alpha), own in by_prompt.group_by("vector_id", "alpha", maintain_order=True):
        judged = judge(
            own["log_perplexity"].to_numpy(),
            own["repetition"].to_numpy(),
            perplexity_factor=limits["perplexity_factor"],
            repetition=limits["repetition"],
        )
        numbers = (judged.n, judged.perplexity_ratio, judged.repetition_excess)
        rows.append((vector_id, alpha, *numbers, bool(judged.reason), judged.reason))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")
