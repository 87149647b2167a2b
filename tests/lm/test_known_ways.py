"""A snapshot is loaded without repeating the trials of its self-test, under the same conditions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steer_assets.lm.forward import known_ways, stepping
from steer_assets.lm.forward.stepping import SHARED, STATES, WHOLE, way_of
from steer_assets.lm.loading.loader import Source, load, snapshot
from tests.tiny import write_model


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ways")
    snapshot(Source("folder", str(write_model(root / "source"))), root / "taken")
    return root / "taken"


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ways that are tried while the test runs."""
    tried: list[str] = []
    real = stepping._reproduces

    def reproduces(lm: object, way: str) -> bool:
        tried.append(way)
        return real(lm, way)  # type: ignore[arg-type]

    monkeypatch.setattr(stepping, "_reproduces", reproduces)
    return tried


def test_a_snapshot_is_not_tried_again(taken: Path, trials: list[str]) -> None:
    assert way_of(load(taken, device="cpu")) == SHARED
    assert trials == []


def test_another_number_type_is_tried(taken: Path, trials: list[str]) -> None:
    load(taken, device="cpu", dtype="bfloat16")
    assert trials[:1] == [SHARED]


@pytest.mark.parametrize("changed", ["torch", "transformers", "device", "way", "damaged", "gone"])
def test_a_note_that_does_not_hold_is_not_believed(
    taken: Path, trials: list[str], changed: str
) -> None:
    path = taken / known_ways.NAME
    before = path.read_text()
    try:
        if changed == "gone":
            path.unlink()
        elif changed == "damaged":
            path.write_text(before[:-4])
        else:
            path.write_text(json.dumps(json.loads(before) | {changed: "0"}))
        assert way_of(load(taken, device="cpu")) == SHARED
        assert trials == [SHARED]
    finally:
        path.write_text(before)


@pytest.mark.parametrize("way", [STATES, WHOLE])
def test_the_noted_way_is_the_one_that_is_used(taken: Path, trials: list[str], way: str) -> None:
    path = taken / known_ways.NAME
    before = path.read_text()
    try:
        path.write_text(json.dumps(json.loads(before) | {"way": way}))
        assert way_of(load(taken, device="cpu")) == way
        assert trials == []
    finally:
        path.write_text(before)
