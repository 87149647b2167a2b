"""Checks of texts, scores and verdicts."""

import polars as pl

from steer_assets.assets import plan, selection
from steer_assets.assets.arms import arms_by_environment
from steer_assets.assets.stage import STAGES, StageRun
from steer_assets.assets.vector_families import NONE_ID
from steer_assets.checks.harness import Finding, check


@check("generations", blocking=True)
def no_text_is_missing(stored: StageRun) -> Finding:
    """As many texts as arms x prompts x samples, each once, with the same noise for every arm."""
    rows = stored.rows("generations")
    prompts = selection.generation_tests(stored.rows("prompt_sets"), stored.study)
    vectors = stored.rows("steering_vectors").filter(pl.col("family") != NONE_ID)
    arms = arms_by_environment(
        stored.study, vectors, stored.steer_layers(), stored.model_facts()["n_layers"]
    )
    samples = stored.study.generation.samples
    expected = sum(
        len(arms.get(environment, [])) * n * samples
        for environment, n in prompts.group_by("environment").len().iter_rows()
    )
    if len(rows) != expected:
        return Finding(False, f"{len(rows)} texts, but arms x prompts x samples is {expected}")
    if rows["generation_id"].is_duplicated().any():
        return Finding(False, "a text occurs twice")
    per_key = rows.group_by("prompt_id", "sample").agg(pl.col("seed").n_unique())
    if (per_key["seed"] != 1).any():
        return Finding(False, "arms of one prompt and sample were given different noise")
    empty = len(rows.filter(pl.col("n_tokens") < 1))
    if empty:
        return Finding(False, f"{empty} texts have no token")
    return Finding(
        True, f"{expected} texts, none missing, noise shared by arms", {"texts": expected}
    )


@check("classifier_scores", blocking=True)
def every_text_is_scored(stored: StageRun) -> Finding:
    """One score per text and scorer, and not the same one for all."""
    rows, texts = stored.rows("classifier_scores"), stored.rows("generations")
    for scorer in stored.study.scoring.scorers:
        own = rows.filter(pl.col("scorer") == scorer)
        if len(own) != len(texts) or set(own["generation_id"]) != set(texts["generation_id"]):
            return Finding(False, f"{scorer} scored {len(own)} of {len(texts)} texts")
        if own["score"].n_unique() < 2 and texts["text"].n_unique() > 1:
            return Finding(False, f"{scorer} gives every text the same score")
    return Finding(True, f"{len(rows)} scores, one per text and scorer", {"scores": len(rows)})


@check("scorer_validation")
def scorers_can_tell(stored: StageRun) -> Finding:
    """The AUROC's interval holds its estimate and lies above the study's floor.

    Below the floor nothing by that scorer can be tested; the verdicts say so themselves.
    """
    floor = stored.study.scoring.auroc_floor
    words = []
    passed = True
    for row in stored.rows("scorer_validation").iter_rows(named=True):
        low, high = row["auroc_low"], row["auroc_high"]
        if not 0 <= low <= row["auroc"] <= high <= 1:
            return Finding(
                False, f"{row['scorer']}: {row['auroc']:.3f} not in {low:.3f}-{high:.3f}"
            )
        below = low < floor
        passed &= not below
        words.append(
            f"{row['scorer']} {row['auroc']:.2f} [{low:.2f}, {high:.2f}]"
            + (f", below the floor {floor:g}: untestable" if below else "")
        )
    return Finding(passed, "; ".join(words))


def _outside(rows: pl.DataFrame, estimate: str, low: str, high: str) -> int:
    slack = 1e-9 * (1 + pl.col(estimate).abs())
    inside = (pl.col(low) <= pl.col(estimate) + slack) & (pl.col(estimate) <= pl.col(high) + slack)
    return len(rows.filter(~inside))


@check("equivalence_reports", blocking=True)
def intervals_hold_their_estimates(stored: StageRun) -> Finding:
    """Efficacies and effects lie in their intervals; adjusting makes no p-value smaller."""
    reports, tests = stored.rows("equivalence_reports"), stored.rows("equivalence_tests")
    if n := _outside(reports, "efficacy", "efficacy_low", "efficacy_high"):
        return Finding(False, f"{n} efficacies lie outside their intervals")
    if n := _outside(tests, "effect", "ci_low", "ci_high"):
        return Finding(False, f"{n} effects lie outside their intervals")
    for name in ("p_difference", "p_equivalence"):
        raw, adjusted = tests[name], tests[f"{name}_adjusted"]
        if not (raw.is_between(0, 1).all() and adjusted.is_between(0, 1).all()):
            return Finding(False, f"{name} is not a probability")
        if (adjusted < raw - 1e-12).any():
            return Finding(False, f"{name} gets smaller by adjustment")
    return Finding(
        True,
        f"{len(reports)} efficacies and {len(tests)} comparisons, all inside their intervals",
        {"comparisons": len(tests)},
    )


@check("equivalence_reports")
def floors_are_in_the_report(stored: StageRun) -> Finding:
    """The page shows the sampling floor beside null fractions, and every layer has its row."""
    reports = stored.rows("equivalence_reports")
    if set(reports["layer"]) != set(stored.steer_layers()):
        return Finding(False, f"rows for blocks {sorted(set(reports['layer']))} only")
    page = stored.layout.pair_file("reports", stored.model, stored.trait, ".html").read_text()
    if "floor" not in page:
        return Finding(False, "the page shows null fractions without their sampling floor")
    return Finding(True, f"{len(reports)} rows; the page shows sampling floors")


@check("identifiability_summary")
def summary_has_every_report(stored: StageRun) -> Finding:
    """The summary holds every model and trait that has a report, and nothing else."""
    have = set(stored.rows("identifiability_summary").select("model", "trait").iter_rows())
    made = {
        (key["model"], key["trait"])
        for key in plan.materialised(stored.layout, STAGES["equivalence_reports"])
    }
    if missing := sorted(made - have):
        return Finding(False, f"{len(missing)} reports are not in it, {'|'.join(missing[0])} first")
    if more := sorted(have - made):
        return Finding(False, f"it holds {'|'.join(more[0])}, which has no report any more")
    return Finding(True, f"{len(have)} partitions", {"partitions": len(have)})


CHECKS = [
    no_text_is_missing,
    every_text_is_scored,
    scorers_can_tell,
    intervals_hold_their_estimates,
    floors_are_in_the_report,
    summary_has_every_report,
]
