"""What a run asks for, by the size of its model and its stages."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from steer_assets.assets import STAGES
from steer_assets.automation.jobs import JOB_NAMES, PARTS
from steer_assets.catalog import catalog
from steer_assets.cluster import sized_runs
from steer_assets.cluster.needs import Needs, Size, Worker, k8s_tag, needs, ray_tag
from steer_assets.pipeline.conditions import holds_language_model
from steer_assets.storage.layout import Layout
from tests.storage import synthetic

GIB = 1 << 30
SMALL, LARGE = Size(135_000_000, 576), Size(70_000_000_000, 8192)
GPU = Worker(gpu_gib=80.0, cpus=8)
MODEL, TRAIT = "tiny", "formality"


@pytest.mark.parametrize("worker", [GPU, Worker()])
@pytest.mark.parametrize("size", [None, LARGE])
def test_a_run_without_a_model_asks_for_no_gpu(size: Size | None, worker: Worker) -> None:
    asked = needs(size, [], worker)
    assert (asked.cpus, asked.gpus, asked.size) == (1, 0, "light")


def test_a_model_has_room_on_the_gpus_that_it_asks_for() -> None:
    for billions in (0.1, 1, 7, 14, 15, 30, 70, 180):
        size = Size(int(billions * 1e9), 4096)
        asked = needs(size, ["generations"], GPU)
        assert asked.gpus * GPU.gpu_gib * GIB > 1.3 * 4 * size.n_parameters
        assert asked.gpus in (1, 2, 4, 8, 16)
        if asked.gpus > 1:  # half of them would be too few
            assert asked.gpus / 2 * GPU.gpu_gib * GIB < 1.4 * 4 * size.n_parameters
        assert asked.size == f"gpu-{asked.gpus}"
    assert needs(LARGE, ["generations"], GPU).gpus == 8
    assert needs(SMALL, ["generations"], Worker(gpu_gib=24.0)).gpus == 1


def test_memory_grows_with_weights_and_with_matrices() -> None:
    wide = Size(SMALL.n_parameters, 8192)
    more = needs(wide, ["generations"], GPU).memory - needs(SMALL, ["generations"], GPU).memory
    assert more == pytest.approx(92 * 8 * (8192**2 - 576**2))  # 49 GB at a width of 8192
    on_cpu = needs(LARGE, ["generations"], Worker())
    assert on_cpu.gpus == 0
    assert on_cpu.size == "model"
    assert on_cpu.memory > needs(LARGE, ["generations"], GPU).memory > 4 * LARGE.n_parameters


def test_a_snapshot_is_converted_on_the_processor() -> None:
    assert needs(SMALL, ["model_snapshot"], GPU).gpus == 0
    assert needs(SMALL, ["model_snapshot", "generations"], GPU).gpus == 1


def test_a_run_asks_for_as_many_gpus_as_its_study_has_processes(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert needs(SMALL, ["generations"], GPU, tensor_parallel=4).gpus == 4
    assert needs(LARGE, ["generations"], GPU, tensor_parallel=4).gpus == 8
    assert needs(LARGE, ["generations"], Worker(), tensor_parallel=4).gpus == 0
    assert needs(LARGE, [], GPU, tensor_parallel=4).gpus == 0
    study = catalog.study("quick")
    numerics = study.numerics.model_copy(update={"tensor_parallel": 2})
    divided = study.model_copy(update={"numerics": numerics})
    new = run("pair_job", model="new")
    assert sized_runs.tags_of(new)[sized_runs.SIZE_TAG] == "gpu-1"
    monkeypatch.setattr(catalog, "study", lambda _name: divided)
    assert sized_runs.tags_of(new)[sized_runs.SIZE_TAG] == "gpu-2"


def test_a_model_of_unknown_size_claims_no_memory() -> None:
    asked = needs(None, ["generations"], GPU)
    assert (asked.gpus, asked.memory) == (1, 0)
    assert "memory" not in json.loads(ray_tag(asked)["dagster-ray/config"])
    assert "memory" not in k8s_tag(asked)["dagster-k8s/config"]


def test_ray_and_kubernetes_are_told_the_same() -> None:
    asked = Needs(cpus=8, gpus=2, memory=3 * GIB)
    ray = json.loads(ray_tag(asked)["dagster-ray/config"])
    assert ray == {"num_cpus": 8, "num_gpus": 2, "memory": 3 * GIB}
    pod = json.loads(k8s_tag(asked)["dagster-k8s/config"])["container_config"]["resources"]
    assert pod == {
        "requests": {"cpu": "8", "memory": "3072Mi"}, "limits": {"nvidia.com/gpu": "2"}
    }  # fmt: skip
    light = Needs(cpus=1, gpus=0, memory=0)
    assert "limits" not in k8s_tag(light)["dagster-k8s/config"]
    # A launcher's default would apply where the tag is silent.
    assert json.loads(ray_tag(light)["dagster-ray/config"])["num_gpus"] == 0


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("STEER_GPU_GIB", "80")
    monkeypatch.setenv("STEER_RUN_CPUS", "8")
    row = {"n_parameters": LARGE.n_parameters, "hidden_size": LARGE.hidden_size}
    layout = Layout(tmp_path)
    synthetic.write(layout, "models", {"model": MODEL}, row)
    return layout


def run(job: str, *assets: str, model: str = MODEL, **tags: str) -> dg.DagsterRun:
    pair = {"dagster/partition/model": model, "dagster/partition/trait": TRAIT}
    return dg.DagsterRun(
        job_name=job,
        run_id="0",
        tags={**pair, **tags} if job != "model_job" else {"dagster/partition": model},
        asset_selection=frozenset(map(dg.AssetKey, assets)) or None,
    )


#: A run and the size that it is given.
RUNS = {
    "pair": (run("pair_job"), "gpu-8"),
    "of an unknown model": (run("pair_job", model="new"), "gpu-1"),
    "report alone": (run("report_job"), "light"),
    "report, chosen by automation": (run("__ASSET_JOB", "equivalence_reports"), "light"),
    "geometry": (run("geometry_job"), "gpu-8"),
    "summary": (run("summary_job"), "light"),
    "snapshot": (run("model_job"), "model"),
    "stages of no job": (run("__ASSET_JOB"), "gpu-8"),
}


@pytest.mark.parametrize(("asked", "size"), RUNS.values(), ids=RUNS)
def test_runs_are_sized_by_their_stages_and_their_model(
    layout: Layout, asked: dg.DagsterRun, size: str
) -> None:
    tags = sized_runs.tags_of(asked)
    assert tags["steer/size"] == size
    assert json.loads(tags["dagster-ray/config"])["num_gpus"] == int(size.partition("gpu-")[2] or 0)


def test_the_stages_of_every_job_are_those_that_dagster_runs(layout: Layout) -> None:
    from steer_assets.definitions import defs

    for name in [*JOB_NAMES.values(), *PARTS]:
        keys = defs.resolve_job_def(name).asset_layer.executable_asset_keys
        found = {stage.name for stage in sized_runs.stages_of(run(name))}
        assert found == {key.to_user_string() for key in keys}, name


def test_a_damaged_row_of_a_model_is_no_size(layout: Layout) -> None:
    layout.part("models", {"model": MODEL}).write_bytes(b"no parquet")
    assert sized_runs.size_of(layout, MODEL) is None
    assert sized_runs.size_of(layout, "../etc") is None


def test_only_stages_of_a_model_hold_one() -> None:
    assert all("model" in s.dimensions for s in STAGES.values() if holds_language_model(s))


def test_a_run_has_its_tags_before_it_is_queued(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

    from steer_assets.cluster.queue import QueueBySize

    with dg.DagsterInstance.ephemeral() as instance:
        queue = QueueBySize()
        queue.register_instance(instance)
        job = dg.job(name="summary_job")(lambda: None)
        made = instance.create_run_for_job(job, tags={"steer/size": "gpu-8"})  # inherited

        def queued(_: object, context: SubmitRunContext) -> dg.DagsterRun | None:
            return instance.get_run_by_id(context.dagster_run.run_id)

        monkeypatch.setattr(QueuedRunCoordinator, "submit_run", queued)
        submitted = queue.submit_run(SubmitRunContext(made, workspace=None))  # type: ignore[arg-type]
        assert submitted.tags["steer/size"] == "light"
