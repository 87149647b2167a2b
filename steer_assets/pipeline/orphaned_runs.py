"""Dagster runs whose process died without an event: marked failed, and their pool slots freed.

The code server reports only the death of run processes that it started itself. It does not cover a
process that died together with the server, or one started from a terminal. Each run is therefore
tagged with the process that executes it, and other processes check the tags.
"""

import time

import dagster as dg
from dagster._core.launcher.base import WorkerStatus

from steer_assets.processes import is_alive, own_tag

PROCESS_TAG = "steer/process"
#: A launcher needs a moment between announcing a run and having its job.
_LAUNCHING_S = 60.0
_LOST = (WorkerStatus.FAILED, WorkerStatus.NOT_FOUND, WorkerStatus.UNKNOWN)
_signed: set[tuple[str, str]] = set()


def signature(run_id: str) -> str:
    """The process and run id; the run id is needed because a retried run inherits tags."""
    return f"{run_id} {own_tag()}"


def sign(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Tag the run, once, with the process that executes it."""
    mark = (run.run_id, own_tag())
    if mark not in _signed and run.tags.get(PROCESS_TAG) != signature(run.run_id):
        instance.add_run_tags(run.run_id, {PROCESS_TAG: signature(run.run_id)})
    _signed.add(mark)


def close_orphaned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs in progress as failed if their process is gone; return their ids.

    A run without a tag is left to Dagster's run monitoring, and so is one of another host until its
    record is a week old: whether its process runs can be told on that host only.
    """
    working = [
        dg.DagsterRunStatus.NOT_STARTED,  # killed between its record and its first event
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    closed = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=working)):
        run = record.dagster_run
        run_id, _, process = run.tags.get(PROCESS_TAG, "").partition(" ")
        if run_id != run.run_id or is_alive(process, written=record.update_timestamp.timestamp()):
            continue
        instance.report_run_failed(
            run, "The process of this run died (killed, out of memory, or the machine went down)."
        )
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        closed.append(run.run_id)
    return closed


def close_lost_starts(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose job ended, or was lost, before they began; return their ids.

    Dagster's run monitoring asks for the health of runs in progress only. A run that has not begun
    it fails after a timeout, which on a cluster is long, because a job may wait for a host.
    """
    launcher = instance.run_launcher
    closed: list[str] = []
    if not launcher.supports_check_run_worker_health:
        return closed
    starting = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])
    for record in instance.get_run_records(starting):
        run = record.dagster_run
        if time.time() - record.update_timestamp.timestamp() < _LAUNCHING_S:
            continue
        health = launcher.check_run_worker_health(run)
        if health.status not in _LOST:
            continue
        now = instance.get_run_by_id(run.run_id)  # it may have begun since it was listed
        if now and now.status == dg.DagsterRunStatus.STARTING:
            instance.report_run_failed(run, f"The job of this run ended before it: {health.msg}")
            closed.append(run.run_id)
    return closed
