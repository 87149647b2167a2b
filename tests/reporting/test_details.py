"""Figures of the details behind a verdict: doses, spread, fluency, scorers, protocols."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import polars as pl
import pytest

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts import fluency, heterogeneity, protocols, scorers
from steer_assets.reporting.figures.figure import Absent, Figure


def test_doses_around_v_are_means_over_prompts_beside_the_prediction(figures: dict[str, Figure]):
    rows = figures["dose_around_v"].data
    assert set(rows["direction"]) == {
        "null (Fisher)", "null (covariance)", "range (Fisher)", "random",
    }  # fmt: skip
    row = rows.filter(
        pl.col("direction") == "random", pl.col("dose") == 4.0, pl.col("layer") == 15
    ).row(0, named=True)
    assert row["predicted_kl"] == pytest.approx(0.05 * 0.2 * 16)
    assert row["kl"] == pytest.approx(row["predicted_kl"] / (1 + 0.5 * row["predicted_kl"]))
    assert row["kl_smallest"] == pytest.approx(0.8 * row["kl"])
    assert "random, 4 |v|: 0.15 nats" in figures["dose_around_v"].alt


def test_radii_are_multiples_of_v_and_say_where_they_are_bounds(figures: dict[str, Figure]):
    figure = figures["radii"]
    at = pl.col("tolerance") == 0.01
    rows = figure.data.filter(at, pl.col("layer") == 15)
    random = rows.filter(pl.col("direction") == "random").row(0, named=True)
    assert random["predicted"] == pytest.approx((0.01 / 0.01) ** 0.5)
    assert random["measured"] == pytest.approx(1.1)
    null = rows.filter(pl.col("direction") == "null (Fisher)").row(0, named=True)
    assert (null["measured"], null["measured_reached"]) == (4.0, False)
    assert "null (Fisher) at layer 15: at least 4 |v| measured" in figure.alt


def test_a_spread_is_in_standard_deviations_and_noise_is_not_called_one(
    figures: dict[str, Figure], evidence: Evidence
):
    figure = figures["heterogeneity"]
    unit = evidence.tests("efficacy").filter(
        pl.col("vector_id") == "L20.base", pl.col("environment") == "pooled"
    )["unit"][0]
    row = figure.data.filter(pl.col("comparison") == "efficacy", pl.col("layer") == 20).row(
        0, named=True
    )
    assert row["tau_sd"] == pytest.approx(0.2 / unit)
    assert "v over unsteered at layer 20" in figure.caption
    assert "v over unsteered at layer 15" not in figure.caption


def test_one_text_of_each_prompt_cannot_tell_a_spread_from_noise(evidence: Evidence, changed):
    generation = {**evidence.study["generation"], "samples": 1}
    single = replace(
        changed(heterogeneity=None), study={**evidence.study, "generation": generation}
    )
    answer = heterogeneity.spread(single)
    assert isinstance(answer, Absent)
    assert "at least two texts of each prompt and arm; this study makes 1" in answer.reason


def test_broken_arms_are_named_by_the_limits_of_the_study(
    figures: dict[str, Figure], evidence: Evidence
):
    figure = figures["fluency"]
    assert figure.data.filter("broken")["vector_id"].to_list() == ["L15.pca"]
    assert "Broken arms here: L15 PCA, α = 1." in figure.caption
    lenient = {**evidence.study["fluency"], "perplexity_factor": 1000.0, "repetition": 0.99}
    relaxed = fluency.fluency(replace(evidence, study={**evidence.study, "fluency": lenient}))
    assert isinstance(relaxed, Figure)
    assert "Broken arms here: none." in relaxed.caption


def test_growth_of_a_rank_is_per_doubling(figures: dict[str, Figure]):
    caption = figures["saturation"].caption
    assert "prompts: covariance 100%, Fisher 0% and Jacobian 0%." in caption


def test_which_published_conclusions_survive(evidence: Evidence, figures: dict[str, Figure]):
    words = protocols.survival(evidence)
    assert words.startswith(
        "Controlled, of 8 published conclusions 2 hold (v⊥ alone does nothing; "
    )
    assert "1 was not measured (v + v⊥ acts like v at every dose)" in words
    assert words.endswith("Of the 5 that hold as published, 1 survives.")
    figure = figures["protocols"]
    assert figure.alt == words
    assert figure.caption.endswith("Not measured in this study: v + v⊥ acts like v at every dose.")
    assert figure.data.height == 7


def test_other_scorers_do_not_speak_for_the_deciding_one(evidence: Evidence, changed):
    findings = evidence.table("protocol_findings")
    other = findings.with_columns(scorer=pl.lit("twitter-roberta-sentiment"))
    assert protocols.survival(changed(protocol_findings=pl.concat([findings, other]))) == (
        protocols.survival(evidence)
    )
    assert protocols.survival(changed(protocol_findings=None)) == ""


def test_a_scorer_that_could_not_be_had_is_named_where_it_is_missed(figures: dict[str, Figure]):
    for name in ("scorers", "agreement"):
        assert figures[name].caption.endswith(
            "Not available here: lm-judge; the study asks for it, but no text was scored."
        )


def test_agreement_says_of_what_in_words(figures: dict[str, Figure]):
    words = "".join(ET.fromstring(figures["agreement"].svg).itertext())
    assert "minilm – twitter-roberta-sentiment: effects of v at layer 15, α = 1" in words
    assert "on effects of v at layer 15, α = 1, 0.42." in figures["agreement"].alt


def test_one_scorer_has_nobody_to_agree_with(evidence: Evidence, changed):
    scores = evidence.table("classifier_scores").filter(pl.col("scorer") == "minilm")
    answer = scorers.agreement(changed(classifier_scores=scores, scorer_agreement=None))
    assert isinstance(answer, Absent)
    assert answer.reason.startswith("Only one scorer scored texts here (minilm)")
    assert "Not available here: twitter-roberta-sentiment and lm-judge" in answer.reason
