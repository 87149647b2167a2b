"""A sensor, off until it is switched on, that runs all that is missing, one partition at a time."""

import json
from collections.abc import Iterator

import dagster as dg

from steer_assets.automation import refresh
from steer_assets.automation.jobs import JOB_NAMES, JOBS
from steer_assets.automation.schedules import PURPOSE_TAG
from steer_assets.catalog import catalog
from steer_assets.paths import data_folder
from steer_assets.pipeline import partitions
from steer_assets.pipeline.stage import Stage
from steer_assets.storage.layout import Layout, PartitionKey, partition_name
from steer_assets.storage.lineage import record_part

NAME = "everything_missing"
_Dimensions = tuple[str, ...]


def _partitions(models: list[str]) -> Iterator[tuple[_Dimensions, PartitionKey]]:
    """All partitions of models and traits, inputs first."""
    traits = catalog.trait_keys()
    for trait in traits:
        yield ("trait",), {"trait": trait}
    for model in models:
        yield ("model",), {"model": model}
        for trait in traits:
            yield ("model", "trait"), {"model": model, "trait": trait}


def _is_made(layout: Layout, stage: Stage, key: PartitionKey) -> bool:
    return (layout.root / record_part(layout, stage.name, key)).exists()


def missing(layout: Layout, models: list[str]) -> Iterator[tuple[_Dimensions, PartitionKey]]:
    """Partitions that lack the record of a stage, inputs first.

    Records are not read, since those of 2,000 pairs take longer than the minute that a sensor has:
    one that is damaged counts as there, and `steer db sync` names it.
    """
    for dimensions, key in _partitions(models):
        stages = refresh.stages_of(dimensions)
        if not all(_is_made(layout, stage, key) for stage in stages):
            yield dimensions, key


def _running(instance: dg.DagsterInstance) -> bool:
    """Whether a run that this sensor asked for has not ended yet."""
    ended = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
    unended = [status for status in dg.DagsterRunStatus if status not in ended]
    filters = dg.RunsFilter(tags={PURPOSE_TAG: NAME}, statuses=unended)
    return bool(instance.get_runs(filters, limit=1))


@dg.sensor(
    name=NAME,
    jobs=[job for job in JOBS if job.name in JOB_NAMES.values() and job.name != JOB_NAMES[()]],
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Switched on, runs every model with every trait, one partition after another. A partition "
        "whose run failed is not asked for again until the cursor is reset."
    ),
)
def everything_missing(
    context: dg.SensorEvaluationContext,
) -> dg.SensorResult | dg.SkipReason:
    """Ask for the next missing partition when no run of this sensor is under way."""
    if _running(context.instance):
        return dg.SkipReason("a run that this sensor asked for has not ended yet")
    asked: list[str] = json.loads(context.cursor or "[]")
    models = context.instance.get_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME)
    for dimensions, key in missing(Layout(data_folder()), list(models)):
        name = partition_name(key)
        if name in asked:
            continue
        request = dg.RunRequest(
            job_name=JOB_NAMES[dimensions],
            partition_key=partitions.dagster_key(key),
            tags={PURPOSE_TAG: NAME},
        )
        return dg.SensorResult([request], cursor=json.dumps([*asked, name]))
    return dg.SkipReason("nothing is missing that was not asked for already")
