"""dagster-ray's launcher, under which a run waits while the head of the cluster is away.

One run is one Ray job and loads its model once. Resources come from the tag that the queue writes.
"""

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.dagster_run import DagsterRun
from dagster_ray import RayRunLauncher
from dagster_ray.core.run_launcher import get_job_submission_id_from_run_id
from requests.exceptions import ConnectionError as NotConnectedError
from requests.exceptions import Timeout

_AWAY = (ConnectionError, NotConnectedError, Timeout)
_UNKNOWN_JOB = "does not exist"


class RayLauncher(RayRunLauncher):  # type: ignore[misc]
    """Launches a run as a Ray job."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Submit the run.

        Raises:
            DagsterUserCodeUnreachableError: the head does not answer. The queue takes the run back
                for this error, while any other fails the run.
        """
        try:
            super().launch_run(context)
        except _AWAY as error:
            raise DagsterUserCodeUnreachableError(f"Ray does not answer: {error}") from error
        except RuntimeError:
            # The answer to an earlier attempt was lost on its way, and the job exists.
            if not self._is_known(context.dagster_run):
                raise

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Health of the run's job; what cannot be asked now counts as running.

        Dagster fails a run whose health is unknown.
        """
        try:
            found: CheckRunHealthResult = super().check_run_worker_health(run)
        except _AWAY as error:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"Ray does not answer: {error}")
        if found.status == WorkerStatus.UNKNOWN and _UNKNOWN_JOB not in (found.msg or ""):
            return CheckRunHealthResult(WorkerStatus.RUNNING, found.msg)
        return found

    def _is_known(self, run: DagsterRun) -> bool:
        try:
            self.client.get_job_status(get_job_submission_id_from_run_id(run.run_id))
        except RuntimeError:
            return False
        return True
