"""A run whose job is gone before it began is failed, so that Dagster makes it again."""

from __future__ import annotations

import time

import dagster as dg
import pytest
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

from steer_assets.pipeline import orphaned_runs
from steer_assets.pipeline.orphaned_runs import close_lost_starts

STARTING = dg.DagsterRunStatus.STARTING


@pytest.mark.parametrize(
    ("health", "age", "closed"),
    [
        (WorkerStatus.FAILED, 61, True),
        (WorkerStatus.UNKNOWN, 61, True),
        (WorkerStatus.RUNNING, 86_400, False),  # it waits for a host
        (WorkerStatus.SUCCESS, 61, False),
        (WorkerStatus.UNKNOWN, 30, False),  # its job is being made
    ],
)
def test_a_run_is_failed_only_when_its_job_is_gone(
    monkeypatch: pytest.MonkeyPatch, health: WorkerStatus, age: float, closed: bool
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        launcher = type(instance.run_launcher)
        monkeypatch.setattr(launcher, "supports_check_run_worker_health", True)
        monkeypatch.setattr(
            launcher, "check_run_worker_health", lambda *_: CheckRunHealthResult(health, "gone")
        )
        job = dg.job(name="waiting")(lambda: None)
        run = instance.create_run_for_job(job)
        begun = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", "waiting"), run.run_id)
        later = time.time() + age
        monkeypatch.setattr(orphaned_runs.time, "time", lambda: later)
        assert close_lost_starts(instance) == ([run.run_id] if closed else [])
        left = instance.get_run_by_id(run.run_id)
        assert left is not None
        assert left.status == (dg.DagsterRunStatus.FAILURE if closed else STARTING)
        kept = instance.get_run_by_id(begun.run_id)
        assert kept is not None
        assert kept.status == dg.DagsterRunStatus.STARTED


def test_a_launcher_that_cannot_be_asked_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(dg.job(name="waiting")(lambda: None), status=STARTING)
        monkeypatch.setattr(orphaned_runs, "_LAUNCHING_S", -1.0)
        assert close_lost_starts(instance) == []
        assert instance.get_run_by_id(run.run_id).status == STARTING  # type: ignore[union-attr]
