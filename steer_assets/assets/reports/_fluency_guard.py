"""The fluency guard: a verdict of equivalence needs fluent texts.

The rule is that of `stats.verdicts.broken_texts`: loss of fluency must be shown over prompts, not
by single texts.
"""

import polars as pl

from steer_assets.catalog.sections.study_sections import Fluency
from steer_assets.geometry.vector_ids import NONE_ID, VectorId
from steer_assets.pipeline.design.arms import Arm
from steer_assets.reporting.broken_texts import broken_texts


def broken_arms(fluent: pl.DataFrame, settings: Fluency) -> dict[Arm, str]:
    """Arms with broken texts, and the reasons. `fluent`: rows of `fluency` with `generations`."""
    judged = broken_texts(fluent, settings.model_dump()).filter("broken")
    return {
        Arm(row["vector_id"], row["alpha"]): row["reason"] for row in judged.iter_rows(named=True)
    }


def _why(vector_id: str, alpha: float, broken: dict[Arm, str]) -> str:
    for arm, reason in broken.items():
        same = arm.vector_id == vector_id or (
            NONE_ID not in (arm.vector_id, vector_id)
            and VectorId.parse(arm.vector_id).among(VectorId.parse(vector_id))
        )
        if arm.alpha == alpha and same:
            return f"texts of {arm.vector_id} at alpha {alpha:g} are broken ({reason})"
    return ""


def guarded(tests: pl.DataFrame, broken: dict[Arm, str]) -> pl.DataFrame:
    """Tests with the reason added; with broken texts, `equivalent` becomes `inconclusive`."""
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
