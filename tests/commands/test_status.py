"""`steer status`: models, traits and stages at a glance."""

import json

import pytest

from steer_assets.assets import STAGES
from steer_assets.automation.catch_up import NAME
from steer_assets.catalog import catalog
from steer_assets.pipeline import freshness
from steer_assets.storage import lineage
from steer_assets.storage.lineage import InputVersion
from tests.commands.conftest import MODEL, TRAIT
from tests.storage import synthetic


def _rows(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_status_of_nothing(steer):
    answer = steer("status")
    assert (answer.code, answer.out) == (0, "")
    assert "nothing is materialised yet" in answer.err


def _stale(steer) -> list[dict]:
    return [row for row in _rows(steer("status", "--json").out) if row["state"] == "stale"]


def test_status_says_what_is_stale_and_why(layout, steer):
    synthetic.write(layout, "prompt_sets", {"trait": "formality"}, {})
    made_from = [InputVersion("code", "prompt_sets", "long ago")]
    synthetic.record(layout, "prompt_sets", {"trait": "formality"}, made_from)
    (row,) = _stale(steer)
    assert (row["stage"], row["partition"], row["trait"]) == (
        "prompt_sets",
        "formality",
        "formality",
    )
    assert row["model"] is None
    assert "code prompt_sets changed" in row["why"]
    layout.part("prompt_sets", {"trait": "formality"}).unlink()
    (row,) = _stale(steer)
    assert "prompt_sets/trait=formality/part.parquet is missing" in row["why"]
    assert steer("db", "sync").code == 0
    stale = _rows(steer("sql", "FROM v_stale_artifacts", "--json").out)
    assert any(row["why"].endswith("part.parquet is missing") for row in stale)
    assert any(row["why"].startswith("code changed: ") for row in stale)


@pytest.fixture
def partly(layout):
    """One stale and one fresh artifact of a model; nothing else."""
    synthetic.write(layout, "prompt_sets", {"trait": "formality"}, {})
    synthetic.record(
        layout, "prompt_sets", {"trait": "formality"}, [InputVersion("code", "x", "0")]
    )
    stage = STAGES["model_snapshot"]
    key = {"model": "smollm2-135m-instruct"}
    synthetic.write(layout, "models", key, {})
    study = catalog.study("quick")
    path = layout.relative(layout.part("models", key))
    lineage.write_record(
        layout, asset_key=stage.name, key=key, data_version="1", study="quick", code_version="1",
        inputs=freshness.expected_inputs(layout, stage, key, study), run_id="r", mlflow_run_id="",
        files=[lineage.describe_file(layout, path)],
    )  # fmt: skip
    return layout


def test_status_is_a_grid_with_a_legend(partly, steer):
    answer = steer("status")
    assert answer.code == 0
    assert "smollm2-135m-instruct" in answer.out
    lines: dict[str, str] = {}
    for line in answer.out.splitlines():
        if line.startswith("│"):
            lines.setdefault(line.split()[1], line)  # the grid stands before the reasons
    heading = next(line for line in answer.out.splitlines() if line.startswith("┃"))
    traits = [word for word in heading.split() if word != "┃"][1:]
    assert traits == catalog.trait_keys()
    cells = [cell.strip() for cell in lines["prompt_sets"].split("│")[2:-1]]
    assert dict(zip(traits, cells, strict=True))["formality"] == "◐"
    assert set(lines["model_snapshot"].split("│")[2].strip()) == {"●"}
    assert lines["generations"].count("·") == len(traits)
    assert "● fresh (1)   ◐ stale (1)   · missing" in answer.out
    assert "code prompt_sets is new" in answer.out
    assert "\x1b" not in answer.out


def test_status_counts_what_is_missing_and_can_be_narrowed(partly, steer):
    rows = _rows(steer("status", "--trait", "sentiment", "--json").out)
    assert {row["trait"] for row in rows} == {None, "sentiment"}
    states = {(row["stage"], row["state"]) for row in rows}
    assert ("model_snapshot", "fresh") in states
    assert ("generations", "missing") in states
    assert len(rows) == len(STAGES)
    assert "did you mean sentiment" in steer("status", "--trait", "sentimnt").refused()


def test_status_says_what_partitions_take(partly, steer):
    rows = {(row["stage"], row["partition"]): row for row in _rows(steer("status", "--json").out)}
    snapshot = partly.part("models", {"model": "smollm2-135m-instruct"}).stat().st_size
    prompts = partly.part("prompt_sets", {"trait": "formality"}).stat().st_size
    assert rows["model_snapshot", "smollm2-135m-instruct"]["bytes"] == snapshot
    assert rows["prompt_sets", "formality"]["bytes"] == prompts
    assert rows["generations", "smollm2-135m-instruct|formality"]["bytes"] == 0
    (partly.root / "steer.duckdb").write_bytes(b"x" * 5_000_000)
    total = sum(path.stat().st_size for path in partly.root.rglob("*") if path.is_file())
    said = " ".join(steer("status").out.split())
    assert f"on disk: smollm2-135m-instruct {snapshot / 1000:.3g} kB, databases" in said
    rest, every = (total - snapshot) / 1e6, total / 1e6
    assert f"your own files {rest:.3g} MB; in all {every:.3g} MB" in said


def test_status_offers_what_has_no_report_by_commands_that_run_it(stored, steer):
    answer = steer("status")
    left = [trait for trait in catalog.trait_keys() if trait != TRAIT]
    asked = " ".join(f"--trait {trait}" for trait in left)
    assert f"`steer run --model {MODEL} {asked}` makes them" in answer.err
    assert f"sensor {NAME}, once switched on" in answer.err
    assert "no report" not in steer("status", "--trait", TRAIT).err
