"""A study that a model does not support is rejected before the first stage, with the numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.automation import runner
from steer_assets.catalog import catalog
from steer_assets.catalog.studies import Study
from steer_assets.lm.chat import DEFAULT_DATE
from steer_assets.lm.context import encoder_of, positions_of
from steer_assets.pipeline import freshness, partitions, preflight
from steer_assets.storage.files.parquet import read_part, write_part
from tests.tiny import MODEL, STUDY, World, living_in, make_world, write_model

TRAIT = "sentiment"
KEY = {"model": MODEL, "trait": TRAIT}
#: Positions of the model as it comes: fewer than any prompt has bytes.
SHORT = 64
#: New tokens: so many that the prompts which texts are written after need most.
NEW = 200


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The snapshot of a model and the prompts of a trait: the inputs of the checks."""
    root = tmp_path_factory.mktemp("preflight")
    source = write_model(root / "source")
    _declare(source, SHORT)
    with living_in(make_world(root / "world", source=source, scorer=root / "scorer")) as found:
        with runner.instance() as records:
            records.add_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME, [MODEL])
            study = catalog.study(STUDY)
            for dimension, stage in (("model", "model_snapshot"), ("trait", "prompt_sets")):
                key = {dimension: KEY[dimension]}
                runner.run_job(records, (dimension,), key, study, [stage], force=False)
        yield found


@pytest.fixture
def room(world: World) -> Iterator[int]:
    """Positions that the longest test prompt and the new tokens take."""
    lm = encoder_of(world.layout.model(MODEL), DEFAULT_DATE)
    prompts = read_part(world.layout.part("prompt_sets", {"trait": TRAIT}))
    study = catalog.study(STUDY)
    tests = preflight.prompt_selection.generation_tests(prompts, study)
    longest = max(len(ids) for ids in preflight.prompt_selection.encoded(lm, tests))
    before = (world.layout.model(MODEL) / "config.json").read_text()
    yield longest + NEW
    (world.layout.model(MODEL) / "config.json").write_text(before)
    preflight._given.clear()


def _declare(folder: Path, positions: int) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"max_position_embeddings": positions}))


def _set_room(world: World, positions: int) -> None:
    _declare(world.layout.model(MODEL), positions)
    preflight._given.clear()


def _study(**changed: object) -> Study:
    study = catalog.study(STUDY).model_dump()
    study["generation"]["max_new_tokens"] = NEW
    return Study.model_validate(study | changed)


def test_a_context_too_short_by_one_is_refused_with_both_numbers(world: World, room: int) -> None:
    _set_room(world, room - 1)
    refused = preflight.refusal(world.layout, KEY, _study())
    assert refused is not None
    assert f"{MODEL} has {room - 1} positions" in refused
    assert (
        f"needs {room}: {room - NEW} tokens of the longest test prompt and {NEW} new ones"
        in refused
    )
    assert len(re.findall(r"[.!?](?:\s|$)", refused)) == 0  # one sentence
    _set_room(world, room)
    assert preflight.refusal(world.layout, KEY, _study()) is None


def test_a_scope_after_a_section_that_is_not_written_is_refused(world: World, room: int) -> None:
    _set_room(world, room)
    generation = _study().generation.model_dump() | {"scope": "after_thinking"}
    refused = preflight.refusal(world.layout, KEY, _study(generation=generation))
    assert refused is not None
    assert f"{MODEL} writes no thinking section" in refused


def test_a_prompt_that_is_only_read_counts_by_itself(world: World, room: int) -> None:
    path = world.layout.part("prompt_sets", {"trait": TRAIT})
    stored, before = path.read_bytes(), read_part(path)
    long = pl.when(pl.col("role") == "contrast").then(pl.lit("x" * (room + 50)))
    write_part(path, before.with_columns(long.otherwise(pl.col("text")).alias("text")))
    try:
        _set_room(world, room)
        refused = preflight.refusal(world.layout, KEY, _study())
        assert refused is not None
        assert f"needs {room + 50}: {room + 50} tokens of the longest prompt;" in refused
    finally:
        path.write_bytes(stored)


def test_the_questions_of_a_judge_count(world: World, room: int) -> None:
    study = _study(scoring={"scorers": ["lm-judge"]})
    _set_room(world, 10_000)
    assert preflight.refusal(world.layout, KEY, study) is None
    _set_room(world, room)
    refused = preflight.refusal(world.layout, KEY, study)
    assert refused is not None
    assert "of the longest question of lm-judge" in refused


def test_a_number_type_that_overflows_is_refused(world: World) -> None:
    path = world.layout.part("models", {"model": MODEL})
    before = path.read_bytes()
    write_part(path, read_part(path).with_columns(pl.lit("float32").alias("finite_dtypes")))
    try:
        refused = preflight.refusal(world.layout, KEY, _study(numerics={"dtype": "float16"}))
        assert refused is not None
        assert "not finite in float16" in refused
    finally:
        path.write_bytes(before)


def test_processes_that_do_not_divide_the_heads_are_refused(world: World) -> None:
    refused = preflight.refusal(world.layout, KEY, _study(numerics={"tensor_parallel": 3}))
    assert refused is not None
    assert "has 4 heads, which are not divided evenly among 3" in refused


def test_a_run_is_refused_before_its_first_stage(world: World) -> None:
    with pytest.raises(runner.MaterialisationError, match=f"has {SHORT} positions"):
        runner.materialise(world.layout, [MODEL], [TRAIT], catalog.study(STUDY))
    _require_nothing_made(world)


def test_a_stage_of_the_ui_is_refused_too(world: World) -> None:
    study, stage = catalog.study(STUDY), ["activation_caches"]
    with (
        runner.instance() as records,
        pytest.raises(runner.MaterialisationError, match=f"has {SHORT} positions"),
    ):
        runner.run_job(records, ("model", "trait"), KEY, study, stage, force=False)
    _require_nothing_made(world)


def _require_nothing_made(world: World) -> None:
    made = [
        name
        for name, stage in STAGES.items()
        if stage.dimensions == ("model", "trait") and freshness.record_of(world.layout, stage, KEY)
    ]
    assert made == []


def test_a_model_that_declares_no_positions_has_no_limit(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bloom", "n_layer": 2}))
    assert positions_of(tmp_path) is None
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 77}))
    assert positions_of(tmp_path) == 77
