"""Checks of prompts."""

import polars as pl

from steer_assets.catalog.prompts import checksum
from steer_assets.checks.harness import Finding, check
from steer_assets.pipeline.stage import StageRun


@check("prompt_sets", blocking=True)
def prompts_are_unique(stored: StageRun) -> Finding:
    """No id, no test prompt and no pair of a role twice; prompts match their checksums."""
    rows = stored.rows("prompt_sets")
    twice = rows.filter(pl.col("prompt_id").is_duplicated())["prompt_id"].unique().to_list()
    # Pairs may share one of their prompts: every positive one beside the same neutral one, say.
    unit = pl.when(pl.col("pair_id") == "").then("prompt_id").otherwise("pair_id").alias("unit")
    asked = rows.group_by("role", unit, maintain_order=True).agg(
        pl.col("text").str.join("\n", ignore_nulls=False)
    )
    said = asked.filter(pl.struct("role", "text").is_duplicated())["unit"].to_list()
    sums = [checksum(*row) for row in rows.select("text", "turns", "raw").iter_rows()]
    changed = rows.filter(pl.Series(sums) != rows["sha256"])["prompt_id"].to_list()
    for found, what in (
        (twice, "ids occur twice"),
        (said, "prompts say the same in one role"),
        (changed, "texts do not match their checksums"),
    ):
        if found:
            return Finding(False, f"{len(found)} {what}, {found[0]} among them")
    return Finding(True, f"{len(rows)} prompts, all different", {"prompts": len(rows)})


@check("prompt_sets", blocking=True)
def prompts_are_paired(stored: StageRun) -> Finding:
    """Each pair has one positive and one negative prompt; test prompts belong to no pair."""
    rows = stored.rows("prompt_sets")
    pairs = (
        rows.filter(pl.col("role") != "test")
        .group_by("role", "pair_id")
        .agg(pl.col("polarity").sort())
        .sort("role", "pair_id")
    )
    broken = [
        str(pair_id)
        for _, pair_id, polarity in pairs.iter_rows()
        if list(polarity) != ["negative", "positive"]
    ]
    if broken:
        return Finding(
            False, f"{len(broken)} pairs have not one prompt of each pole, {broken[0]} among them"
        )
    loose = rows.filter((pl.col("role") == "test") & (pl.col("polarity") != "neutral"))
    if len(loose):
        return Finding(False, f"test prompt {loose.item(0, 'prompt_id')} asks for a pole")
    if not len(pairs):
        return Finding(False, "there are no pairs")
    return Finding(True, f"{len(pairs)} pairs, both poles each", {"pairs": len(pairs)})


CHECKS = [prompts_are_unique, prompts_are_paired]
