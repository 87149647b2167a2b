"""Statements of our sensors do not grow with models, pairs and runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

from steer_assets.automation import catch_up, sensors
from steer_assets.pipeline import orphaned_runs, partitions
from steer_assets.processes import own_tag
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import record_part
from tests.databases import empty_databases
from tests.statements import counted

STARTED, STARTING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING
SENSORS = [sensors.new_models, sensors.lost_starts, catch_up.everything_missing]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An instance on SQLite, whose launcher can say that every job is there."""
    home = Path(shutil.copytree(empty_databases() / "home", tmp_path / "home"))
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "off")
    monkeypatch.setattr(orphaned_runs, "_LAUNCHING_S", -1.0)
    with dg.DagsterInstance.from_config(str(home)) as found:
        launcher = type(found.run_launcher)
        healthy = CheckRunHealthResult(WorkerStatus.RUNNING)
        monkeypatch.setattr(launcher, "supports_check_run_worker_health", True)
        monkeypatch.setattr(launcher, "check_run_worker_health", lambda *_: healthy)
        yield found


def grow(instance: dg.DagsterInstance, layout: Layout, models: list[str]) -> None:
    """Models with every record of every pair, and for each a run begun and one about to begin."""
    instance.add_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME, models)
    for dimensions, key in catch_up._partitions(models):
        for stage in catch_up.refresh.stages_of(dimensions):
            path = layout.root / record_part(layout, stage.name, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for _ in models:
        for status in (STARTED, STARTING):
            run = dg.DagsterRun(job_name="pair_job", status=status)
            mark = f"{run.run_id} {own_tag()}"
            instance.add_run(run.with_tags({orphaned_runs.PROCESS_TAG: mark}))


def statements(instance: dg.DagsterInstance, sensor: dg.SensorDefinition) -> tuple[int, str]:
    """Statements of one tick, and why it asked for nothing."""
    with counted() as cost:
        found = sensor.evaluate_tick(dg.build_sensor_context(instance))
    assert not found.run_requests
    return cost.statements, str(found.skip_message)


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_statements_of_a_tick_do_not_grow(instance, sensor: dg.SensorDefinition) -> None:
    layout = Layout(Path(instance.root_directory).parent / "data")
    grow(instance, layout, ["a"])
    few = statements(instance, sensor)
    grow(instance, layout, [f"m{n}" for n in range(12)])
    assert statements(instance, sensor) == few
    assert 0 < few[0] < 30
