"""Dagster runs whose process died without an event: marked failed, and their pool slots freed.

The code server reports only the death of run processes that it started itself. It does not cover a
process that died together with the server, or one started from a terminal. Each run is therefore
tagged with the process that executes it, and other processes check the tags.
"""

import dagster as dg

from steer_assets.processes import is_alive, own_tag

PROCESS_TAG = "steer/process"
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
