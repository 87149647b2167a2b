"""Finished pieces of a long stage: stored, removed, never mixed, not used when damaged."""

from pathlib import Path

import numpy as np

from steer_assets.storage.layout import Layout
from steer_assets.storage.shards import Shards, partial_folder

KEY = {"model": "m", "trait": "t"}


def test_what_is_put_is_found_by_the_same_computation_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    first = Shards(layout, "s", KEY, "a" * 64)
    first.begin()
    first.put_arrays("one", {"x": np.arange(6.0).reshape(2, 3)})
    first.put_records("two", [{"text": "é\n\u2028", "n": 2**40}])
    found = Shards(layout, "s", KEY, "a" * 64)
    found.begin()
    arrays = found.arrays("one")
    assert arrays is not None
    np.testing.assert_array_equal(arrays["x"], np.arange(6.0).reshape(2, 3))
    assert found.records("two") == [{"text": "é\n\u2028", "n": 2**40}]
    assert found.arrays("three") is None
    other = Shards(layout, "s", KEY, "b" * 64)
    other.begin()
    assert other.arrays("one") is None
    assert found.arrays("one") is None  # gone: another computation has begun


def test_a_damaged_piece_is_made_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    shards = Shards(layout, "s", KEY, "a" * 64)
    shards.put_arrays("one", {"x": np.ones(1000)})
    shards.put_records("two", ["text"])
    for path in partial_folder(layout, "s", KEY).rglob("*.*"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    assert shards.arrays("one") is None
    assert shards.records("two") is None
    shards.put_records("two", ["text"])
    path = next(partial_folder(layout, "s", KEY).rglob("two.json"))
    path.write_text(path.read_text().replace("text", "tex7"))
    assert shards.records("two") is None


def test_clearing_leaves_nothing(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    shards = Shards(layout, "s", KEY, "a" * 64)
    shards.put_records("two", ["text"])
    shards.clear()
    assert not list(tmp_path.rglob("*.json"))
    assert not partial_folder(layout, "s", KEY).exists()
