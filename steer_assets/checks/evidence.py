"""Checks of texts, scores and verdicts."""

import polars as pl

from steer_assets.assets import STAGES
from steer_assets.catalog.protocols import CONTROLLED, variants
from steer_assets.checks.harness import Finding, check
from steer_assets.checks.protocols import expected_texts
from steer_assets.pipeline import freshness
from steer_assets.pipeline.design import looks, thinking
from steer_assets.pipeline.stage import StageRun
from steer_assets.resources import scorers
from steer_assets.scoring.scorer import ScorerUnavailable


@check("generations", blocking=True)
def no_text_is_missing(stored: StageRun) -> Finding:
    """As many texts as arms x prompts x samples in every protocol, each once.

    Arms use common random numbers, except under `independent_sampling`.
    """
    rows, expected = stored.rows("generations"), expected_texts(stored)
    found = dict(rows.group_by("protocol").len().iter_rows())
    for protocol in sorted(expected.keys() | found.keys()):
        have, wanted = found.get(protocol, 0), expected.get(protocol, 0)
        if have != wanted:
            return Finding(
                False, f"{protocol}: {have} texts, but arms x prompts x samples is {wanted}"
            )
    if rows["generation_id"].is_duplicated().any():
        return Finding(False, "a text occurs twice")
    independent = {
        name
        for protocol in stored.study.switched_protocols
        for name, on in variants(protocol).items()
        if "independent_sampling" in on
    }
    per_key = rows.group_by("protocol", "prompt_id", "sample").agg(
        pl.col("seed").n_unique().alias("seeds"), pl.len().alias("arms")
    )
    paired = ~pl.col("protocol").is_in(list(independent))
    if len(per_key.filter(paired & (pl.col("seeds") != 1))):
        return Finding(False, "arms of one prompt and sample were given different noise")
    if len(per_key.filter(~paired & (pl.col("seeds") != pl.col("arms")))):
        return Finding(False, "arms that are to be independent were given the same noise")
    empty = len(rows.filter(pl.col("n_tokens") < 1))
    if empty:
        return Finding(False, f"{empty} texts have no token")
    n, protocols = len(rows), len(expected)
    return Finding(
        True, f"{n} texts of {protocols} sets, none missing, noise as it should be", {"texts": n}
    )


def _unscored(scores: pl.DataFrame, texts: pl.DataFrame, scorer: str) -> str | None:
    """texts: those that have the part that is scored."""
    own = scores.filter(pl.col("scorer") == scorer)
    if len(own) != len(texts) or set(own["generation_id"]) != set(texts["generation_id"]):
        return f"{scorer} scored {len(own)} of {len(texts)} texts"
    return None


def _no_answers(n: int) -> str:
    return f"{n} texts have no score, because they lack the part that is scored (thinking.scored)"


def _without_scores(stored: StageRun) -> Finding:
    names = scorers.readers(stored.study.scoring.scorers)
    for one in scorers.available(names, stored.trait, stored.layout, stored.log):
        return Finding(False, f"no text has a score, although {one.name} can be built")
    return Finding(True, f"no scorer scores texts of {stored.trait}: no verdict rests on scores")


@check("classifier_scores", blocking=True)
def every_text_is_scored(stored: StageRun) -> Finding:
    """One score per text and available scorer, and not the same score for all texts.

    Texts of a reasoning model without the part that is scored have no score. There may
    be no scores where no scorer can be built; the report is then made without them.
    """
    rows = stored.rows("classifier_scores")
    texts = thinking.with_read(stored, stored.rows("generations"))
    without = texts[thinking.READ].null_count()
    texts = texts.drop_nulls(thinking.READ)
    prompted = stored.rows("prompted_scores")
    switched = texts.filter(pl.col("protocol") != CONTROLLED)
    there = rows["scorer"].unique(maintain_order=True).to_list()
    if not there:
        return _without_scores(stored) if len(texts) else Finding(True, _no_answers(without))
    for scorer in there:
        if wrong := _unscored(rows, texts, scorer) or _unscored(prompted, switched, scorer):
            return Finding(False, wrong)
        own = rows.filter(pl.col("scorer") == scorer)
        if own["score"].n_unique() < 2 and texts[thinking.READ].n_unique() > 1:
            return Finding(False, f"{scorer} gives every text the same score")
    absent = [name for name in stored.study.scoring.scorers if name not in there]
    words = f"{len(rows)} scores, one per text and scorer"
    if without:
        words += f"; {_no_answers(without)}"
    return Finding(
        True, words + (f"; without {', '.join(absent)}" if absent else ""), {"scores": len(rows)}
    )


def _trusted(rows: pl.DataFrame, floor: float) -> Finding:
    """Whether AUROCs lie in their intervals, and the intervals above the floor."""
    words = []
    passed = True
    for row in rows.iter_rows(named=True):
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
    return Finding(passed, "; ".join(words) or "no scorer of this kind to validate")


@check("scorer_validation")
def scorers_can_tell(stored: StageRun) -> Finding:
    """The AUROC's interval holds its estimate and lies above the study's floor.

    Below the floor every comparison by that scorer is untestable, which its verdicts state.
    """
    return _trusted(stored.rows("scorer_validation"), stored.study.scoring.auroc_floor)


@check("scorer_validation")
def labels_count_for_their_pole(stored: StageRun) -> Finding:
    """Every label of a classifier has its weight by exact name, with the correct sign.

    A map with its signs swapped gives an AUROC below one half, regardless of the label names.
    """
    rows = stored.rows("scorer_validation")
    for name, high in rows.select("scorer", "auroc_high").iter_rows():
        try:
            scorers.scorer(name, stored.trait, stored.layout)
        except ScorerUnavailable:
            continue
        except ValueError as error:
            return Finding(False, f"{name}: {error}")
        if high < 0.5:
            return Finding(
                False, f"{name} scores the poles the wrong way round: AUROC of at most {high:.2f}"
            )
    return Finding(True, f"{len(rows)} scorers, their labels as they should be")


@check("classifier_scores")
def judges_can_tell(stored: StageRun) -> Finding:
    """The same for scorers that prompt the language model, which depend on the model."""
    return _trusted(stored.rows("judge_validation"), stored.study.scoring.auroc_floor)


@check("fluency", blocking=True)
def fluency_is_measured(stored: StageRun) -> Finding:
    """One row per chosen text; perplexity at least 1, shares between 0 and 1."""
    rows, settings = stored.rows("fluency"), stored.study.fluency
    prompts = looks.fluency_prompts(stored.rows("prompt_sets"), stored.study)["prompt_id"]
    texts = thinking.with_read(stored, stored.rows("generations")).filter(
        (pl.col("protocol") == CONTROLLED)
        & pl.col(thinking.READ).is_not_null()
        & (pl.col("sample") < settings.samples)
        & pl.col("prompt_id").is_in(prompts.to_list())
    )
    if len(rows) != len(texts) or set(rows["generation_id"]) != set(texts["generation_id"]):
        return Finding(False, f"{len(rows)} of {len(texts)} texts were measured")
    if (rows["perplexity"] < 1 - 1e-9).any():
        return Finding(False, "a perplexity is below 1")
    for name in ("distinct_1", "distinct_2", "distinct_3", "repetition"):
        if not rows[name].is_between(-1e-9, 1 + 1e-9).all():
            return Finding(False, f"{name} is no share")
    return Finding(True, f"{len(rows)} texts", {"texts": len(rows)})


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
    families = stored.rows("family_tests")
    for frame in (tests, families):
        for name in ("p_difference", "p_equivalence"):
            raw, adjusted = frame[name], frame[f"{name}_adjusted"]
            if not (raw.is_between(0, 1).all() and adjusted.is_between(0, 1).all()):
                return Finding(False, f"{name} is not a probability")
            if (adjusted < raw - 1e-12).any():
                return Finding(False, f"{name} gets smaller by adjustment")
    if n := _outside(families, "share_inside", "share_low", "share_high"):
        return Finding(False, f"{n} shares of seeds lie outside their intervals")
    return Finding(
        True,
        f"{len(reports)} efficacies and {len(tests)} comparisons, all inside their intervals",
        {"comparisons": len(tests)},
    )


@check("equivalence_reports")
def floors_are_in_the_report(stored: StageRun) -> Finding:
    """The page shows the sampling floor with null fractions, and has a row for every layer."""
    reports = stored.rows("equivalence_reports")
    if set(reports["layer"]) != set(stored.steer_layers()):
        return Finding(False, f"rows for blocks {sorted(set(reports['layer']))} only")
    page = stored.layout.pair_file("reports", stored.model, stored.trait, ".html").read_text()
    if "floor" not in page:
        return Finding(False, "the page shows null fractions without their sampling floor")
    return Finding(True, f"{len(reports)} rows; the page shows sampling floors")


@check("identifiability_summary")
def summary_has_every_report(stored: StageRun) -> Finding:
    """The summary has exactly the models and traits that have a report."""
    have = set(stored.rows("identifiability_summary").select("model", "trait").iter_rows())
    made = {
        (key["model"], key["trait"])
        for key in freshness.materialised(stored.layout, STAGES["equivalence_reports"])
    }
    if missing := sorted(made - have):
        return Finding(False, f"{len(missing)} reports are not in it, {'|'.join(missing[0])} first")
    if more := sorted(have - made):
        return Finding(False, f"it holds {'|'.join(more[0])}, which has no report any more")
    return Finding(True, f"{len(have)} partitions", {"partitions": len(have)})


CHECKS = [
    no_text_is_missing,
    every_text_is_scored,
    judges_can_tell,
    fluency_is_measured,
    scorers_can_tell,
    labels_count_for_their_pole,
    intervals_hold_their_estimates,
    floors_are_in_the_report,
    summary_has_every_report,
]
