import polars as pl
import pytest

from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import (
    TABLE,
    InputVersion,
    damaged_files,
    freshness,
    read_record,
)
from steer_assets.storage.schema import columns
from tests.storage import synthetic

ASSET = "null_spaces"
KEY = {"model": "toy", "trait": "formality"}
CODE = InputVersion("code", "all", "1")
PROMPTS = InputVersion("prompt_sets", "formality", "p1")
STUDY = InputVersion("study", "layers", "s1")


@pytest.fixture
def made(layout: Layout) -> Layout:
    synthetic.write(layout, ASSET, KEY, {})
    synthetic.record(layout, ASSET, KEY, [CODE, PROMPTS, STUDY], "v1")
    return layout


def test_a_record_says_what_was_made_from_what(made):
    record = read_record(made, ASSET, KEY)
    assert record is not None
    assert (record.partition, record.data_version, record.study) == ("toy|formality", "v1", "quick")
    assert record.inputs == {CODE, PROMPTS, STUDY}
    assert [file.path for file in record.files] == [made.relative(made.part(ASSET, KEY))]
    assert read_record(made, ASSET, {**KEY, "trait": "sentiment"}) is None


def test_the_record_of_counts_and_the_history_is_kept(made):
    newer = InputVersion("prompt_sets", "formality", "p2")
    synthetic.record(made, ASSET, KEY, [CODE, newer], "v2")
    record = read_record(made, ASSET, KEY)
    assert record is not None
    assert (record.data_version, record.inputs) == ("v2", {CODE, newer})
    history = read_part(made.part(TABLE, {"asset_key": ASSET, **KEY}))
    assert set(history["data_version"]) == {"v1", "v2"}
    assert history.columns == list(columns(TABLE))


@pytest.mark.parametrize(
    ("now", "reasons"),
    [
        ([CODE, PROMPTS, STUDY], ()),
        ([STUDY, CODE, PROMPTS], ()),
        ([InputVersion("code", "all", "2"), PROMPTS, STUDY], ("code all changed",)),
        ([CODE, InputVersion("prompt_sets", "formality", "p2"), STUDY], ("prompt_sets formality",)),
        ([CODE, PROMPTS], ("study layers is gone",)),
        ([CODE, PROMPTS, STUDY, InputVersion("external", "mine", "e")], ("external mine is new",)),
    ],
)
def test_freshness_names_every_changed_input(made, now, reasons):
    state = freshness(made, ASSET, KEY, now)
    assert state.fresh == (not reasons)
    assert len(state.reasons) == len(reasons)
    for said, expected in zip(state.reasons, reasons, strict=True):
        assert said.startswith(expected)


def test_what_was_never_made_is_not_fresh(layout):
    assert freshness(layout, ASSET, KEY, []).reasons == ("never materialised",)


def test_missing_and_damaged_files_are_named(made):
    record = read_record(made, ASSET, KEY)
    assert record is not None
    assert damaged_files(made, record) == []
    path = made.part(ASSET, KEY)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "is damaged" in damaged_files(made, record)[0]
    path.unlink()
    state = freshness(made, ASSET, KEY, [CODE, PROMPTS, STUDY])
    assert state.reasons == (f"{made.relative(path)} is missing",)


def test_a_damaged_record_is_named_and_replaced_by_the_next(made):
    path = made.part(TABLE, {"asset_key": ASSET, **KEY})
    path.write_bytes(path.read_bytes()[:50])
    state = freshness(made, ASSET, KEY, [CODE, PROMPTS, STUDY])
    assert not state.fresh
    assert f"{path} is damaged" in state.reasons[0]
    synthetic.record(made, ASSET, KEY, [CODE], "v3")
    assert freshness(made, ASSET, KEY, [CODE]).fresh


def test_an_identical_remake_is_fresh_though_another_run_made_it(made):
    path = made.part(ASSET, KEY)
    remade = read_part(path).with_columns(pl.lit("another run").alias("run_id"))
    path.unlink()
    synthetic.write(made, ASSET, KEY, *remade.to_dicts())
    assert not freshness(made, ASSET, KEY, [CODE, PROMPTS, STUDY]).fresh  # other bytes
    synthetic.record(made, ASSET, KEY, [CODE, PROMPTS, STUDY], "v1")
    assert freshness(made, ASSET, KEY, [CODE, PROMPTS, STUDY]).fresh
