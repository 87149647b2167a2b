"""Checks of prompts."""

import polars as pl

from steer_assets.catalog import trait_files
from steer_assets.catalog.prompt_texts.resemblance import MOST, resemblances, series
from steer_assets.catalog.prompts import checksum
from steer_assets.checks.harness import Finding, check
from steer_assets.pipeline.stage import StageRun

_MOST_SHOWN = 5


@check("prompt_sets", blocking=True)
def prompts_are_unique(stored: StageRun) -> Finding:
    """No id, no test prompt and no pair of a role twice; prompts match their checksums."""
    rows = stored.rows("prompt_sets")
    twice = rows.filter(pl.col("prompt_id").is_duplicated())["prompt_id"].unique().to_list()
    # Pairs may share a prompt, for example one neutral prompt with every positive one.
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


@check("prompt_sets")
def prompts_say_different_things(stored: StageRun) -> Finding:
    """No test prompt is a near-duplicate of another, and none form a series from one template."""
    rows = stored.rows("prompt_sets").filter(pl.col("role") == "test")
    ids, texts = rows["prompt_id"].to_list(), rows["text"].to_list()
    words = [trait_files.own_words(text) for text in texts]
    alike = list(resemblances(words))
    if alike:
        pairs = "; ".join(
            f"{ids[one.first]} and {ids[one.second]} ({one.similarity:.2f}): "
            f"{texts[one.first][:120]!r} and {texts[one.second][:120]!r}"
            for one in alike[:_MOST_SHOWN]
        )
        return Finding(
            False,
            f"{len(alike)} test prompts say nearly the same as an earlier one: {pairs}",
            {"alike": len(alike)},
        )
    frames = series(words)
    if frames:
        largest = frames[0]
        return Finding(
            False,
            f'{len(largest.members)} test prompts are "{largest.frame}" with other words for the '
            f"dots, {ids[largest.members[0]]} and {ids[largest.members[1]]} among them",
            {"series": len(frames)},
        )
    compared = min(len(texts), MOST)
    return Finding(True, f"{compared} test prompts, no two alike", {"compared": compared})


CHECKS = [prompts_are_unique, prompts_are_paired, prompts_say_different_things]
