"""Pieces of a killed run are taken by another host; damaged ones are made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steer_assets.storage.depot.depot import Depot
from steer_assets.storage.depot.objects import DepotError
from steer_assets.storage.layout import Layout
from steer_assets.storage.shards import Shards

KEY = {"model": "toy", "trait": "formality"}


def shards(depot: Depot | None, root: Path, fingerprint: str = "f" * 64) -> Shards:
    return Shards(Layout(root), "generations", KEY, fingerprint, depot)


def test_another_host_goes_on(depot: Depot, tmp_path: Path) -> None:
    a, b = (shards(depot, tmp_path / name) for name in "ab")
    a.put_records("texts-0", [{"text": "é"}])
    a.put_arrays("forms-0", {"x": np.arange(4.0)})
    b.begin()
    assert b.records("texts-0") == [{"text": "é"}]
    found = b.arrays("forms-0")
    assert found is not None
    assert found["x"].tolist() == [0, 1, 2, 3]
    assert b.records("texts-1") is None
    assert b.arrays("forms-1") is None
    assert shards(depot, tmp_path / "c", "0" * 64).records("texts-0") is None
    b.clear()
    assert list(depot.objects.list("partial/")) == []
    assert shards(depot, tmp_path / "c").records("texts-0") is None


def test_a_damaged_piece_is_made_again(depot: Depot, tmp_path: Path) -> None:
    a, b = (shards(depot, tmp_path / name) for name in "ab")
    a.put_records("texts-0", [1])
    a.put_arrays("forms-0", {"x": np.arange(4.0)})
    for found in list(depot.objects.list("partial/")):
        depot.objects.put(found.name, b"?" * found.bytes)
    assert b.records("texts-0") is None
    assert b.arrays("forms-0") is None
    b.put_records("texts-0", [1])
    assert shards(depot, tmp_path / "c").records("texts-0") == [1]


def test_a_run_goes_on_without_the_depot(
    depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Pieces are for speed: what the depot does not take is told and stays on this host."""
    a = shards(depot, tmp_path / "a")

    def away(*_: object) -> None:
        raise DepotError("partial in the depot: no answer")

    for name in ("put_file", "fetch", "list"):
        monkeypatch.setattr(type(depot.objects), name, away)
    a.put_records("texts-0", [1])
    assert a.records("texts-0") == [1]
    assert a.records("texts-1") is None
    a.clear()
    assert "a piece is not shared: partial in the depot: no answer" in caplog.text
    assert a.records("texts-0") is None
