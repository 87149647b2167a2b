"""The sensor that runs all that is missing, one partition at a time, once it is switched on."""

from __future__ import annotations

import dagster as dg
import pytest

from steer_assets.automation import catch_up, model_partitions
from steer_assets.automation.sensors import SENSORS
from steer_assets.catalog import catalog
from steer_assets.pipeline import partitions
from steer_assets.storage.layout import Layout
from tests.pipeline.test_freshness import MODEL, TRAITS, layout, whole

__all__ = ["layout", "whole"]


@pytest.fixture
def evaluated(layout: Layout):
    """The sensor's next tick on an instance that knows the model, with the cursor kept."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME, [MODEL])
        state = {"cursor": ""}

        def tick() -> tuple[str, str] | None:
            context = dg.build_sensor_context(instance, cursor=state["cursor"] or None)
            found = catch_up.everything_missing(context)
            if isinstance(found, dg.SkipReason):
                return None
            state["cursor"] = found.cursor
            (request,) = found.run_requests
            assert request.tags["steer/by"] == catch_up.NAME
            return str(request.job_name), str(request.partition_key)

        yield instance, tick


def test_it_asks_for_each_missing_partition_once_inputs_first(evaluated) -> None:
    _, tick = evaluated
    left = [trait for trait in catalog.trait_keys() if trait not in TRAITS]
    asked = []
    while (found := tick()) is not None:
        asked.append(found)
    assert asked == [
        *(("trait_job", trait) for trait in left),
        *(("pair_job", f"{MODEL}|{trait}") for trait in left),
    ]


def test_it_waits_for_the_run_that_it_asked_for(evaluated) -> None:
    instance, tick = evaluated
    tags = {"steer/by": catch_up.NAME}
    run = dg.DagsterRun(job_name="trait_job", tags=tags, status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    assert tick() is None
    instance.report_run_failed(run)
    assert tick() is not None


def test_models_of_the_catalog_have_partitions_before_automation_looks(layout: Layout) -> None:
    assert catch_up.everything_missing in SENSORS
    with dg.DagsterInstance.ephemeral() as instance:
        assert model_partitions.enter(instance) == []
        assert instance.get_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME) == [MODEL]
