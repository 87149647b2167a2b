"""Asset checks as functions from a stored partition to a finding.

Blocking checks stop the later stages of their run, and automation does not continue until they
pass. A file that cannot be read also fails the check.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import dagster as dg

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.studies import Study
from steer_assets.pipeline import freshness, partitions, working_point
from steer_assets.pipeline.dagster_asset import LANGUAGE_MODEL_POOL
from steer_assets.pipeline.depot import carrying
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.files.parquet import DamagedFileError
from steer_assets.storage.lineage import Record
from steer_assets.storage.shards import Shards

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the check passed, a sentence on what was found, and the numbers behind it."""

    passed: bool
    words: str
    numbers: Mapping[str, Value] = field(default_factory=dict)


Look = Callable[[StageRun], Finding]


def _study(record: Record, active: Study) -> Study:
    """The study that made the artifact, which determines the expected number of rows."""
    try:
        return catalog.study(record.study)
    except CatalogError:
        return active


def carry_out(look: Look, stored: StageRun) -> Finding:
    """The finding of a check; a file that cannot be read fails it."""
    try:
        return look(stored)
    except (DamagedFileError, FileNotFoundError) as error:
        return Finding(False, str(error))


def look_at(
    look: Look, context: dg.AssetCheckExecutionContext, stage_name: str, language_model: bool
) -> Finding:
    """Run one check on the partition of the Dagster run."""
    stage, resources = STAGES[stage_name], context.resources
    step = context.op_execution_context
    key = partitions.partition_of(step, stage.dimensions)
    layout = resources.store.layout
    if carried := carrying.carrier(layout, stage, key):
        carried.bring_for_check(weights=language_model)
    record = freshness.record_of(layout, stage, key)
    if record is None:
        return Finding(False, "nothing is stored for this partition")
    shards = Shards(layout, stage.name, key, "")
    study = _study(record, resources.study.load())
    stored = StageRun(
        stage.name, key, study, layout, resources.language_models, shards, context.log
    )
    return carry_out(lambda run: look(working_point.settled(run)), stored)


#: Every check by stage and name, as a plain function.
LOOKS: dict[tuple[str, str], Look] = {}


def check(
    stage: str, *, blocking: bool = False, language_model: bool = False
) -> Callable[[Look], dg.AssetChecksDefinition]:
    """Make a function an asset check of `stage`; its docstring is the description in the UI."""

    def register(look: Look) -> dg.AssetChecksDefinition:
        LOOKS[stage, look.__name__] = look

        @dg.asset_check(
            asset=stage,
            name=look.__name__,
            description=look.__doc__,
            blocking=blocking,
            required_resource_keys={"store", "study", "language_models"},
            partitions_def=partitions.definition(STAGES[stage].dimensions),
            pool=LANGUAGE_MODEL_POOL if language_model else None,
        )
        def evaluate(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
            finding = look_at(look, context, stage, language_model)
            severity = dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN
            return dg.AssetCheckResult(
                passed=finding.passed,
                severity=severity,
                description=finding.words,
                metadata=dict(finding.numbers),
            )

        return evaluate

    return register
