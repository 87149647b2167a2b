"""Checks of the sampling of texts."""

import polars as pl

from steer_assets.checks.harness import Finding, check
from steer_assets.pipeline.design import thinking
from steer_assets.pipeline.stage import StageRun

#: Nats. For a vocabulary of V tokens, tokens below this are drawn with probability at most V e^-25:
#: once in 400,000 steps with V = 152k even if all the other tokens were below it.
_LEAST_LOG_PROBABILITY = -25.0


@check("generations", blocking=True)
def no_token_is_impossible(stored: StageRun) -> Finding:
    """No token has a log-probability under -25 nats in the distribution it was sampled from.

    Correct sampling produces none in any study; an error in the random numbers or in a cache does.
    """
    rows = stored.rows("generations")
    below = rows.filter(pl.col("least_token_log_probability") < _LEAST_LOG_PROBABILITY)
    least = float(rows["least_token_log_probability"].min())  # type: ignore[arg-type]
    if below.is_empty():
        return Finding(
            True, f"{len(rows)} texts, no token under {least:.1f} nats", {"least": least}
        )
    worst = below.sort("least_token_log_probability", "generation_id").row(0, named=True)
    at, ids = worst["least_token"], worst["token_ids"]
    return Finding(
        False,
        f"{len(below)} of {len(rows)} texts have a token under {_LEAST_LOG_PROBABILITY:g} nats, "
        f"which sampling does not write: {worst['generation_id']} has token {ids[at]} at place "
        f"{at} with {worst['least_token_log_probability']:.1f} nats",
        {"texts": len(below), "least": least},
    )


@check("generations")
def sections_of_thinking_close(stored: StageRun) -> Finding:
    """Every arm has an answer in at least half of its texts; else its comparisons rest on few.

    A text whose section of thinking never closes has no answer and no score.
    """
    found = thinking.stored_sections(stored)
    if found.is_empty():
        return Finding(True, "no section of thinking")
    arms = (
        stored.rows("generations")
        .join(found, on="generation_id")
        .group_by("protocol", "vector_id", "alpha")
        .agg(pl.len().alias("n"), (pl.col("reason") != "").sum().alias("without"))
        .sort(pl.col("without") / pl.col("n"), "protocol", "vector_id", "alpha", descending=True)
    )
    worst, counts = arms.row(0, named=True), thinking.counted(found)
    said = f"{counts['texts without an answer']} of {len(found)} texts have no answer"
    if 2 * worst["without"] <= worst["n"]:
        return Finding(True, said, dict(counts))
    return Finding(
        False,
        f"{said}, {worst['without']} of {worst['n']} of {worst['vector_id']} at alpha "
        f"{worst['alpha']:g} ({worst['protocol']}): raise generation.max_new_tokens, or set "
        "thinking.enable to false",
        dict(counts),
    )


CHECKS = [no_token_is_impossible, sections_of_thinking_close]
