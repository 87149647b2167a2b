"""Backfills of a whole model and of a whole trait, requested as in the UI, by a real daemon."""

from pathlib import Path

import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.storage.database import warehouse
from tests.automation.graphql import serving, wait_for
from tests.automation.test_daemon import keys
from tests.sizes import FULL
from tests.tiny import living_in, make_world, write_model, write_scorer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(2400)]

MODELS = ("first", "second")
#: One run per partition does all of them: in full, all that a pair of model and trait has.
PAIR_STAGES = [
    stage.name
    for stage in STAGES.values()
    if stage.dimensions == ("model", "trait") and (FULL or stage.group == "geometry")
]
BY_TRAIT = ["prompt_sets", "scorer_validation"] if FULL else ["prompt_sets"]
DONE = "COMPLETED_SUCCESS"


def made(rows: pl.DataFrame) -> set[tuple[str, str]]:
    return set(rows.select("model", "trait").iter_rows())


def test_a_whole_model_then_a_whole_trait(tmp_path: Path) -> None:
    world = make_world(tmp_path, scorer=write_scorer(tmp_path / "scorer"))
    traits = catalog.trait_keys()
    with living_in(world), serving(world) as server:
        server.stop_sensor("automation")  # what is made below is made by the backfills
        for seed, name in enumerate(MODELS):
            aside = write_model(tmp_path / "made" / name, seed=seed)
            incoming = world.layout.root / "incoming"
            incoming.mkdir(exist_ok=True)
            aside.rename(incoming / name)
        wait_for(
            "both models are there", 90, lambda: set(MODELS) <= {*keys(server, "model_snapshot")}
        )
        assert server.backfill(["model_snapshot"], list(MODELS), 300) == DONE
        assert server.backfill(BY_TRAIT, list(traits), 600) == DONE

        whole_model = [f"first|{trait}" for trait in traits]
        assert server.backfill(PAIR_STAGES, whole_model, 1800) == DONE
        question = "SELECT DISTINCT model, trait FROM svd_spectra"
        assert made(warehouse.query(world.layout, question)) == {("first", t) for t in traits}

        whole_trait = [f"{model}|{traits[0]}" for model in MODELS]
        assert server.backfill(PAIR_STAGES, whole_trait, 1200) == DONE
        assert made(warehouse.query(world.layout, question)) == {
            *(("first", trait) for trait in traits),
            ("second", traits[0]),
        }
        statuses = {run["status"] for run in server.runs()}
        assert statuses == {"SUCCESS"}, [r for r in server.runs() if r["status"] != "SUCCESS"]
