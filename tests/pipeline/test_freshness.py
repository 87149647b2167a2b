"""Outdated artifacts and their reasons after a single change, by the real stages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from steer_assets.assets import STAGES
from steer_assets.automation import refresh
from steer_assets.catalog import catalog
from steer_assets.paths import CATALOG
from steer_assets.pipeline import freshness
from steer_assets.storage import lineage
from steer_assets.storage.database.syncing import sync
from steer_assets.storage.database.warehouse import query
from steer_assets.storage.layout import Layout, PartitionKey, partition_name

MODEL, TRAITS = "smollm2-135m-instruct", ("mine", "yours")
STUDY = "changing"
PAIRS = [f"{MODEL}|{trait}" for trait in TRAITS]


def file_of(stage: str, key: PartitionKey) -> str:
    return f"made/{stage}/{partition_name(key).replace('|', '/')}"


def make(layout: Layout, stage: str, key: PartitionKey, version: str) -> None:
    """Record an artifact as made from what it would be made from now."""
    path = layout.root / file_of(stage, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{stage} {version}")
    lineage.write_record(
        layout,
        asset_key=stage,
        key=key,
        data_version=f"{stage} {partition_name(key)} {version}",
        inputs=freshness.expected_inputs(layout, STAGES[stage], key, catalog.study(STUDY)),
        files=[lineage.describe_file(layout, layout.relative(path))],
        study=STUDY,
        code_version=STAGES[stage].code_version,
        run_id="r",
        mlflow_run_id="",
    )


def keys_of(stage: str) -> list[PartitionKey]:
    values = {"model": (MODEL,), "trait": TRAITS}
    keys: list[PartitionKey] = [{}]
    for dimension in STAGES[stage].dimensions:
        keys = [{**key, dimension: value} for key in keys for value in values[dimension]]
    return keys


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of one model and two traits, up to date."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEER_DATA_DIR", str(root))
        room = catalog.user_catalog()
        for name in ("traits", "labelled", "studies"):
            (room / name).mkdir(parents=True)
        for trait in TRAITS:
            text = (CATALOG / "traits" / "formality.yaml").read_text()
            text = text.replace("trait: formality", f"trait: {trait}")
            (room / "traits" / f"{trait}.yaml").write_text(text)
            shutil.copy(
                CATALOG / "labelled" / "formality.jsonl", room / "labelled" / f"{trait}.jsonl"
            )
        study = (CATALOG / "studies" / "quick.yaml").read_text()
        study = study.replace("study: quick", f"study: {STUDY}")
        (room / "studies" / f"{STUDY}.yaml").write_text(study)
        for stage in STAGES:
            for key in keys_of(stage):
                make(Layout(root), stage, key, "1")
    return root


@pytest.fixture
def layout(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A copy for who changes it."""
    root = shutil.copytree(whole, tmp_path / "data")
    monkeypatch.setenv("STEER_DATA_DIR", str(root))
    return Layout(root)


def stale(layout: Layout) -> dict[tuple[str, str], str]:
    """Reasons by asset and partition, as the view gives them after a sync."""
    result = sync(layout, expected_inputs=freshness.expected_frame(layout))
    assert not result.damaged
    rows = query(layout, "SELECT asset_key, partition, why FROM v_stale_artifacts").rows()
    return {(asset, partition): why for asset, partition, why in rows}


def expected_to_change(layout: Layout, stage: str) -> list[PartitionKey]:
    """Partitions of a stage that are out of date, as `steer run` and the nightly refresh see it."""
    study = catalog.study(STUDY)
    return [k for k in keys_of(stage) if not freshness.check(layout, STAGES[stage], k, study).fresh]


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_what_was_just_made_is_not_stale(layout: Layout) -> None:
    assert stale(layout) == {}


def test_changed_prompts_make_stale_their_trait_and_no_other(layout: Layout) -> None:
    change(
        catalog.user_catalog() / "traits" / "mine.yaml",
        "the printer is broken",
        "the lift is broken",
    )
    first = stale(layout)
    assert first["prompt_sets", "mine"].startswith("input changed: catalog ")
    seen = set(first)
    for stage in STAGES:  # made again in order, everything that was made from them is stale in turn
        for key in expected_to_change(layout, stage):
            seen.add((stage, partition_name(key)))
            make(layout, stage, key, "2")
    pairs = {name for name, stage in STAGES.items() if stage.dimensions == ("model", "trait")}
    assert {(name, PAIRS[0]) for name in pairs} <= seen
    assert {partition for _, partition in seen} == {"mine", PAIRS[0], "all"}
    assert stale(layout) == {}


def test_another_text_of_the_report_makes_no_text_of_the_model_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        STAGES, "equivalence_reports", replace(STAGES["equivalence_reports"], code_version="next")
    )
    assert stale(layout) == {
        ("equivalence_reports", pair): "code changed: code equivalence_reports" for pair in PAIRS
    }
    study = catalog.study(STUDY)
    for key in keys_of("generations"):
        assert refresh.selection(layout, ("model", "trait"), key, study) == ["equivalence_reports"]


def test_a_changed_setting_makes_stale_what_reads_it(layout: Layout) -> None:
    before = catalog.study(STUDY).statistics.n_boot
    path = catalog.user_catalog() / "studies" / f"{STUDY}.yaml"
    change(path, f"n_boot: {before}", f"n_boot: {before + 1}")
    found = stale(layout)
    reads = {name for name, s in STAGES.items() if any("statistics" in n for n in s.settings)}
    # texts of a study with several looks: their scores are tested while they are made
    looks = {key: why for key, why in found.items() if key[0] == "generations"}
    assert all("statistics.n_boot" in why for why in looks.values())
    others = {key: why for key, why in found.items() if key not in looks}
    assert {asset for asset, _ in others} <= reads
    assert ("equivalence_reports", PAIRS[0]) in others
    assert all("study statistics" in why for why in others.values())


def _flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    os.utime(path, (0, 0))  # its size differs, although its time does not


@pytest.mark.parametrize(
    ("damage", "words"),
    [(Path.unlink, "is missing"), (_flip, "is damaged"), (_truncate, "is damaged")],
)
def test_a_missing_or_damaged_file_is_a_reason(
    layout: Layout, damage: Callable[[Path], None], words: str
) -> None:
    key = keys_of("svd_spectra")[0]
    damage(layout.root / file_of("svd_spectra", key))
    found = stale(layout)
    assert set(found) == {("svd_spectra", PAIRS[0])}
    assert words in found["svd_spectra", PAIRS[0]]
    assert file_of("svd_spectra", key) in found["svd_spectra", PAIRS[0]]
