"""A run waits while Ray is away; dagster-ray itself is a stub here, and real in `make cluster`."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from requests.exceptions import ConnectionError as NotConnectedError
from requests.exceptions import ReadTimeout


class _Launcher:
    """Does what it is told to; `known` are the jobs that Ray has."""

    def __init__(self) -> None:
        self.launches: Any = None
        self.health: Any = None
        self.known: set[str] = set()
        self.client = self

    def launch_run(self, context: Any) -> None:
        if isinstance(self.launches, Exception):
            raise self.launches

    def check_run_worker_health(self, run: Any) -> CheckRunHealthResult:
        if isinstance(self.health, Exception):
            raise self.health
        return self.health

    def get_job_status(self, job: str) -> str:
        if job not in self.known:
            raise RuntimeError(f"Job {job} does not exist")
        return "PENDING"


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    top, core, inner = (
        types.ModuleType(f"dagster_ray{end}") for end in ("", ".core", ".core.run_launcher")
    )
    top.RayRunLauncher = _Launcher  # type: ignore[attr-defined]
    inner.get_job_submission_id_from_run_id = lambda run_id: f"job-{run_id}"  # type: ignore[attr-defined]
    for module in (top, core, inner):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delitem(sys.modules, "steer_assets.cluster.ray_launcher", raising=False)
    yield importlib.import_module("steer_assets.cluster.ray_launcher").RayLauncher()
    sys.modules.pop("steer_assets.cluster.ray_launcher", None)


CONTEXT = types.SimpleNamespace(dagster_run=types.SimpleNamespace(run_id="7"))
AWAY = [ConnectionError("refused"), NotConnectedError("reset"), ReadTimeout("slow")]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_a_run_goes_back_into_the_queue_while_the_head_is_away(launcher, error) -> None:
    launcher.launches = error
    with pytest.raises(DagsterUserCodeUnreachableError, match="Ray does not answer"):
        launcher.launch_run(CONTEXT)


def test_a_refused_job_fails_the_run_unless_ray_has_it(launcher) -> None:
    launcher.launches = RuntimeError("Job with submission_id job-7 already exists")
    with pytest.raises(RuntimeError, match="already exists"):
        launcher.launch_run(CONTEXT)
    launcher.known = {"job-7"}
    launcher.launch_run(CONTEXT)


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_a_run_that_cannot_be_asked_counts_as_running(launcher, error) -> None:
    launcher.health = error
    found = launcher.check_run_worker_health(CONTEXT.dagster_run)
    assert found.status == WorkerStatus.RUNNING


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (WorkerStatus.UNKNOWN, "HTTP 503", WorkerStatus.RUNNING),
        (WorkerStatus.UNKNOWN, "Job job-7 does not exist", WorkerStatus.UNKNOWN),
        (WorkerStatus.FAILED, "exit code 137", WorkerStatus.FAILED),
        (WorkerStatus.SUCCESS, None, WorkerStatus.SUCCESS),
    ],
)
def test_what_ray_answers_about_a_job_is_passed_on(launcher, status, said, expected) -> None:
    launcher.health = CheckRunHealthResult(status, said)
    assert launcher.check_run_worker_health(CONTEXT.dagster_run).status == expected
