"""Protocols end to end on planted scores: which conclusions survive, and which switch decides."""

import polars as pl
import pytest

from steer_assets.assets.protocols._findings import Found, finding_row
from steer_assets.assets.protocols.protocol_comparison import protocol_comparison
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design.protocol_settings import TOUCHED
from tests.assets.planted import World, as_run, planted_study, scored

STEERS = {"base": 2.0, "plus": 2.0, "pca": 2.0, "logistic": 2.0, "orthogonal": 0.0}
STEERS |= {"subspace_1": 0.0, "subspace_5": 0.0}
NOTHING = dict.fromkeys(STEERS, 0.0)


def compared(
    world: World, trait: str = "sentiment", auroc_low: float = 0.9, study: Study | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Numbers and findings of the planted scores."""
    study = study or planted_study()
    made = protocol_comparison.make(as_run(scored(world, study, trait), study, trait, auroc_low))
    frames = {rows.table: rows.frame for rows in made.rows}
    return frames["protocol_comparison"], frames["protocol_findings"].filter(
        pl.col("scorer").is_in(["known", "none"])
    )


def number(rows: pl.DataFrame, conclusion: str, setting: str, switch: str = "") -> dict:
    quantity = pl.col("quantity").is_in(["d", "share_of_subspaces"])
    return rows.filter(
        quantity,
        pl.col("conclusion") == conclusion,
        pl.col("setting") == setting,
        pl.col("switch") == switch,
    ).row(0, named=True)


def finding(rows: pl.DataFrame, conclusion: str, quantity: str = "d") -> dict:
    return rows.filter(pl.col("conclusion") == conclusion, pl.col("quantity") == quantity).row(
        0, named=True
    )


def test_where_v_steers_and_v_perp_does_nothing_the_conclusions_survive() -> None:
    numbers, findings = compared(World(STEERS))
    for conclusion in (
        "orthogonal_irrelevance",
        "alpha_robustness",
        "environment_robustness",
        "vector_equivalence",
    ):
        row = finding(findings, conclusion)
        assert (row["as_published"], row["controlled"]) == ("holds", "holds"), row["sentence"]
        assert "survives" in row["sentence"]
        # published numbers are never zero, controlled ones are near it
        assert number(numbers, conclusion, "as_published")["value"] > 0
        assert abs(number(numbers, conclusion, "controlled")["value"]) < 0.05


def test_spanning_rests_on_the_missing_baseline() -> None:
    # A high level hides that vectors of the span do nothing at all: both scores are near 1.
    numbers, findings = compared(World(STEERS, level=3.0))
    row = finding(findings, "spanning", "share_of_subspaces")
    assert (row["as_published"], row["controlled"]) == ("holds", "fails")
    assert row["deciding"] == "no_baseline"
    assert "what decides is no_baseline" in row["sentence"]
    published = number(numbers, "spanning", "as_published")
    assert published["value"] > 0.8
    assert published["by_itself"] > 0.8  # unsteered texts have as large a share
    assert number(numbers, "spanning", "controlled")["high"] < 0.2


def test_a_vector_that_does_nothing_is_untestable_only_where_somebody_looks() -> None:
    numbers, findings = compared(World(NOTHING, noise=1.0))
    row = finding(findings, "orthogonal_irrelevance")
    assert (row["as_published"], row["controlled"]) == ("holds", "untestable")
    assert "no_baseline" in row["deciding"]
    # E|d| of 120 texts with no difference is 0.10: the published number is of that size
    reference = number(numbers, "orthogonal_irrelevance", "as_published")
    assert reference["by_itself"] == pytest.approx(0.103, abs=0.01)
    assert reference["value"] < 3 * reference["by_itself"]


def test_a_label_substring_flips_a_known_case() -> None:
    # From clearly informal to clearly formal: the classifier is as sure before as after.
    opposite = {**STEERS, "base": 4.0, "plus": 0.0}
    world = World(opposite, level=-2.0, between=0.2, noise=0.2, prompt_part=0.0)
    numbers, findings = compared(world, "formality")
    row = finding(findings, "orthogonal_irrelevance")
    assert (row["as_published"], row["controlled"]) == ("holds", "fails")
    assert row["deciding"] == "label_substring"
    assert abs(number(numbers, "orthogonal_irrelevance", "as_published")["value"]) < 0.2
    right = number(numbers, "orthogonal_irrelevance", "without", "label_substring")
    assert right["value"] > 5
    # Sentiment has no such labels, so the switch does not touch it.
    other, _ = compared(world, "sentiment")
    assert "label_substring" not in set(other["switch"])


def test_a_prompt_that_is_scored_too_hides_a_difference() -> None:
    # The contribution of the prompts masks the effects of the texts.
    differs = {**STEERS, "plus": 1.5}
    _, findings = compared(World(differs, between=0.1, noise=0.1, prompt_part=10.0))
    row = finding(findings, "orthogonal_irrelevance")
    assert (row["as_published"], row["controlled"]) == ("holds", "fails")
    assert row["deciding"] == "prompt_included"


def test_a_scorer_that_cannot_tell_carries_no_controlled_finding() -> None:
    _, findings = compared(World(STEERS), auroc_low=0.6)
    row = finding(findings, "orthogonal_irrelevance")
    assert (row["as_published"], row["controlled"]) == ("holds", "untestable")
    assert "unsigned_mean_d" in row["deciding"]


def test_a_null_space_that_is_all_floor_is_no_finding() -> None:
    _, findings = compared(World(STEERS), study=planted_study(n_prompts=12))
    row = finding(findings, "null_space_size", "jacobian_null_fraction")
    assert (row["as_published"], row["controlled"]) == ("holds", "fails")
    assert row["deciding"] == "finite_difference"
    # the number of samples forces three quarters on any model, so a test is undecided
    row = finding(findings, "null_space_size", "covariance_null_fraction")
    assert (row["as_published"], row["controlled"]) == ("holds", "undecided")
    assert row["deciding"] == "unsigned_mean_d"
    row = finding(findings, "logit_equivalence", "kl_share")
    assert (row["as_published"], row["controlled"]) == ("holds", "holds")


def test_a_control_that_is_further_away_is_no_finding() -> None:
    _, findings = compared(World(STEERS), study=planted_study(n_prompts=12))
    row = finding(findings, "logit_equivalence", "distance_reduction")
    assert (row["as_published"], row["controlled"]) == ("holds", "fails")
    assert row["deciding"] == "replaced_control"
    assert "0.29 in any isotropic model, whose control is that much further away" in row["sentence"]
    # Judged by its interval it is undecided, because geometry gives as much for any model.
    by_switch = dict(
        zip(row["touched"].split(", "), row["findings_without"].split(", "), strict=True)
    )
    assert by_switch["unsigned_mean_d"] == "undecided"
    kl = finding(findings, "logit_equivalence", "kl_share")
    assert "replaced_control" not in kl["touched"]


def test_every_switch_that_touches_a_conclusion_has_its_number() -> None:
    study = planted_study(n_prompts=12)
    numbers, findings = compared(World(STEERS, level=6.0), "formality", study=study)
    for (conclusion, quantity), touched in TOUCHED.items():
        rows = numbers.filter(pl.col("conclusion") == conclusion, pl.col("quantity") == quantity)
        assert set(rows["switch"]) == {"", *touched}
        row = finding(findings, conclusion, quantity)
        assert set(row["touched"].split(", ")) == set(touched)
        assert len(row["findings_without"].split(", ")) == len(touched)
        assert set(rows["setting"]) == {"as_published", "without", "controlled"}
    assert (numbers["low"] <= numbers["value"] + 1e-9).all()
    assert (numbers["value"] <= numbers["high"] + 1e-9).all()


def test_what_was_not_measured_is_said_and_decides_nothing() -> None:
    asked = ("alpha_robustness", "d")
    row = finding_row(
        asked,
        [
            Found("as_published", "", "holds", "0.10 [0.01, 0.20]", 0.1),
            Found("without", "no_baseline", "untestable", "", 0.0),
            Found("controlled", "", "not measured", "", 0.0),
        ],
    )
    assert row["deciding"] == ""
    assert "was not measured when controlled" in str(row["sentence"])


def test_a_study_without_protocols_compares_nothing() -> None:
    settings = planted_study().model_dump(mode="json")
    settings |= {"protocols": [{"name": CONTROLLED}], "protocol_texts": None}
    study = Study.model_validate(settings)
    made = protocol_comparison.make(
        as_run(scored(World(STEERS), planted_study(), "sentiment"), study, "sentiment")
    )
    assert all(rows.frame.is_empty() for rows in made.rows)


def test_numbers_that_could_not_be_measured_are_said_and_keep_nothing_back() -> None:
    study = planted_study()
    run = as_run(scored(World(STEERS), study, "sentiment"), study, "sentiment")
    whole = run.rows("protocol_measures")
    # As on a model whose residual stream overflows float16: no finite difference is a number.
    asked = pl.col("quantity") == "jacobian_null_fraction"
    exact = (pl.col("switch") == "finite_difference") | (pl.col("setting") == "controlled")
    missing = asked & ~exact
    run.frames["protocol_measures"] = whole.with_columns(
        *(pl.when(~missing).then(pl.col(n)).alias(n) for n in ("value", "low", "high")),
        reason=pl.when(missing).then(pl.lit("float16 overflows")).otherwise(pl.lit("")),
    )
    made = {rows.table: rows.frame for rows in protocol_comparison.make(run).rows}
    numbers = made["protocol_comparison"].filter(asked)
    assert set(numbers.select("setting", "switch").iter_rows()) == {
        ("without", "finite_difference"),
        ("controlled", ""),
    }
    said = finding(made["protocol_findings"], "null_space_size", "jacobian_null_fraction")
    assert (said["as_published"], said["controlled"]) == ("not measured", "fails")
    assert said["deciding"] == ""
    assert "was not measured as published and fails (null fraction 0.30" in said["sentence"]
    assert len(made["protocol_findings"].filter(pl.col("scorer") == "none")) == 4
