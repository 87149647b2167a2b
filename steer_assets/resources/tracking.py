"""MLflow: a parent run per Dagster run, a child per asset and partition, always closed.

Tracking is optional: if MLflow is unavailable, the run continues and the log says so once. MLflow
runs whose process died are closed as KILLED by the next process on its host that opens the store.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import ConfigurableResource, InitResourceContext
from pydantic import PrivateAttr

from steer_assets.paths import data_folder
from steer_assets.processes import is_alive, own_tag
from steer_assets.resources.tracking_numbers import steps_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "steer-assets"
_DAGSTER_RUN = "dagster.run_id"
_PROCESS = "steer.process"
_PARENT = "mlflow.parentRunId"
#: Tags that name a parent run; all runs of one Dagster run have the same.
_OF_PARTITION = ("trait", "model", "study")


def close_orphans(client: MlflowClient, experiment_id: str) -> int:
    """End runs that are RUNNING although their process has ended; return their number.

    A run of another host counts as running until it is a week old.
    """
    closed = 0
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'", max_results=5000)
    for run in running:
        began = run.info.start_time / 1000
        if not is_alive(run.data.tags.get(_PROCESS, ""), written=began):
            client.set_terminated(run.info.run_id, "KILLED")
            closed += 1
    return closed


def _address(uri: str = "") -> str:
    configured = uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    return configured or f"sqlite:///{data_folder() / 'mlflow.db'}"


def _has_open_runs(database: Path) -> bool:
    """Queries SQLite directly: importing MLflow takes seconds, and runs are rarely open."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1)) as store:
            open_runs = store.execute("SELECT 1 FROM runs WHERE status = 'RUNNING' LIMIT 1")
            return open_runs.fetchone() is not None
    except sqlite3.Error:
        return False


def known_runs(database: Path) -> set[str] | None:
    """Ids of the local store's runs that are not deleted; None if the store cannot be read."""
    if _address() != f"sqlite:///{database}" or not database.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as store:
            rows = store.execute("SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active'")
            return {str(run_id) for (run_id,) in rows}
    except sqlite3.Error:
        return None


def sweep_orphans(log: logging.Logger) -> int:
    """Close runs left open by dead processes in the local store; return their number."""
    address = _address()
    database = Path(address.removeprefix("sqlite:///"))
    if not address.startswith("sqlite:///") or not _has_open_runs(database):
        return 0
    try:
        import mlflow

        client = mlflow.MlflowClient(tracking_uri=address)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        return close_orphans(client, experiment.experiment_id) if experiment else 0
    except Exception as error:  # a tracking failure must not fail the run
        log.warning(f"MLflow runs of dead processes could not be closed: {error}")
        return 0


def forget_model(model: str, log: logging.Logger) -> None:
    """Delete the runs of a model from the local store, with their artifacts."""
    address = _address()
    if not address.startswith("sqlite:///"):
        return
    if not Path(address.removeprefix("sqlite:///")).exists():
        return
    try:
        import mlflow

        client = mlflow.MlflowClient(tracking_uri=address)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return
        chosen = f"tags.model = '{model}'"  # safe in a filter: a slug contains no quotes
        for run in client.search_runs([experiment.experiment_id], chosen, max_results=50_000):
            client.delete_run(run.info.run_id)
            shutil.rmtree(data_folder() / "mlruns" / run.info.run_id, ignore_errors=True)
    except Exception as error:
        log.warning(f"MLflow runs of {model} could not be deleted: {error}")


class ChildRun:
    """One asset partition in MLflow; does nothing when tracking is off or fails."""

    def __init__(
        self,
        client: MlflowClient | None,
        run_id: str,
        log: logging.Logger,
        experiment_id: str = "",
        parent: str = "",
    ) -> None:
        self._client, self.run_id, self._log = client, run_id, log
        self.experiment_id, self._parent = experiment_id, parent

    def record(
        self,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        artifacts: list[Path],
        by_block: Mapping[str, Mapping[int, float]] | None = None,
    ) -> None:
        """Log parameters, metrics and files; `by_block` has blocks as steps, in the parent too."""
        if self._client is None:
            return
        try:
            from mlflow.entities import Param

            steps, single = steps_of(by_block or {}), {n: {0: float(x)} for n, x in metrics.items()}
            named = [Param(name, str(value)[:500]) for name, value in params.items()]
            # One transaction: one for each number takes a tenth of a second per stage.
            self._client.log_batch(self.run_id, metrics=[*steps_of(single), *steps], params=named)
            if steps and self._parent:
                self._client.log_batch(self._parent, metrics=steps)
            for path in artifacts:
                self._client.log_artifact(self.run_id, str(path))
        except Exception as error:  # a tracking failure must not affect the result
            self._log.warning(f"MLflow could not record this run: {error}")

    def end(self, status: str) -> None:
        """Close the run."""
        if self._client is None:
            return
        try:
            self._client.set_terminated(self.run_id, status)
        except Exception as error:
            self._log.warning(f"MLflow could not close this run: {error}")


class Tracking(ConfigurableResource):
    """MLflow client for one Dagster run.

    An empty `uri` means `MLFLOW_TRACKING_URI`, or `mlflow.db` in the data folder; `off` turns
    tracking off.
    """

    uri: str = ""

    _client: Any = PrivateAttr(default=None)
    _experiment_id: str = PrivateAttr(default="")
    _parent: str = PrivateAttr(default="")
    _failed: bool = PrivateAttr(default=False)
    _gave_up: bool = PrivateAttr(default=False)

    def _open(self, dagster_run_id: str, tags: Mapping[str, str], log: logging.Logger) -> None:
        if self._parent or self._gave_up or _address(self.uri) == "off":
            return
        try:
            import mlflow

            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            # The default retries would block the run for minutes if a server does not respond.
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
            address = _address(self.uri)
            if address.startswith("sqlite:///"):
                Path(address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            for chatty in ("alembic", "mlflow"):
                logging.getLogger(chatty).setLevel(logging.ERROR)
            client = mlflow.MlflowClient(tracking_uri=address)
            experiment = client.get_experiment_by_name(EXPERIMENT)
            if experiment is not None:
                self._experiment_id = experiment.experiment_id
            else:
                root = (data_folder() / "mlruns").as_uri()
                self._experiment_id = client.create_experiment(EXPERIMENT, artifact_location=root)
            close_orphans(client, self._experiment_id)
            about = {name: tags[name] for name in _OF_PARTITION if name in tags}
            name = " ".join([*about.values(), dagster_run_id[:8]])
            about |= {_DAGSTER_RUN: dagster_run_id, _PROCESS: own_tag()}
            run = client.create_run(self._experiment_id, tags=about, run_name=name)
            self._client, self._parent = client, run.info.run_id
        except Exception as error:  # an unreachable or locked store must not fail the run
            self._gave_up = True
            log.warning(f"MLflow is not available, this run is not tracked: {error}")

    @contextmanager
    def child(
        self, dagster_run_id: str, name: str, tags: Mapping[str, str], log: logging.Logger
    ) -> Iterator[ChildRun]:
        """A child run, closed as FINISHED, or FAILED if the block raises."""
        self._open(dagster_run_id, tags, log)
        child = ChildRun(None, "", log)
        if self._client is not None:
            try:
                all_tags = {**tags, _PARENT: self._parent, _PROCESS: own_tag()}
                run = self._client.create_run(self._experiment_id, tags=all_tags, run_name=name)
                child = ChildRun(
                    self._client, run.info.run_id, log, self._experiment_id, self._parent
                )
            except Exception as error:
                log.warning(f"MLflow could not open a run: {error}")
        try:
            yield child
        except BaseException:
            self._failed = True
            child.end("FAILED")
            raise
        child.end("FINISHED")

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[Tracking]:
        """Close the parent run when the Dagster run ends, also after an error."""
        try:
            yield self
        except BaseException:
            self._failed = True
            raise
        finally:
            if self._client is not None and self._parent:
                log = context.log or logging.getLogger(__name__)
                ChildRun(self._client, self._parent, log).end(
                    "FAILED" if self._failed else "FINISHED"
                )
                self._client, self._parent = None, ""
