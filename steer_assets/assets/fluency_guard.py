"""No verdict of equivalence on broken texts.

An arm is broken where its median perplexity under the unsteered model is a multiple of that of the
unsteered texts of the same prompts, or where it repeats itself far more than they do.
"""

import polars as pl

from steer_assets.assets.arms import UNSTEERED, Arm
from steer_assets.assets.comparisons import ALL_SEEDS
from steer_assets.catalog.study_sections import Fluency


def broken_arms(fluent: pl.DataFrame, settings: Fluency) -> dict[Arm, str]:
    """Arms whose texts are broken, and why. `fluent`: rows of `fluency` joined to `generations`."""
    by_arm = fluent.group_by("vector_id", "alpha", maintain_order=True).agg(
        pl.col("perplexity").median(), pl.col("repetition").mean()
    )
    unsteered = by_arm.filter(pl.col("vector_id") == UNSTEERED.vector_id)
    if unsteered.is_empty():
        return {}
    usual = unsteered.row(0, named=True)
    found = {}
    for row in by_arm.iter_rows(named=True):
        reasons = []
        if row["perplexity"] > settings.perplexity_factor * usual["perplexity"]:
            reasons.append(f"perplexity {row['perplexity']:.0f} against {usual['perplexity']:.0f}")
        if row["repetition"] > usual["repetition"] + settings.repetition:
            reasons.append(f"repetition {row['repetition']:.2f} against {usual['repetition']:.2f}")
        if reasons:
            found[Arm(row["vector_id"], row["alpha"])] = " and ".join(reasons)
    return found


def _why(vector_id: str, alpha: float, broken: dict[Arm, str]) -> str:
    stem = vector_id.removesuffix(ALL_SEEDS)
    for arm, reason in broken.items():
        same = arm.vector_id == vector_id or (
            stem != vector_id and arm.vector_id.startswith(f"{stem}s")
        )
        if arm.alpha == alpha and same:
            return f"texts of {arm.vector_id} at alpha {alpha:g} are broken ({reason})"
    return ""


def guarded(tests: pl.DataFrame, broken: dict[Arm, str]) -> pl.DataFrame:
    """Tests with the reason told, and `inconclusive` for `equivalent` where texts are broken."""
    verdicts, reasons = [], []
    for row in tests.iter_rows(named=True):
        why = _why(row["vector_id"], row["alpha"], broken) or _why(
            row["reference_id"], row["alpha"], broken
        )
        verdict, reason = row["verdict"], row["reason"]
        if why and verdict == "equivalent":
            verdict = "inconclusive"
            reason = f"{why}: that their scores are alike says nothing; {reason}"
        elif why:
            reason = f"{reason}; {why}"
        verdicts.append(verdict)
        reasons.append(reason)
    return tests.with_columns(pl.Series("verdict", verdicts), pl.Series("reason", reasons))
