"""`make cluster`: the profile with real Postgres, pgbouncer and Ray, on two namespaces as hosts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.automation.killing import harmed, versions
from tests.cluster.cluster import Cluster, host_of, wait_for
from tests.cluster.embedded import PAIRS, TRAITS, make_embedded, tiny_cluster
from tests.cluster.hosts import hosts_are_allowed
from tests.timings import slowness
from tests.tiny import MODEL

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
if not hosts_are_allowed():
    pytest.skip("hosts are not allowed, or servers not installed", allow_module_level=True)
pytest.importorskip("dagster_ray")


@pytest.fixture(scope="module")
def embedded(root: Path) -> dict[str, str]:
    return make_embedded(root)


@pytest.fixture(scope="module")
def running(root: Path) -> Iterator[Cluster]:
    with tiny_cluster(root) as made:
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
            waited = stats.launch_time - stats.enqueued_time
            found.append((run.job_name, host_of(run), waited, stats.start_time - stats.launch_time))
        return found

    return running.ask(look)


def test_a_cluster_makes_what_one_process_makes(running: Cluster, embedded: dict[str, str]) -> None:
    running.ask(lambda i: i.add_dynamic_partitions("steer_model", [MODEL]))
    running.queue("model_job", MODEL)
    running.queue("trait_job", *TRAITS)
    running.ended(240)
    running.queue("pair_job", *PAIRS)
    assert set(running.ended(400).values()) == {"SUCCESS"}
    summary = {k: v for k, v in embedded.items() if not k.startswith("identifiability_summary")}
    found = versions(running.world)
    assert found == summary
    overheads = _overheads(running)
    for one in overheads:
        print("{} on {}: queued {:.1f} s, launched {:.1f} s".format(*one))
    hosts = {job: {host for j, host, *_ in overheads if j == job} for job, *_ in overheads}
    assert hosts["pair_job"] == {"nodeb"}  # the only host with cores enough
    assert min(waited + launched for _, _, waited, launched in overheads) < 10 * slowness()


def test_runs_wait_while_the_head_is_away_and_while_no_worker_has_room(
    running: Cluster, embedded: dict[str, str]
) -> None:
    """Longer than several polls of the monitoring, each of which could fail them."""
    for name in ("worker", "head"):
        running.kill(name)
    light = running.queue("trait_job", *TRAITS)
    heavy = running.queue("pair_job", *PAIRS)
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


#: Numbers of stages that a run has made when its host is killed, one run each.
KILLED_AFTER = (1, 3, 5, 8, 11)


@pytest.mark.parametrize("n_stages", KILLED_AFTER)
def test_a_run_is_made_again_when_its_host_dies(
    running: Cluster, embedded: dict[str, str], n_stages: int
) -> None:
    before = versions(running.world).keys()
    (run,) = running.queue("pair_job", PAIRS[0], **{"steer/force": "true"})

    def stages() -> bool:
        made = dg.DagsterEventType.ASSET_MATERIALIZATION
        return running.ask(lambda i: len(i.all_logs(run, of_type=made)) >= n_stages)

    wait_for("the run has made stages", 120, stages)
    running.b.kill()
    running.running.pop("worker")
    # Files that were just replaced may be newer than their record, which every reader refuses.
    assert versions(running.world).keys() >= before
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
    assert harmed(running.world, before) == []
    found = versions(running.world)
    assert found == {k: v for k, v in embedded.items() if k in found}
