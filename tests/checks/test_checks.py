"""Every check passes on a complete run, and those that stop later stages are named."""

from __future__ import annotations

import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.checks.harness import LOOKS
from steer_assets.definitions import defs
from steer_assets.storage.files.parquet import read_part, write_part
from tests.checks.looking import look
from tests.tiny import SCORER, World

pytestmark = pytest.mark.slow
#: A random model's scorer may or may not reach the floor; that is a fact, not a fault.
_MAY_FAIL = {"scorers_can_tell"}


def test_all_pass_on_a_whole_run(finished: World) -> None:
    for stage, name in LOOKS:
        finding = look(finished, stage, name)
        assert finding.words, name
        assert finding.passed or name in _MAY_FAIL, (stage, name, finding.words)


def test_every_stage_has_a_check_of_its_own() -> None:
    own = {stage for stage, name in LOOKS if name != "computed_again_the_same"}
    assert own == set(STAGES)


def test_a_label_that_the_model_does_not_have_is_found(finished: World) -> None:
    path = catalog.user_catalog() / "scorers" / f"{SCORER}.yaml"
    path.write_text(path.read_text().replace('"against"', '"contra"'))
    finding = look(finished, "scorer_validation", "labels_count_for_their_pole")
    assert not finding.passed
    assert "against" in finding.words


def test_a_report_left_out_of_the_summary_is_found(finished: World) -> None:
    path = finished.layout.part("identifiability_summary", {})
    whole = read_part(path)
    write_part(path, whole.clear())
    assert (
        "not in it" in look(finished, "identifiability_summary", "summary_has_every_report").words
    )
    write_part(path, whole.with_columns(pl.lit("gone").alias("model")).vstack(whole))
    finding = look(finished, "identifiability_summary", "summary_has_every_report")
    assert not finding.passed
    assert "gone|formality" in finding.words
    finding = look(finished, "changes_since_last", "history_ends_with_the_summary")
    assert "not in the history" in finding.words


#: Facts that a verdict states itself, or that nothing later is computed from.
MAY_BE_FALSE = {
    "scorers_can_tell", "labels_count_for_their_pole", "judges_can_tell",  # "untestable" then
    "bands_and_curves_hold", "form_curves_hold", "null_spaces_are_compared", "doses_are_followed",
    "floors_are_in_the_report", "warehouse_equals_parquet", "summary_has_every_report",
    "short_steps_are_predicted", "decisions_follow_their_numbers",
    "history_ends_with_the_summary", "computed_again_the_same", "prompts_say_different_things",
    "doses_have_the_target_divergence", "sections_of_thinking_close",
}  # fmt: skip


def test_what_later_stages_would_lie_about_stops_them() -> None:
    blocking = {
        spec.name for checks in defs.asset_checks or () for spec in checks.check_specs
        if spec.blocking
    }  # fmt: skip
    assert blocking == {name for _, name in LOOKS} - MAY_BE_FALSE
