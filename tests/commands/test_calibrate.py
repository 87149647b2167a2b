"""`steer calibrate` on a model of 32 dimensions: a table, and a choice of block and dose."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from steer_assets.catalog.layers import candidate_layers
from steer_assets.commands import calibrate
from tests.finished import one_thread
from tests.tiny import MODEL, STUDY, World, living_in, make_world, write_model, write_scorer

TRAIT = "formality"


def _once(sweep: Callable[..., pl.DataFrame]) -> Callable[..., pl.DataFrame]:
    """A sweep of which a second call gives the rows of the first."""
    found: list[pl.DataFrame] = []

    def swept(*given: object) -> pl.DataFrame:
        if not found:
            found.append(sweep(*given))
        return found[0]

    return swept


@pytest.fixture
def world(tmp_path: Path) -> World:
    source = write_model(tmp_path / "source")
    return make_world(tmp_path / "world", source=source, scorer=write_scorer(tmp_path / "scorer"))


def test_it_says_block_and_dose_and_stores_no_evidence(world: World, steer, monkeypatch) -> None:
    monkeypatch.setattr(calibrate, "_swept", _once(calibrate._swept))
    with living_in(world), one_thread():
        answer = steer("calibrate", "--model", MODEL, "--trait", TRAIT, "--study", STUDY, "--json")
        shown = steer("calibrate", "--model", MODEL, "--trait", TRAIT)
    assert answer.code == 0, answer.err
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert sorted({row["block"] for row in rows}) == candidate_layers(4)
    own = [row for row in rows if row["of 1 nat dose"] == 1]
    assert len(own) == 2
    assert all(row["KL p95, nats"] == pytest.approx(1.0, rel=0.02) for row in own)
    assert any(row[""].startswith("<- ") for row in rows)
    assert shown.code == 0
    assert "Where does v steer" in shown.out
    assert "<- " in shown.out
    made = {path.parent.name for path in (world.layout.root / "tables").glob("*/*")}
    tables = {path.name for path in (world.layout.root / "tables").iterdir()}
    assert made
    assert tables == {"prompt_sets", "models", "artifact_lineage"}


def test_what_it_is_not_told_it_asks_for(steer) -> None:
    assert "Missing option '--model'" in steer("calibrate", "--trait", TRAIT).err
    said = steer("calibrate", "--model", "nobody", "--trait", TRAIT).refused()
    assert "nobody" in said
