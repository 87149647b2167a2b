"""What a page says of sections of thinking: which part is scored, and how many texts lack it."""

import polars as pl

from steer_assets.reporting.evidence import UNSTEERED, Evidence
from steer_assets.reporting.figures.charts.axes import listed

_READ = {
    "after_thinking": "the answer after the section of thinking",
    "thinking": "the section of thinking",
    "whole": "whole texts, with their section of thinking",
}
_MOST_ARMS = 3


def fact(evidence: Evidence) -> str:
    """What scorers read of a reasoning model's texts; empty for other models."""
    rows = evidence.table("thinking_sections")
    if rows.is_empty():
        return ""
    settings = evidence.study["thinking"]
    states = rows["section"].to_list()
    asked = {True: "on", False: "off"}.get(settings["enable"], "left to the chat template")
    n = len(states) - states.count("none")
    return (
        f"{asked}; scorers read {_READ[settings['scored']]}; {n} of {len(states)} texts have such "
        f"a section, and {states.count('open')} of these never close it"
    )


def unscored(evidence: Evidence) -> list[str]:
    """A sentence on texts that lack the part that is scored; none where all have it."""
    rows = evidence.table("thinking_sections")
    if rows.is_empty():
        return []
    scored = evidence.study["thinking"]["scored"]
    if scored == "whole":
        return []
    answers = scored == "after_thinking"
    lacks = pl.col("answer").is_null() if answers else pl.col("section") == "none"
    without = rows.filter(lacks)
    if without.is_empty():
        return []
    why = [f"{reason} ({n})" for reason, n in _reasons(without)] if answers else ["none is written"]
    return [
        f"{len(without)} of {len(rows)} texts have no {'answer' if answers else 'section'}: "
        f"{listed(why)}{_by_arm(evidence, without)}. They have no score, and a comparison leaves "
        "out a prompt of which either side lacks one: what it says holds for prompts that are "
        "answered."
    ]


def _reasons(without: pl.DataFrame) -> list[tuple[str, int]]:
    counts = without["reason"].value_counts().sort(["count", "reason"], descending=[True, False])
    return [(str(reason), int(n)) for reason, n in counts.iter_rows()]


def _by_arm(evidence: Evidence, without: pl.DataFrame) -> str:
    """The unsteered arm, and those that lack the most, under the controlled protocol."""
    texts = evidence.table("generations").filter(pl.col("protocol") == "controlled")
    arms = (
        texts.with_columns(lacks=pl.col("generation_id").is_in(without["generation_id"].to_list()))
        .group_by("vector_id", "alpha")
        .agg(pl.col("lacks").sum(), pl.len().alias("n"))
        .sort(
            pl.col("vector_id") != UNSTEERED,
            -(pl.col("lacks") / pl.col("n")),
            "vector_id",
            "alpha",
        )
        .head(1 + _MOST_ARMS)
    )
    said = [
        f"{'unsteered' if name == UNSTEERED else f'{name} at α = {alpha:g}'} {lacks} of {n}"
        for name, alpha, lacks, n in arms.iter_rows()
    ]
    return f"; most of them: {listed(said)}" if said else ""
