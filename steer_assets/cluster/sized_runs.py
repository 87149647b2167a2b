"""Tags of a run that say what it needs, from its stages and the stored facts of its model."""

import os
from collections.abc import Iterator

import dagster as dg

from steer_assets.assets import STAGES
from steer_assets.automation.jobs import JOB_NAMES, PARTS
from steer_assets.catalog.errors import CatalogError
from steer_assets.cluster.needs import Size, Worker, k8s_tag, needs, ray_tag
from steer_assets.paths import data_folder
from steer_assets.pipeline.conditions import holds_language_model
from steer_assets.pipeline.stage import Stage
from steer_assets.resources.active_study import ActiveStudy
from steer_assets.storage.files.parquet import DamagedFileError, read_part
from steer_assets.storage.layout import Layout
from steer_assets.storage.slugs import is_slug

#: Read by `tag_concurrency_limits` of `dagster.yaml`.
SIZE_TAG = "steer/size"


def worker() -> Worker:
    """Workers as `STEER_GPU_GIB` and `STEER_RUN_CPUS` describe them."""
    offered = Worker()
    return Worker(
        gpu_gib=float(os.environ.get("STEER_GPU_GIB") or offered.gpu_gib),
        cpus=int(os.environ.get("STEER_RUN_CPUS") or offered.cpus),
    )


def stages_of(run: dg.DagsterRun) -> list[Stage]:
    """Stages that a run was asked for: those selected, those of its job, or all."""
    if run.asset_selection:
        names = [key.to_user_string() for key in run.asset_selection]
        return [STAGES[name] for name in names if name in STAGES]
    return [stage for stage in STAGES.values() if _is_in(stage, run.job_name)]


def _is_in(stage: Stage, job: str) -> bool:
    if job in PARTS:
        return stage.dimensions == ("model", "trait") and stage.group in PARTS[job][0]
    return job == JOB_NAMES[stage.dimensions] or job not in JOB_NAMES.values()


def _models(run: dg.DagsterRun, stages: list[Stage]) -> Iterator[str]:
    if model := run.tags.get("dagster/partition/model"):
        yield model
    if any(stage.dimensions == ("model",) for stage in stages):
        yield run.tags.get("dagster/partition", "")


def size_of(layout: Layout, model: str) -> Size | None:
    """Size of a model from its row in `models`; None before its snapshot is made."""
    if not is_slug(model):
        return None
    try:
        row = read_part(layout.part("models", {"model": model})).row(0, named=True)
    except (FileNotFoundError, DamagedFileError):
        return None
    return Size(row["n_parameters"], row["hidden_size"])


def _processes() -> int:
    """Processes that hold a model in the active study; one where the study cannot be read."""
    try:
        return ActiveStudy().load().numerics.tensor_parallel
    except CatalogError:  # the run says it in a sentence
        return 1


def tags_of(run: dg.DagsterRun) -> dict[str, str]:
    """What the queue, Ray and Kubernetes are told of a run."""
    layout, stages = Layout(data_folder()), stages_of(run)
    holding = [stage.name for stage in stages if holds_language_model(stage)]
    sizes = (size_of(layout, model) for model in _models(run, stages))
    size = next((size for size in sizes if size), None)
    asked = needs(size, holding, worker(), tensor_parallel=_processes())
    return {SIZE_TAG: asked.size, **ray_tag(asked), **k8s_tag(asked)}
