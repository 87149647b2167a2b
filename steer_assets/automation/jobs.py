"""Jobs: one per partition definition, since a job cannot mix them, and one per group."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from steer_assets.assets import STAGES

_PAIR = ("model", "trait")
#: Jobs by the dimensions of their stages: all stages of a partition.
JOB_NAMES: dict[tuple[str, ...], str] = {
    ("model",): "model_job",
    ("trait",): "trait_job",
    _PAIR: "pair_job",
    (): "summary_job",
}
_DESCRIPTIONS = {
    "model_job": "Bring one model into safetensors.",
    "trait_job": "Prompts and scorer validation of one trait.",
    "pair_job": "One partition through: all evidence for one model and trait.",
    "summary_job": "The verdicts of all partitions that exist.",
}
#: Jobs for some stages of a partition, by group.
PARTS = {
    "geometry_job": (("geometry",), "Geometry only: activations, covariances and spectra."),
    "evidence_job": (("evidence",), "Evidence only: steered texts and their scores."),
    "protocols_job": (
        ("protocols",),
        "Protocols only: the published procedure beside the sound one, from stored texts.",
    ),
    "report_job": (("reports",), "Report only: tests, verdicts and the page, from stored scores."),
}


def _job(name: str, stages: list[str], description: str) -> UnresolvedAssetJobDefinition:
    selection = dg.AssetSelection.assets(*stages)
    return dg.define_asset_job(name, selection=selection, description=description)


JOBS = [
    *(
        _job(
            name,
            [stage.name for stage in STAGES.values() if stage.dimensions == dimensions],
            _DESCRIPTIONS[name],
        )
        for dimensions, name in JOB_NAMES.items()
    ),
    *(
        _job(
            name,
            [s.name for s in STAGES.values() if s.dimensions == _PAIR and s.group in groups],
            description,
        )
        for name, (groups, description) in PARTS.items()
    ),
]
