"""A model in the watched folder runs through to the summary automatically; retire removes it.

Real webserver, daemon, code server and run processes.
"""

import time
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from steer_assets.catalog import catalog
from steer_assets.storage.database import warehouse
from tests.automation.graphql import Server, serving, wait_for
from tests.sizes import FULL
from tests.tiny import World, living_in, make_world, write_model, write_scorer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(2400)]

BUILT_IN = "smollm2-135m-instruct"
_PARTITIONS = """
query ($asset: AssetKeyInput!) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode {
      partitionKeys
      assetPartitionStatuses {
        ... on DefaultPartitionStatuses { materializedPartitions }
      }
    }
  }
}
"""
_SUMMARY = """
{ assetOrError(assetKey: {path: ["identifiability_summary"]}) {
    ... on Asset { assetMaterializations(limit: 1) { timestamp } } } }
"""


def keys(server: Server, asset: str) -> list[str]:
    node = server.ask(_PARTITIONS, asset={"path": [asset]})["assetNodeOrError"]
    return node["partitionKeys"]


def summary(world: World) -> set[tuple[str, str]]:
    path = world.layout.part("identifiability_summary", {})
    if not path.exists():
        return set()
    rows = pl.read_parquet(path, hive_partitioning=False)
    return set(rows.select("model", "trait").iter_rows())


def traces(root: Path, name: str) -> list[str]:
    return [str(p.relative_to(root)) for p in root.rglob("*") if name in p.name]


def test_a_dropped_model_runs_through_and_retires_without_a_trace(tmp_path: Path) -> None:
    world = make_world(tmp_path, scorer=write_scorer(tmp_path / "scorer"))
    with living_in(world):
        from steer_assets.automation.retire import retire
        from steer_assets.automation.runner import instance

        with instance() as found:
            retire(world.layout, found, BUILT_IN)  # or its weights would run through as well
        broken = world.layout.root / "incoming" / "broken"
        broken.mkdir(parents=True)
        (broken / "config.json").write_text("{")
        with serving(world) as server:
            # A model that is there at the first look would be left to the user.
            wait_for("automation has looked", 90, lambda: server.has_looked("automation"))
            source = write_model(tmp_path / "made" / "tiny-random")
            source.rename(world.layout.root / "incoming" / "tiny-random")
            dropped = time.monotonic()
            wait_for("its partition exists", 90, lambda: keys(server, "model_snapshot"))
            partition_s = time.monotonic() - dropped
            wait_for("a run of its model is queued", 90, lambda: server.runs("tiny-random"))
            queued_s = time.monotonic() - dropped
            print(f"partition after {partition_s:.0f} s, run queued after {queued_s:.0f} s")
            assert queued_s < 60
            if not FULL:
                return
            wanted = {("tiny-random", trait) for trait in catalog.trait_keys()}
            wait_for("the summary holds every trait", 1800, lambda: summary(world) == wanted)
            wait_for(
                "all runs have ended",
                300,
                lambda: {r["status"] for r in server.runs()} <= {"SUCCESS", "FAILURE", "CANCELED"},
            )
            print({r["jobName"]: r["status"] for r in server.runs()}, len(server.runs()))
            assert {r["status"] for r in server.runs()} == {"SUCCESS"}
            assert server.ask(_SUMMARY)["assetOrError"]["assetMaterializations"]
            assert keys(server, "model_snapshot") == ["tiny-random"]  # and `broken` is not
            with instance() as found:
                retired = retire(world.layout, found, "tiny-random")
            assert retired.n_runs >= len(wanted)
            assert keys(server, "model_snapshot") == []
            time.sleep(
                40
            )  # two looks of the sensor: it stays away although its files still lie there
            assert keys(server, "model_snapshot") == []
        left = traces(world.layout.root, "tiny-random")
        assert set(left) == {"incoming/tiny-random", "catalog/retired/tiny-random.json"}
        for table in ("models", "generations", "artifact_lineage", "equivalence_reports"):
            rows = warehouse.query(
                world.layout, f"SELECT * FROM {table} WHERE model = 'tiny-random'"
            )
            assert rows.is_empty(), table
        with instance() as found:
            events = found.get_event_records(
                dg.EventRecordsFilter(
                    dg.DagsterEventType.ASSET_MATERIALIZATION,
                    asset_key=dg.AssetKey("generations"),
                )
            )
            assert [e for e in events if "tiny-random" in str(e.partition_key)] == []
