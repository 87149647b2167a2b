"""Dagster runs whose process died without a word: marked failed, their pool slots given back.

The code server reports a run process that it started itself; nobody reports one that died together
with its server, or one that a terminal started. Each run therefore carries the process that works
on it in a tag, and whoever comes next looks.
"""

import dagster as dg

from steer_assets.processes import is_alive, own_tag

PROCESS_TAG = "steer/process"
_signed: set[tuple[str, str]] = set()


def signature(run_id: str) -> str:
    """Names the run too: a retried run inherits the tags of the one that died."""
    return f"{run_id} {own_tag()}"


def sign(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Write into the run which process works on it, once."""
    mark = (run.run_id, own_tag())
    if mark not in _signed and run.tags.get(PROCESS_TAG) != signature(run.run_id):
        instance.add_run_tags(run.run_id, {PROCESS_TAG: signature(run.run_id)})
    _signed.add(mark)


def close_orphaned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail runs in progress whose process is gone; return their ids.

    A run that no process has signed yet is left to Dagster's run monitoring.
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
