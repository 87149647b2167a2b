"""Materialisation from a terminal: the jobs of the UI, executed in this process.

Only missing or outdated stages are run. A partition whose stages are all up to date starts no run.
"""

import logging
import os
import re
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from dagster_shared.error import SerializableErrorInfo
from filelock import FileLock
from sqlalchemy.exc import OperationalError

from steer_assets.automation import model_partitions, refresh
from steer_assets.automation.jobs import JOB_NAMES
from steer_assets.catalog.studies import Study
from steer_assets.paths import REPOSITORY
from steer_assets.pipeline import freshness, partitions, preflight
from steer_assets.pipeline.dagster_asset import FORCE_TAG
from steer_assets.pipeline.depot import carrying
from steer_assets.pipeline.orphaned_runs import PROCESS_TAG, close_orphaned_runs, signature
from steer_assets.resources.progress import StageEvent, announce
from steer_assets.resources.tracking import sweep_orphans
from steer_assets.storage.database import syncing, warehouse
from steer_assets.storage.layout import Layout, PartitionKey, partition_name

#: Stages whose results decide whether a model supports a study.
_INPUTS = ("model_snapshot", "prompt_sets")
_Partition = tuple[tuple[str, ...], PartitionKey]
_CLASS_NAME = re.compile(
    r"^(steer_assets\.[\w.]+|ValueError|RuntimeError|OSError|FileNotFoundError): "
)


class RecordsLockedError(RuntimeError):
    """Dagster's storage of runs and events is locked."""


class MaterialisationError(RuntimeError):
    """A stage failed; the message names the stage, the partition and the cause."""


@dataclass(slots=True)
class Outcome:
    """Stages that were made and stages that were up to date, as (stage, partition)."""

    made: list[tuple[str, str]] = field(default_factory=list)
    fresh: list[tuple[str, str]] = field(default_factory=list)
    synced: syncing.SyncResult | None = None


@contextmanager
def instance() -> Iterator[dg.DagsterInstance]:
    """The instance of `DAGSTER_HOME`, by default that of the repository.

    Raises:
        RecordsLockedError: another process locks its SQLite files for longer than the timeout.
        ValueError: `DAGSTER_HOME` is not an absolute path.
    """
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(REPOSITORY / "dagster_home")))
    if not home.is_absolute():
        raise ValueError(f"DAGSTER_HOME is {home}: an absolute path is expected")
    home.mkdir(parents=True, exist_ok=True)
    try:
        # Two processes that create the SQLite files at the same time both write a schema version,
        # after which Dagster can no longer open them.
        with FileLock(home / ".opening.lock"):
            opened = dg.DagsterInstance.get()
        with opened as found:
            yield found
    except OperationalError as error:
        raise RecordsLockedError(
            f"the record of runs in {os.environ['DAGSTER_HOME']} cannot be used "
            f"({error.orig}); what is stored is whole, end the process that holds it and run again"
        ) from error


def _why(result: dg.ExecuteInProcessResult) -> str:
    for found in result.get_asset_check_evaluations():
        if not found.passed and found.severity == dg.AssetCheckSeverity.ERROR:
            asset = found.asset_key.to_user_string()
            return f"check {found.check_name} of {asset} failed: {found.description}"
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            said = data.user_failure_data.description if data.user_failure_data else None
            return f"{event.step_key} failed: {said or _sentence(data.error)}"
    return "the run failed before any stage began"


def _sentence(error: SerializableErrorInfo | None) -> str:
    """The stage's own exception, without Dagster's wrapper and without its causes."""
    while error is not None and error.cause and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    if error is None:
        return "unknown error"
    # Dagster prefixes the message with the class name. That of our own classes, and of those that
    # we raise with a sentence, adds nothing.
    return _CLASS_NAME.sub("", error.message.strip())


def run_job(
    found: dg.DagsterInstance,
    dimensions: tuple[str, ...],
    key: PartitionKey,
    study: Study,
    selection: list[str],
    force: bool,
) -> list[str]:
    """Run the chosen stages; return the names of those that were made again."""
    from steer_assets.automation.code_location import defs

    run_id = str(uuid.uuid4())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = defs.resolve_job_def(JOB_NAMES[dimensions]).execute_in_process(
            instance=found,
            partition_key=partitions.dagster_key(key),
            asset_selection=[dg.AssetKey(name) for name in selection],
            run_config={
                "resources": {"study": {"config": {"name": study.study}}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            run_id=run_id,
            tags={PROCESS_TAG: signature(run_id), **({FORCE_TAG: "true"} if force else {})},
            raise_on_error=False,
        )
    if not result.success:
        raise MaterialisationError(f"{partition_name(key)}: {_why(result)}")
    made = []
    for event in result.get_asset_materialization_events():
        reused = event.materialization.metadata.get("reused")
        if reused is None or not reused.value:
            assert event.asset_key is not None
            made.append(event.asset_key.to_user_string())
    return made


def _bring(
    found: dg.DagsterInstance,
    layout: Layout,
    dimensions: tuple[str, ...],
    key: PartitionKey,
    study: Study,
    force: bool,
    outcome: Outcome,
    which: tuple[bool, ...] = (True, False),
) -> None:
    """Bring one partition up to date and add the result to `outcome`.

    which: True for `_INPUTS`, False for all other stages.
    """
    selection = refresh.selection(layout, dimensions, key, study, force=force)
    asked = [name for name in selection if (name in _INPUTS) in which]
    for name in asked:
        announce(StageEvent(name, partition_name(key), "due"))
    made = run_job(found, dimensions, key, study, asked, force) if asked else []
    for stage in refresh.stages_of(dimensions):
        if (stage.name in _INPUTS) in which:
            target = outcome.made if stage.name in made else outcome.fresh
            target.append((stage.name, partition_name(key)))


def _require_possible(layout: Layout, pairs: list[_Partition], study: Study, force: bool) -> None:
    """Raise MaterialisationError for the first pair whose model does not support the study.

    All pairs are checked before the first is started, because a pair may take hours.
    """
    for dimensions, key in pairs:
        asks = refresh.selection(layout, dimensions, key, study, force=force)
        if asks and (refused := preflight.refusal(layout, key, study)):
            raise MaterialisationError(f"{partition_name(key)}: {refused}")


def materialise_inputs(layout: Layout, model: str, trait: str, study: Study) -> None:
    """Bring the snapshot of a model and the prompts of a trait up to date, and nothing else.

    Raises:
        MaterialisationError: one cannot be made, or the model cannot do what the study asks.
    """
    single: list[_Partition] = [(("model",), {"model": model}), (("trait",), {"trait": trait})]
    stale = [
        partition
        for partition in single
        if set(_INPUTS) & set(refresh.selection(layout, *partition, study))
    ]
    if stale:
        with instance() as found:
            close_orphaned_runs(found)
            model_partitions.add(found, [model])
            for dimensions, key in stale:
                _bring(found, layout, dimensions, key, study, False, Outcome(), (True,))
    key = {"model": model, "trait": trait}
    if refused := preflight.refusal(layout, key, study):
        raise MaterialisationError(f"{partition_name(key)}: {refused}")


def materialise(
    layout: Layout, models: list[str], traits: list[str], study: Study, *, force: bool = False
) -> Outcome:
    """Bring every pair of `models` x `traits`, and the summary, up to date.

    Raises:
        MaterialisationError: a stage failed, or a model does not support the study; earlier results
            are kept.
    """
    outcome = Outcome()
    single: list[_Partition] = [
        *((("model",), {"model": model}) for model in models),
        *((("trait",), {"trait": trait}) for trait in traits),
    ]
    pairs: list[_Partition] = [
        (("model", "trait"), {"model": model, "trait": trait})
        for model in models
        for trait in traits
    ]
    with instance() as found:
        close_orphaned_runs(found)  # a dead run must not occupy the language model's slot
        for dimensions, key in [*single, *pairs, ((), {})]:
            carrying.bring_partition(layout, dimensions, key)
        sweep_orphans(logging.getLogger(__name__))
        model_partitions.add(found, models)
        for dimensions, key in single:
            _bring(found, layout, dimensions, key, study, force, outcome, (True,))
        _require_possible(layout, pairs, study, force)
        for dimensions, key in single:
            _bring(found, layout, dimensions, key, study, force, outcome, (False,))
        for dimensions, key in [*pairs, ((), {})]:
            _bring(found, layout, dimensions, key, study, force, outcome)
    try:
        outcome.synced = syncing.sync(layout, expected_inputs=freshness.expected_frame(layout))
    except warehouse.WarehouseDamagedError as error:  # the results are complete in Parquet
        outcome.synced = syncing.SyncResult(deferred=str(error))
    return outcome
