"""`make cluster`: pieces of a run on Ray's actors, on hosts that share no disk but a depot."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from steer_assets.pipeline.depot import carrying
from tests.automation.killing import versions
from tests.cluster.cluster import Cluster
from tests.cluster.embedded import PAIRS, TRAITS, make_embedded, tiny_cluster
from tests.cluster.hosts import hosts_are_allowed
from tests.tiny import MODEL

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
if not hosts_are_allowed():
    pytest.skip("hosts are not allowed, or servers not installed", allow_module_level=True)
pytest.importorskip("dagster_ray")

_FORCE = {"steer/force": "true"}


@pytest.fixture(scope="module")
def embedded(root: Path) -> dict[str, str]:
    """With a depot, because reports name sources by how these are told apart."""
    return make_embedded(root, STEER_DEPOT=str(root / "depot of one"))


@pytest.fixture(scope="module")
def apart(root: Path, embedded: dict[str, str]) -> Iterator[Cluster]:
    """The model is made on B; A, which has the head, has the catalog and no model."""
    settings = {"STEER_DEPOT": str(root / "depot"), "STEER_ENGINES": "ray:1"}
    with tiny_cluster(root, settings=settings, apart=True) as made:
        made.a.run(sys.executable, "-m", "steer_assets.cli", "depot", "push")
        made.head()
        made.worker()
        made.daemon()
        made.ask(lambda i: i.add_dynamic_partitions("steer_model", [MODEL]))
        made.queue("model_job", MODEL)
        made.queue("trait_job", *TRAITS)
        assert set(made.ended(240).values()) == {"SUCCESS"}
        yield made


def _weights(data: Path) -> list[Path]:
    return list((data / "models").rglob("*.safetensors"))


def _made(running: Cluster) -> dict[str, str]:
    """Data versions of all that the depot has."""
    carrying.catch_up(running.world.layout)
    return versions(running.world)


def test_an_engine_brings_the_model_to_its_host(apart: Cluster, embedded: dict[str, str]) -> None:
    """The run takes all cores of B, so its engine is on A."""
    data, own = apart.world.layout.root, apart.b.disks[apart.world.layout.root]
    assert _weights(own)
    assert not _weights(data)
    (run,) = apart.queue("pair_job", PAIRS[0])
    assert apart.ended(400)[run] == "SUCCESS"
    assert _weights(data)
    found = _made(apart)
    assert PAIRS[0] in {name.partition(" ")[2] for name in found}
    assert found == {name: embedded[name] for name in found}


def test_engines_that_die_change_nothing(apart: Cluster, embedded: dict[str, str]) -> None:
    """Two engines on both hosts; the first that runs a piece is killed with -9."""
    apart.kill("worker")
    apart.kill("daemon")
    apart.a.environment["STEER_ENGINES"] = "ray:2"
    apart.worker(cpus=4)
    apart.daemon()
    (run,) = apart.queue("pair_job", PAIRS[0], **_FORCE)
    died = _kill_an_engine()
    assert apart.ended(400)[run] == "SUCCESS"
    assert died
    found = _made(apart)
    assert found == {name: embedded[name] for name in found}


def _kill_an_engine() -> int | None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        for process in psutil.process_iter(["cmdline"]):
            title = " ".join(process.info["cmdline"] or ())
            if title.startswith("ray::_Engine.run"):
                process.kill()
                return int(process.pid)
        time.sleep(0.05)
    return None
