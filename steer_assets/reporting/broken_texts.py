"""Which arms write broken texts, and how certain that is: one rule for verdicts and figures.

An arm counts as broken where the lower end of a one-sided 95 % t interval over prompts lies beyond
a limit of the study: the mean log ratio of its perplexity to that of the unsteered text of the same
prompt against log(perplexity_factor), or the mean difference in repetition against `repetition`.
Under `FEWEST` prompts an arm is not judged.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from scipy import special

from steer_assets.reporting.evidence import UNSTEERED

#: Fewest prompts on which an arm may be called broken.
FEWEST = 10
_LEVEL = 0.95
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
        ratio, excess = own["log_perplexity"].to_numpy(), own["repetition"].to_numpy()
        reasons = []
        if len(own) >= FEWEST:
            if _least(ratio) > np.log(limits["perplexity_factor"]):
                reasons.append(
                    f"perplexity {np.exp(ratio.mean()):.1f} times that of unsteered texts, "
                    f"at least {np.exp(_least(ratio)):.1f}"
                )
            if _least(excess) > limits["repetition"]:
                reasons.append(
                    f"repetition {excess.mean():.2f} above that of unsteered texts, "
                    f"at least {_least(excess):.2f}"
                )
        numbers = (len(own), float(np.exp(ratio.mean())), float(excess.mean()))
        rows.append((vector_id, alpha, *numbers, bool(reasons), " and ".join(reasons)))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _least(values: np.ndarray) -> float:
    """Lower end of the one-sided t interval of the mean."""
    n = len(values)
    quantile = special.stdtrit(n - 1, _LEVEL)
    return float(values.mean() - quantile * values.std(ddof=1) / np.sqrt(n))
