"""`make cluster`: ticks of automation over 2,000 pairs, on Postgres behind pgbouncer.

With `STEER_TEST_FULL=1` over 50,000 pairs, in some minutes and 20 GB of the disk.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from steer_assets.paths import CATALOG
from tests.cluster.cluster import cluster
from tests.cluster.hosts import hosts_are_allowed
from tests.sizes import FULL, MODELS, TRAITS
from tests.tiny import living_in, make_world, write_scorer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900 if not FULL else 5400)]
if not hosts_are_allowed():
    pytest.skip("hosts are not allowed, or servers not installed", allow_module_level=True)
pytest.importorskip("dagster_ray")


def _add_traits(folder: Path) -> None:
    folder.mkdir()
    text = (CATALOG / "traits" / "formality.yaml").read_text()
    for n in range(TRAITS - len(list((CATALOG / "traits").glob("*.yaml")))):
        named = text.replace("trait: formality", f"trait: trait-{n:02d}", 1)
        (folder / f"trait-{n:02d}.yaml").write_text(named)


@pytest.fixture(scope="module")
def found(root: Path) -> dict[str, dict[str, Any]]:
    """What each tick took."""
    world = make_world(root / "world", scorer=write_scorer(root / "scorer"))
    _add_traits(world.layout.root / "catalog" / "traits")
    file = root / "ticks.json"
    with living_in(world), cluster(world, root) as made:
        made.a.environment["STEER_AUTOMATION_S"] = "1"
        sizes = map(str, MODELS)
        made.a.run(
            sys.executable,
            "-m",
            "tests.cluster.ticks",
            file,
            *sizes,
            seconds=800 if not FULL else 5000,
        )
    ticks: dict[str, dict[str, Any]] = json.loads(file.read_text())
    for name, tick in ticks.items():
        print(
            "{}: {seconds:.1f} s, of these {cpu:.2f} s of the processor, {statements} statements, "
            "cursor of {cursor} bytes, {n} runs".format(name, n=len(tick["asked"]), **tick)
        )
    return ticks


def test_statements_do_not_grow_with_pairs(found: dict[str, dict[str, Any]]) -> None:
    ticks = [found[f"{models * TRAITS} pairs, nothing new"] for models in MODELS]
    assert [tick["asked"] for tick in ticks] == [[], [], []]
    few, _, many = (tick["statements"] for tick in ticks)
    assert abs(many - few) <= 5
    assert many < 150
    assert max(tick["connections"] for tick in found.values()) < 10


@pytest.mark.skipif(FULL, reason="the limit is that of 2,000 pairs")
def test_a_tick_over_2000_pairs_takes_less_than_5_seconds(
    found: dict[str, dict[str, Any]],
) -> None:
    """Of the daemon's processor: those of the clock depend on what else the machine does."""
    for name in (f"{MODELS[-1] * TRAITS} pairs, nothing new", "a new model"):
        assert found[name]["cpu"] < 5, name


def test_pairs_of_a_new_model_are_one_run_each(found: dict[str, dict[str, Any]]) -> None:
    assert found["a new model"]["asked"] == [1]  # its snapshot
    assert len(found["its pairs"]["asked"]) == TRAITS
    assert found["its pairs"]["statements"] < 250 * TRAITS
    assert found["nothing new, its pairs queued"]["asked"] == []
