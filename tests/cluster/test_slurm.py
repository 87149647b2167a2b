"""`make cluster`: workers as jobs of a real Slurm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.automation.killing import versions
from tests.cluster.cluster import DEPLOY, OPTIONS, Cluster, wait_for
from tests.cluster.embedded import PAIRS, TRAITS, make_embedded, tiny_cluster
from tests.cluster.hosts import hosts_are_allowed
from tests.cluster.slurm import Slurm, is_installed
from tests.tiny import MODEL

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
if not (hosts_are_allowed() and is_installed()):
    pytest.skip("hosts are not allowed, or Slurm is not installed", allow_module_level=True)
pytest.importorskip("dagster_ray")

_JOB = ("--cpus-per-task=2", "--time=10")


@pytest.fixture(scope="module")
def running(root: Path) -> Iterator[Cluster]:
    """A head and no worker."""
    with tiny_cluster(root) as made:
        made.head()
        made.daemon()
        yield made


def test_runs_wait_for_the_jobs_that_slurm_starts(running: Cluster, root: Path) -> None:
    """A job joins, takes what waits, and leaves nothing when it is cancelled."""
    slurm = Slurm(running.b)
    running.b.environment["RAY_WORKER_OPTIONS"] = f"--node-ip-address=10.77.0.2 {OPTIONS}"
    running.ask(lambda i: i.add_dynamic_partitions("steer_model", [MODEL]))
    light = running.queue("trait_job", *TRAITS)
    heavy = running.queue("model_job", MODEL)
    wait_for(
        "runs without a model end",
        120,
        lambda: {running.statuses()[run] for run in light} == {"SUCCESS"},
    )
    time.sleep(10)
    assert {running.statuses()[run] for run in heavy} == {"STARTING"}
    job = slurm.submit(*_JOB, script=DEPLOY / "worker.sbatch")
    assert running.ended(180).keys() == light | heavy
    heavy |= running.queue("pair_job", PAIRS[0])
    assert set(running.ended(300).values()) == {"SUCCESS"}
    assert running.hosts_of(heavy) == {"nodeb"}
    found, embedded = versions(running.world), make_embedded(root)
    assert found == {name: embedded[name] for name in found}
    assert slurm.state(job) == "RUNNING"
    slurm.say("scancel", job)
    wait_for("the job has ended", 60, lambda: not slurm.state(job))
    assert running.b.processes("raylet") == []
