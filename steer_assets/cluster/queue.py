"""Dagster's queue with a tag on each run for its size, which limits are set by."""

from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.dagster_run import DagsterRun

from steer_assets.cluster.sized_runs import tags_of


class QueueBySize(QueuedRunCoordinator):
    """Queues runs with `steer/size` and the resources that launchers ask for.

    With limits by size a run waits in the queue, where waiting has no time limit, and not at the
    launcher, where it counts as starting.
    """

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Tag the run and queue it; a retried run, which inherits tags, is sized again."""
        run = context.dagster_run
        self._instance.add_run_tags(run.run_id, tags_of(run))
        return super().submit_run(context)
