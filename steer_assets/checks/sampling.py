"""Checks of how texts were sampled."""

import polars as pl

from steer_assets.checks.harness import Finding, check
from steer_assets.pipeline.stage import StageRun

#: Nats. Of the tokens of a vocabulary V, those below are drawn at most V e^-25 of the time: once in
#: 400,000 steps with V = 152k even if all the others were.
_LEAST_LOG_PROBABILITY = -25.0


@check("generations", blocking=True)
def no_token_is_impossible(stored: StageRun) -> Finding:
    """No token of a text has a log-probability under -25 nats where it was drawn from.

    Sampling as it should be writes none in any study; a fault of the noise or of a cache does.
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


CHECKS = [no_token_is_impossible]
