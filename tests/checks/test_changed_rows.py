"""Every check fails with a sentence on changed rows of the tables that it covers."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from steer_assets.storage.files.parquet import read_part, write_part
from steer_assets.storage.schema import nullable
from tests.checks.looking import look
from tests.finished import KEY
from tests.tiny import World

pytestmark = pytest.mark.slow

Change = Callable[[pl.DataFrame], pl.DataFrame]


def rewrite(world: World, table: str, change: Change, **extra: str) -> None:
    only_trait = table in ("prompt_sets", "scorer_validation")
    key = {"trait": KEY["trait"]} if only_trait else {**KEY, **extra}
    path = world.layout.part(table, key)
    write_part(path, change(read_part(path)), nullable(table))


def _set(column: str, value: object, row: int = 0) -> Change:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        chosen = pl.int_range(pl.len()) == row
        new = pl.lit(value).cast(frame.schema[column])
        return frame.with_columns(pl.when(chosen).then(new).otherwise(column).alias(column))

    return change


@pytest.mark.parametrize(
    ("stage", "name", "table", "change", "words"),
    [
        ("prompt_sets", "prompts_are_unique", "prompt_sets",
         lambda f: pl.concat([f, f.head(1)]), "occur twice"),
        ("prompt_sets", "prompts_are_unique", "prompt_sets",
         _set("text", "something else"), "checksums"),
        ("prompt_sets", "prompts_are_paired", "prompt_sets",
         _set("polarity", "negative"), "one prompt of each pole"),
        ("prompt_sets", "prompts_say_different_things", "prompt_sets",
         lambda f: f.with_columns(text=pl.col("text").replace(
             "Tell a coworker the meeting moved to three.",
             "Explain to us why the report is not ready yet.")), "say nearly the same"),
        ("prompt_sets", "prompts_say_different_things", "prompt_sets",
         lambda f: f.with_columns(text=pl.when(pl.col("role") == "test").then(
             pl.format("Write about {}.", pl.int_range(pl.len()) * 7919))
             .otherwise("text")), "with other words for the dots"),
        ("svd_spectra", "spectra_keep_the_energy", "svd_spectra",
         _set("singular_value", 1e-6), "not sorted"),
        ("svd_spectra", "spectra_keep_the_energy", "svd_spectra",
         _set("singular_value", -1.0, row=3), "negative"),
        ("svd_spectra", "spectra_keep_the_energy", "svd_spectra",
         lambda f: f.with_columns(pl.col("singular_value") * 1.1), "has energy"),
        ("behavioral_spectra", "forms_are_forms", "behavioral_spectra",
         lambda f: f.with_columns(pl.col("singular_value") * 1.1), "has trace"),
        ("vector_families", "vectors_are_what_they_are_called", "steering_vectors",
         _set("norm", 77.0, row=1), "its row says"),
        ("logit_distances", "distances_are_distances", "logit_distances",
         _set("js", 1.0), "js goes"),
        ("logit_distances", "distances_are_distances", "logit_distances",
         lambda f: f.filter(pl.int_range(pl.len()) != pl.arg_where(
             pl.col("reference_id") == "none").first()), "rows for"),
        ("generations", "no_text_is_missing", "generations",
         lambda f: f.tail(-1), "arms x prompts x samples"),
        ("generations", "no_text_is_missing", "generations", _set("seed", 5), "noise"),
        ("generations", "no_text_is_missing", "generations",
         lambda f: f.filter(pl.col("protocol") != "reference-minus-layer_offset"),
         "reference-minus-layer_offset: 0 texts"),
        ("generations", "no_text_is_missing", "generations",
         lambda f: f.with_columns(
             pl.when(pl.col("protocol") == "reference").then(pl.lit(5, pl.Int64))
             .otherwise("seed").cast(f.schema["seed"]).alias("seed")), "the same noise"),
        ("generations", "no_token_is_impossible", "generations",
         _set("least_token_log_probability", -31.25), "controlled/none@0"),
        ("generations", "no_token_is_impossible", "generations",
         _set("least_token_log_probability", -31.25), "with -31.2 nats"),
        ("classifier_scores", "every_text_is_scored", "classifier_scores",
         lambda f: f.tail(-1), "scored"),
        ("classifier_scores", "every_text_is_scored", "prompted_scores",
         lambda f: f.tail(-1), "scored"),
        ("classifier_scores", "every_text_is_scored", "classifier_scores",
         lambda f: f.clear(), "although tiny-judge can be built"),
        ("classifier_scores", "judges_can_tell", "judge_validation",
         lambda f: pl.DataFrame([{**dict.fromkeys(f.columns, ""), "scorer": "judge",
             "n_positive": 5, "n_negative": 5, "auroc": 0.9, "auroc_low": 0.95,
             "auroc_high": 1.0}], schema=f.schema), "0.900 not in"),
        ("text_divergences", "texts_are_as_likely_as_when_sampled", "text_likelihoods",
         lambda f: f.with_columns(pl.col("log_probability") - 0.01), "0.01 nats apart"),
        ("text_divergences", "texts_are_as_likely_as_when_sampled", "text_likelihoods",
         _set("generation_id", "another"), "never sampled"),
        ("text_divergences", "divergences_keep_their_inequalities", "text_divergences",
         _set("js_high", 0.0), "js lie outside"),
        ("text_divergences", "divergences_keep_their_inequalities", "text_divergences",
         lambda f: f.with_columns(pl.lit(1.0).alias("bound_for_any_score"),
             pl.lit(0.9).alias("total_variation_high"), pl.lit(0.5).alias("total_variation"),
             pl.lit(0.1).alias("total_variation_low")), "lies above"),
        ("text_divergences", "divergences_keep_their_inequalities", "text_divergences",
         lambda f: f.with_columns(pl.lit("certified").alias("text_verdict"),
             pl.lit(0.3).alias("bound_for_any_score"),
             *(pl.lit(0.4).alias(f"total_variation{end}") for end in ("", "_low", "_high"))),
         "does not follow"),
        ("text_fisher", "forms_of_texts_are_forms", "text_spectra",
         lambda f: f.with_columns(pl.col("singular_value") * 1.1), "trace"),
        ("text_fisher", "short_steps_are_predicted", "text_predictions",
         lambda f: f.with_columns(pl.col("kl_low", "kl", "kl_high") + 1e6), "not as predicted"),
        ("fluency", "fluency_is_measured", "fluency", lambda f: f.tail(-1), "texts were measured"),
        ("fluency", "fluency_is_measured", "fluency", _set("perplexity", 0.5), "below 1"),
        ("fluency", "fluency_is_measured", "fluency", _set("repetition", 1.5), "no share"),
        ("protocol_vectors", "protocol_vectors_are_what_they_are_called", "protocol_vectors",
         _set("norm", 77.0), "its row says"),
        ("protocol_vectors", "protocol_vectors_are_what_they_are_called", "protocol_vectors",
         lambda f: f.filter(pl.col("site") != "same-chat"), "missing"),
        ("protocol_measures", "measures_are_whole", "protocol_measures",
         _set("high", -9.0), "outside"),
        ("protocol_measures", "measures_are_whole", "protocol_measures",
         lambda f: f.filter(pl.col("setting") != "controlled"), "lacks controlled"),
        ("protocol_measures", "measures_are_whole", "protocol_measures",
         lambda f: f.with_columns(pl.lit(2.0).alias("by_itself")), "below its floor"),
        ("protocol_comparison", "every_conclusion_is_answered", "protocol_findings",
         lambda f: f.tail(-1), "has no finding"),
        ("protocol_comparison", "every_conclusion_is_answered", "protocol_findings",
         lambda f: pl.concat([f, f.head(1)]), "two findings"),
        ("protocol_comparison", "every_conclusion_is_answered", "protocol_comparison",
         lambda f: f.filter(pl.col("setting") != "controlled"), "without a number"),
        ("protocol_comparison", "every_conclusion_is_answered", "protocol_comparison",
         _set("low", 99.0), "outside"),
        ("logit_distances", "doses_are_followed", "dose_response", lambda f: f.tail(-1),
         "not measured on all"),
        ("logit_distances", "doses_are_followed", "dose_response", _set("kl", -0.5), "negative"),
        ("logit_distances", "doses_are_followed", "equivalence_radius", lambda f: f.tail(-1),
         "radii, expected"),
        ("logit_distances", "doses_are_followed", "equivalence_radius",
         _set("measured_radius", 1e9), "longer than any step"),
        ("svd_spectra", "bands_and_curves_hold", "spectrum_bands",
         _set("low", 1e9), "lower end"),
        ("svd_spectra", "bands_and_curves_hold", "spectrum_bands",
         lambda f: f.with_columns(pl.col("singular_value") * 1.1), "another spectrum"),
        ("svd_spectra", "bands_and_curves_hold", "spectrum_bands",
         lambda f: f.tail(-1), "have a band"),
        ("classifier_scores", "every_text_is_scored", "classifier_scores",
         lambda f: f.with_columns(score=pl.lit(0.5)), "the same score"),
        ("scorer_validation", "scorers_can_tell", "scorer_validation",
         _set("auroc_low", 0.5), "below the floor"),
        ("scorer_validation", "labels_count_for_their_pole", "scorer_validation",
         lambda f: f.with_columns(pl.col("auroc_high") * 0 + 0.3), "wrong way round"),
        ("equivalence_reports", "intervals_hold_their_estimates", "equivalence_reports",
         _set("efficacy", 99.0), "outside"),
        ("equivalence_reports", "intervals_hold_their_estimates", "equivalence_tests",
         _set("ci_high", -99.0), "outside"),
        ("equivalence_reports", "intervals_hold_their_estimates", "equivalence_tests",
         _set("p_difference", 2.0), "not a probability"),
        ("equivalence_reports", "intervals_hold_their_estimates", "family_tests",
         _set("share_high", -1.0), "shares of seeds"),
        ("equivalence_reports", "headlines_rest_on_families", "family_tests",
         _set("n_seeds", 99), "of 99 seeds"),
        ("equivalence_reports", "headlines_rest_on_families", "equivalence_tests",
         lambda f: f.filter(pl.col("comparison") == "efficacy"), "0 tests of"),
        ("equivalence_reports", "warehouse_equals_parquet", "generations",
         _set("text", "unloaded"), "differs"),
        ("equivalence_reports", "floors_are_in_the_report", "equivalence_reports",
         lambda f: f.with_columns(pl.lit(3, pl.Int32).alias("layer")), "rows for blocks"),
    ],
)  # fmt: skip
def test_changed_rows_are_found(
    finished: World, stage: str, name: str, table: str, change: Change, words: str
) -> None:
    rewrite(finished, table, change)
    finding = look(finished, stage, name)
    assert not finding.passed
    assert words in finding.words


@pytest.mark.parametrize(
    ("stage", "name", "table", "extra", "change", "words"),
    [
        ("steering_calibration", "choice_and_verdict_are_apart", "calibration_prompts", {},
         lambda f: f.with_columns(prompt_id=pl.lit(f.item(0, "prompt_id"))), "in both splits"),
        ("steering_calibration", "choice_and_verdict_are_apart", "calibration_prompts", {},
         lambda f: f.head(-1), "does not name the prompts"),
        ("steering_calibration", "doses_have_the_target_divergence", "steering_calibration", {},
         lambda f: f.with_columns(pl.col("next_token_kl_p95") * 1.1), "off by at most"),
        ("svd_spectra", "bands_and_curves_hold", "effective_dimension", {"kind": "covariance"},
         _set("null_fraction", -1.0), "below the floor"),
        ("svd_spectra", "bands_and_curves_hold", "effective_dimension", {"kind": "covariance"},
         lambda f: f.filter(pl.col("n_prompts") < f["n_prompts"].max()), "curves end at"),
        ("behavioral_spectra", "form_curves_hold", "effective_dimension", {"kind": "fisher"},
         lambda f: f.reverse(), "do not ascend"),
        ("vector_families", "null_spaces_are_compared", "null_space_angles",
         {"compared": "kinds"}, _set("overlap", 1.5), "overlap goes"),
        ("vector_families", "null_spaces_are_compared", "null_space_angles",
         {"compared": "kinds"}, _set("median_angle", -1.0), "median"),
        ("vector_families", "null_spaces_are_compared", "null_space_angles",
         {"compared": "kinds"}, lambda f: f.tail(-1), "comparisons, expected"),
    ],
)  # fmt: skip
def test_changed_rows_of_one_kind_are_found(
    finished: World,
    stage: str,
    name: str,
    table: str,
    extra: dict[str, str],
    change: Change,
    words: str,
) -> None:
    rewrite(finished, table, change, **extra)
    finding = look(finished, stage, name)
    assert not finding.passed
    assert words in finding.words


def test_a_floor_left_out_is_found(finished: World) -> None:
    rewrite(finished, "null_spaces", _set("sampling_floor", 0.25), kind="covariance")
    assert not look(finished, "svd_spectra", "floors_are_shown").passed


@pytest.mark.parametrize(("value", "passed"), [(0.0, True), (3.0, False)])
def test_an_estimator_that_finds_no_signal_in_texts_claims_no_null_space(
    finished: World, value: float, passed: bool
) -> None:
    noise_aware = pl.col("estimator") == "marchenko_pastur"
    changes = {"null_fraction": 0.0, "value": value, "n_samples": pl.lit(8, pl.Int32)}
    new = {name: pl.when(noise_aware).then(x).otherwise(name) for name, x in changes.items()}
    rewrite(finished, "null_spaces", lambda f: f.with_columns(**new), kind="text")
    assert look(finished, "text_fisher", "forms_of_texts_are_forms").passed == passed
