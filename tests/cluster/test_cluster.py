"""`make cluster`: the profile with real Postgres, pgbouncer and Ray, on two namespaces as hosts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.automation.killing import versions
from tests.cluster.cluster import Cluster, cluster, wait_for
from tests.cluster.hosts import hosts_are_allowed
from tests.tiny import MODEL, STUDY, living_in, make_world, write_model, write_scorer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
if not hosts_are_allowed():
    pytest.skip("hosts are not allowed, or servers not installed", allow_module_level=True)
pytest.importorskip("dagster_ray")

TRAITS = ("formality", "sentiment")
_EMBEDDED = f"""
from steer_assets.automation.runner import materialise
from steer_assets.catalog import catalog
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout
materialise(Layout(data_folder()), ["{MODEL}"], {list(TRAITS)}, catalog.study("{STUDY}"))
"""


@pytest.fixture(scope="module")
def sources(root: Path) -> tuple[Path, Path]:
    return write_model(root / "source"), write_scorer(root / "scorer")


@pytest.fixture(scope="module")
def embedded(root: Path, sources: tuple[Path, Path]) -> dict[str, str]:
    """Data versions of the embedded run: one process, SQLite."""
    world = make_world(root / "embedded", source=sources[0], scorer=sources[1])
    environment = {**os.environ, **world.environment, "MLFLOW_TRACKING_URI": "off"}
    subprocess.run([sys.executable, "-c", _EMBEDDED], env=environment, check=True, timeout=600)
    with living_in(world):
        return versions(world)


@pytest.fixture(scope="module")
def running(root: Path, sources: tuple[Path, Path]) -> Iterator[Cluster]:
    world = make_world(root / "world", source=sources[0], scorer=sources[1])
    with living_in(world), pytest.MonkeyPatch.context() as patch, cluster(world, root) as made:
        for name, value in made.a.environment.items():
            if name.startswith("STEER_PG"):
                patch.setenv(name, value)
        patch.setenv("STEER_RAY_ADDRESS", made.a.environment["STEER_RAY_ADDRESS"])
        made.head()
        made.worker()
        made.daemon()
        yield made


def _overheads(running: Cluster) -> list[tuple[str, str, float, float]]:
    """Of every run: job, host, seconds from queue to launch and from launch to start."""

    def look(instance):  # type: ignore[no-untyped-def]
        found = []
        for run in instance.get_runs():
            stats = instance.get_run_stats(run.run_id)
            home = run.tags.get("steer/process", "").partition("@")[2].partition("+")[0]
            waited = stats.launch_time - stats.enqueued_time
            found.append((run.job_name, home, waited, stats.start_time - stats.launch_time))
        return found

    return running.ask(look)


def test_a_cluster_makes_what_one_process_makes(running: Cluster, embedded: dict[str, str]) -> None:
    running.ask(lambda i: i.add_dynamic_partitions("steer_model", [MODEL]))
    running.queue("model_job", MODEL)
    running.queue("trait_job", *TRAITS)
    running.ended(240)
    running.queue("pair_job", *(f"{MODEL}|{trait}" for trait in TRAITS))
    assert set(running.ended(400).values()) == {"SUCCESS"}
    summary = {k: v for k, v in embedded.items() if not k.startswith("identifiability_summary")}
    found = versions(running.world)
    assert found == summary
    overheads = _overheads(running)
    for one in overheads:
        print("{} on {}: queued {:.1f} s, launched {:.1f} s".format(*one))
    hosts = {job: {host for j, host, *_ in overheads if j == job} for job, *_ in overheads}
    assert hosts["pair_job"] == {"nodeb"}  # the only host with cores enough
    assert min(waited + launched for _, _, waited, launched in overheads) < 10


def test_runs_wait_while_the_head_is_away_and_while_no_worker_has_room(
    running: Cluster, embedded: dict[str, str]
) -> None:
    """Longer than several polls of the monitoring, each of which could fail them."""
    for name in ("worker", "head"):
        running.kill(name)
    light = running.queue("trait_job", *TRAITS)
    heavy = running.queue("pair_job", *(f"{MODEL}|{trait}" for trait in TRAITS))
    heavy |= running.queue("model_job", MODEL)
    time.sleep(15)
    away = running.statuses()
    assert {away[run] for run in light | heavy} <= {"QUEUED", "STARTING"}
    running.head()
    wait_for(
        "runs without a model end",
        120,
        lambda: {running.statuses()[run] for run in light} == {"SUCCESS"},
    )
    time.sleep(15)
    assert {running.statuses()[run] for run in heavy} == {"STARTING"}
    assert len(running.statuses()) == len(away)  # none was made again
    running.worker()
    ended = running.ended(240)
    assert {ended[run] for run in light | heavy} == {"SUCCESS"}
    assert len(ended) == len(away)


def test_a_run_is_made_again_when_its_host_dies(running: Cluster, embedded: dict[str, str]) -> None:
    (run,) = running.queue("pair_job", f"{MODEL}|{TRAITS[0]}", **{"steer/force": "true"})

    def stages() -> int:
        return running.ask(
            lambda i: len(i.all_logs(run, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION))
        )

    wait_for("the run has made a stage", 120, stages)
    running.b.kill()
    running.running.pop("worker")
    running.b.boot()
    running.worker()
    wait_for("the run has failed", 120, lambda: running.statuses()[run] == "FAILURE")
    again = wait_for(
        "the run is made again",
        60,
        lambda: running.ask(
            lambda i: i.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run}))
        ),
    )
    ended = running.ended(300)
    assert [ended[one.run_id] for one in again] == ["SUCCESS"]
    found = versions(running.world)
    assert found == {k: v for k, v in embedded.items() if k in found}
