"""Schedules, which are off until they are enabled in the UI.

A job cannot mix partition definitions, so the nightly refresh is one schedule per definition, an
hour apart, in the order of the graph. Stages that are up to date are not run.
"""

from collections.abc import Iterator

import dagster as dg

from steer_assets.automation import refresh
from steer_assets.automation.jobs import JOB_NAMES, JOBS
from steer_assets.paths import data_folder
from steer_assets.pipeline import partitions
from steer_assets.pipeline.dagster_asset import FORCE_TAG
from steer_assets.storage.layout import Layout, PartitionKey, partition_name

PURPOSE_TAG = "steer/by"
_HOURS = {("trait",): 1, ("model",): 2, ("model", "trait"): 3, (): 6}


def _request(
    key: PartitionKey, study: str, stages: list[str], run_key: str, **tags: str
) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=run_key,
        partition_key=partitions.dagster_key(key),
        asset_selection=[dg.AssetKey(name) for name in stages],
        run_config={"resources": {"study": {"config": {"name": study}}}},
        tags=tags,
    )


def _nightly(dimensions: tuple[str, ...]) -> dg.ScheduleDefinition:
    job = next(job for job in JOBS if job.name == JOB_NAMES[dimensions])
    what = " and ".join(dimensions) or "summary"

    def evaluate(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        at = context.scheduled_execution_time.isoformat()
        found = list(refresh.due(Layout(data_folder()), dimensions))
        for due in found:
            name = partition_name(due.key)
            yield _request(
                due.key, due.study, due.stages, f"{at} {name}", **{PURPOSE_TAG: "nightly refresh"}
            )
        if not found:
            yield dg.SkipReason("everything that is stored is up to date")

    return dg.ScheduleDefinition(
        name=f"nightly_refresh_{'_'.join(dimensions) or 'summary'}",
        job=job,
        cron_schedule=f"0 {_HOURS[dimensions]} * * *",
        execution_fn=evaluate,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Makes again what is out of date, per {what}.",
    )


def _weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    dimensions = ("model", "trait")
    stored = list(refresh.stored_partitions(Layout(data_folder()), dimensions))
    if not stored:
        return dg.SkipReason("nothing is stored yet")
    week = context.scheduled_execution_time.isocalendar()
    key, study = stored[(week.year * 53 + week.week) % len(stored)]
    stages = [stage.name for stage in refresh.stages_of(dimensions)]
    tags = {FORCE_TAG: "true", PURPOSE_TAG: "reproducibility"}
    return _request(key, study.study, stages, f"{week.year}-{week.week}", **tags)


reproducibility = dg.ScheduleDefinition(
    name="weekly_reproducibility",
    job=next(job for job in JOBS if job.name == JOB_NAMES["model", "trait"]),
    cron_schedule="0 8 * * 6",
    execution_fn=_weekly,
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description=(
        "Computes one stored partition again, another each week; the check "
        "`computed_again_the_same` of every asset then compares data versions."
    ),
)

SCHEDULES = [*(_nightly(dimensions) for dimensions in _HOURS), reproducibility]
