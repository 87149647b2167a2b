"""`steer diff`, and the asset that compares every summary with the one before."""

import json
import logging
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.pipeline.stage import Produced, StageRun
from steer_assets.resources.language_models import LanguageModels
from steer_assets.storage.database.syncing import sync
from steer_assets.storage.files.parquet import read_part, write_part
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import InputVersion
from steer_assets.storage.shards import Shards
from tests.storage import synthetic
from tests.storage.copies import copied
from tests.storage.synthetic import LAYER, MODEL, TRAITS

CHANGED, SAME = TRAITS
KEY = {"model": MODEL, "trait": CHANGED}
_ROW = {"protocol": "controlled", "scorer": "minilm", "layer": LAYER}


def _rows(answer) -> list[dict]:
    return [json.loads(line) for line in answer.out.splitlines()]


def _summarised(layout: Layout, **verdicts: str) -> None:
    rows = [
        {"model": MODEL, "trait": trait, **_ROW, "verdict": verdicts.get(trait, "different")}
        for trait in TRAITS
    ]
    synthetic.write(layout, "identifiability_summary", {}, *rows)


def _reported(layout: Layout, version: str, *inputs: InputVersion) -> None:
    prompts = InputVersion("prompt_sets", CHANGED, f"version of prompt_sets {CHANGED}")
    synthetic.record(layout, "equivalence_reports", KEY, [prompts, *inputs], version)


@pytest.fixture(scope="module")
def _before(synced: Layout, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = copied(synced, tmp_path_factory.mktemp("before") / "data")
    _summarised(layout)
    assert not sync(layout).damaged
    return layout


@pytest.fixture
def before(layout: Layout, _before: Layout) -> Layout:
    """The data folder, with two reports."""
    return copied(_before, layout.root)


@pytest.fixture(scope="module")
def _after(_before: Layout, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = copied(_before, tmp_path_factory.mktemp("after") / "data")
    _summarised(layout, **{CHANGED: "equivalent"})
    code, study = InputVersion("code", "all", "2"), InputVersion("study", "statistics", "s2")
    _reported(layout, "another", code, study)
    _another_text(layout)
    assert not sync(layout).damaged
    return layout


@pytest.fixture
def after(_after: Layout, tmp_path: Path) -> Layout:
    """A copy in which one report has another verdict, code and study, and one other text."""
    return copied(_after, tmp_path / "after")


def test_two_warehouses_differ_in_what_was_changed_and_for_its_reasons(before, after, steer):
    answer = steer("diff", str(before.root), str(after.database), "--json")
    (row,) = _rows(answer)
    assert (row["model"], row["trait"], row["layer"]) == (MODEL, CHANGED, LAYER)
    assert (row["verdict_before"], row["verdict_after"]) == ("different", "equivalent")
    assert row["texts"] == "1 of 4 texts differ"
    assert row["effects"] == ""
    assert row["why"] == ["code: all from version 1 to 2", "study: statistics"]
    said = steer("diff", str(before.root), str(after.root))
    assert "different → equivalent" in said.out
    assert "1 verdicts changed; 1 rows differ in a verdict or an effect, 1 are the same" in said.err
    assert "because of code (all from version 1 to 2); study (statistics)" in said.err
    assert SAME not in said.out + said.err


def test_a_changed_input_far_upstream_is_the_reason(before, after, steer):
    inputs = [InputVersion("code", "all", "1"), InputVersion("catalog", "traits", "other")]
    synthetic.record(after, "prompt_sets", {"trait": CHANGED}, inputs, "prompts 2")
    synthetic.record(
        after, "equivalence_reports", KEY, [InputVersion("prompt_sets", CHANGED, "prompts 2")], "3"
    )
    sync(after)
    (row,) = _rows(steer("diff", str(before.root), str(after.root), "--json"))
    assert "input: traits is new" in row["why"]


def test_a_stage_that_did_not_repeat_is_named(before, after, steer):
    _reported(
        after, "3", InputVersion("code", "all", "1"), InputVersion("study", "statistics", "s1")
    )
    sync(after)
    (row,) = _rows(steer("diff", str(before.root), str(after.root), "--json"))
    assert row["why"] == ["result: equivalence_reports differs, though made from the same inputs"]


def test_nothing_differs_between_a_warehouse_and_itself(before, steer):
    answer = steer("diff", str(before.root))
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "nothing differs: 2 rows are the same in both\n"


def test_the_page_escapes_and_shows_each_change(before, after, steer, tmp_path):
    page = tmp_path / "out" / "changes.html"
    steer("diff", str(before.root), str(after.root), "--page", str(page))
    html = page.read_text()
    assert html.count('class="chip chip-equivalent"') == 1
    assert "<script" not in html
    assert "1 of 4 texts differ" in html


def test_what_is_no_side_is_refused(before, steer):
    assert "no data folder" in steer("diff", "nothing-like-it").refused()


def _run(layout: Layout) -> StageRun:
    shards = Shards(layout, "changes_since_last", {}, "")
    log = logging.getLogger("test")
    return StageRun(
        "changes_since_last", {}, catalog.study("quick"), layout, LanguageModels(), shards, log
    )


def _made(layout: Layout) -> Produced:
    produced = STAGES["changes_since_last"].make(_run(layout))
    (rows,) = produced.rows
    complete = rows.frame.with_columns(
        pl.lit("r").alias("run_id"), pl.lit("1").alias("code_version")
    )
    write_part(layout.part("verdict_history", {}), complete, frozenset(("efficacy",)))
    sync(layout)
    return produced


def test_every_summary_is_compared_with_the_one_before(before, steer):
    first = _made(before)
    assert first.rows[0].frame.height == len(TRAITS)
    middle = datetime.now(UTC).replace(tzinfo=None)
    time.sleep(0.002)
    assert _made(before).rows[0].frame.equals(first.rows[0].frame)
    _summarised(before, **{CHANGED: "equivalent"})
    _reported(before, "another", InputVersion("code", "all", "2"))
    sync(before)
    second = _made(before)
    assert second.rows[0].frame.height == len(TRAITS) + 1
    assert "1 verdicts changed" in second.metadata["in all"]
    assert "code (all from version 1 to 2)" in second.metadata["change 1"]
    assert "different" in (before.root / "reports" / "changes.html").read_text()
    # the same by the command: between a time and now
    (row,) = _rows(steer("diff", middle.isoformat(), "--json"))
    assert (row["verdict_before"], row["verdict_after"]) == ("different", "equivalent")


def _another_text(layout: Layout) -> None:
    path = layout.part("generations", KEY)
    first = pl.int_range(pl.len()) == 0
    changed = pl.when(first).then(pl.lit("another text")).otherwise(pl.col("text"))
    write_part(path, read_part(path).with_columns(changed.alias("text")))


def _another_effect(layout: Layout, by: float) -> None:
    path = layout.part("equivalence_tests", KEY)
    write_part(path, read_part(path).with_columns(pl.col("cohens_d") + by))


def test_dates_and_studies_are_compared_by_effects_and_texts_too(before, steer):
    _made(before)
    middle = datetime.now(UTC).replace(tzinfo=None)
    time.sleep(0.002)
    _another_text(before)
    _another_effect(before, 0.25)
    _summarised(before, **{CHANGED: "equivalent"})
    synthetic.record(
        before, "equivalence_reports", KEY, [InputVersion("code", "all", "2")], "b", "standard"
    )
    sync(before)
    told = "1 of 4 texts differ", "effects differ, by up to 0.25 SD"
    said = _made(before).metadata["change 1"]
    assert all(words in said for words in told)
    # With now, where one side is in the database, and between studies, where none is.
    for sides in ([middle.isoformat()], ["quick", "standard"]):
        rows = [r for r in _rows(steer("diff", *sides, "--json")) if r["trait"] == CHANGED]
        assert all(words in f"{rows[0]['texts']}; {rows[0]['effects']}" for words in told)
    # What was not kept is said, and not called new.
    shutil.rmtree(before.root / "history")
    (row,) = _rows(steer("diff", middle.isoformat(), "--json"))
    assert (row["texts"], row["effects"]) == ("the earlier texts were not kept", "")


@pytest.mark.parametrize("harm", ["history", "summary", "database"])
def test_the_comparison_never_fails(before, harm):
    _made(before)
    path = {
        "history": before.part("verdict_history", {}),
        "summary": before.part("identifiability_summary", {}),
        "database": before.database,
    }[harm]
    path.write_bytes(b"no")
    produced = (
        _made(before) if harm == "history" else STAGES["changes_since_last"].make(_run(before))
    )
    if harm == "summary":
        assert "no comparison was possible" in produced.metadata["in all"]
        page = (before.root / "reports" / "changes.html").read_text()
        assert "comparison was possible" in page
        assert 'href="index.html"' in page
    assert produced.rows[0].frame.height == len(TRAITS)
