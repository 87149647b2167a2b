"""Runs requested by the schedules, on results that were recorded but never computed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from steer_assets.automation import refresh, schedules
from steer_assets.catalog import catalog
from steer_assets.pipeline import partitions
from steer_assets.pipeline.dagster_asset import FORCE_TAG
from steer_assets.storage.layout import Layout
from tests.pipeline.test_freshness import MODEL, STUDY, change, keys_of, layout, whole

pytestmark = pytest.mark.faults
__all__ = ["layout", "whole"]
PAIR = ("model", "trait")
PAIR_STAGES = [stage.name for stage in refresh.stages_of(PAIR)]
SATURDAY = datetime(2026, 11, 21, 8, tzinfo=UTC)


def at(when: datetime) -> dg.ScheduleEvaluationContext:
    return dg.build_schedule_context(scheduled_execution_time=when)


def test_where_all_is_fresh_the_night_asks_for_nothing(layout: Layout) -> None:
    nightly = [s for s in schedules.SCHEDULES if s.name.startswith("nightly_refresh")]
    assert len(nightly) == 4
    for schedule in nightly:
        found = schedule.evaluate_tick(at(SATURDAY))
        assert not found.run_requests
        assert "up to date" in str(found.skip_message)


def test_the_night_asks_for_what_is_stale_with_what_follows_from_it(layout: Layout) -> None:
    path = catalog.user_catalog() / "traits" / "mine.yaml"
    change(path, "the printer is broken", "the lift is broken")
    due = {
        dimensions: [(d.key, d.study, d.stages) for d in refresh.due(layout, dimensions)]
        for dimensions in (("trait",), ("model",), PAIR)
    }
    assert due == {
        ("trait",): [({"trait": "mine"}, STUDY, ["prompt_sets"])],
        ("model",): [],
        PAIR: [({"model": MODEL, "trait": "mine"}, STUDY, PAIR_STAGES)],
    }


def test_each_week_another_partition_is_computed_again_from_the_start(layout: Layout) -> None:
    asked = [schedules._weekly(at(SATURDAY + timedelta(weeks=n))) for n in range(2)]
    assert {str(request.partition_key) for request in asked} == {
        str(partitions.dagster_key(key)) for key in keys_of("generations")
    }
    for request in asked:
        assert request.tags[FORCE_TAG] == "true"
        assert [key.to_user_string() for key in request.asset_selection] == PAIR_STAGES
        assert request.run_config["resources"]["study"]["config"]["name"] == STUDY
