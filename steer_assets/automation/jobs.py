"""Jobs a person expects: one per partition definition, since a job cannot mix them."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from steer_assets.assets.stage import STAGES


def _job(name: str, dimensions: tuple[str, ...], description: str) -> UnresolvedAssetJobDefinition:
    stages = [stage.name for stage in STAGES.values() if stage.dimensions == dimensions]
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*stages),
        description=description,
    )


#: Jobs by the dimensions of the stages they hold.
JOB_NAMES: dict[tuple[str, ...], str] = {
    ("model",): "model_job",
    ("trait",): "trait_job",
    ("model", "trait"): "pair_job",
    (): "summary_job",
}
_DESCRIPTIONS = {
    "model_job": "Bring one model into safetensors.",
    "trait_job": "Prompts and scorer validation of one trait.",
    "pair_job": "All evidence for one model and trait.",
    "summary_job": "The verdicts of all partitions that exist.",
}
JOBS = [_job(name, dims, _DESCRIPTIONS[name]) for dims, name in JOB_NAMES.items()]
