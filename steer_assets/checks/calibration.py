"""Checks of the working point: on prompts of its own, at the divergence that it is said to have."""

import numpy as np
import polars as pl

from steer_assets.checks.harness import Finding, check
from steer_assets.pipeline.design import prompt_selection
from steer_assets.pipeline.stage import StageRun

#: Of the target divergence.
_RELATIVE = 0.02


@check("steering_calibration", blocking=True)
def choice_and_verdict_are_apart(stored: StageRun) -> Finding:
    """No prompt is both of calibration and of verdicts; all those of verdicts are named."""
    split = stored.rows("calibration_prompts")
    ours = set(split.filter(pl.col("split") == "calibration")["prompt_id"])
    theirs = set(split.filter(pl.col("split") == "verdict")["prompt_id"])
    needed = prompt_selection.generation_tests(stored.rows("prompt_sets"), stored.study)
    if both := sorted(ours & theirs):
        return Finding(False, f"{len(both)} prompts are in both splits, first {both[0]}")
    if theirs != set(needed["prompt_id"]):
        return Finding(False, "the split does not name the prompts that texts are generated from")
    return Finding(
        True,
        f"{len(ours)} prompts of calibration, {len(theirs)} of verdicts, none in both",
        {"calibration": len(ours), "verdict": len(theirs)},
    )


@check("steering_calibration")
def doses_have_the_target_divergence(stored: StageRun) -> Finding:
    """At its own dose every block has the target divergence, or its row says why not."""
    rows = stored.rows("steering_calibration").filter(pl.col("iso_multiple") == 1)
    met = rows.filter(~pl.col("reason").str.contains("KL "))
    apart = (met["next_token_kl_p95"] / met["target_kl"] - 1).abs().to_numpy()
    worst = float(apart.max(initial=0.0))
    told = f"{len(met)} of {len(rows)} blocks meet the target, off by at most {100 * worst:.1f} %"
    return Finding(bool(np.all(apart <= _RELATIVE)), told, {"blocks": len(rows), "met": len(met)})


CHECKS = [choice_and_verdict_are_apart, doses_have_the_target_divergence]
