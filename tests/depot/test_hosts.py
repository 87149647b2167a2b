"""Two hosts and an analyst with a depot between them: a folder, and a tiny model."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from steer_assets.pipeline import carrying
from steer_assets.storage.database import warehouse
from steer_assets.storage.depot.depot import at
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import table_statements
from tests.automation.killing import versions
from tests.finished import copy_of, records_in_memory, run_tiny
from tests.tiny import World, living_in


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With sources told by their times, as without a depot: both hosts are this machine."""
    folder = tmp_path / "depot"
    monkeypatch.setenv("STEER_DEPOT", str(folder))
    for user in ("storage.files.hashing", "assets.inputs.model_snapshot"):
        monkeypatch.setattr(f"steer_assets.{user}.depot_address", lambda: "")
    at.cache_clear()
    return folder


@pytest.fixture
def a(original: World, tmp_path: Path, depot: Path) -> Iterator[World]:
    """A host that made everything before there was a depot, and has pushed it."""
    with copy_of(original, tmp_path / "a") as world, records_in_memory():
        t = time.process_time()
        assert carrying.push(world.layout) == []
        print("push", time.process_time() - t)
        yield world


def empty_host(a: World, root: Path) -> World:
    """A host with the same catalog, and nothing else."""
    world = World(root)
    shutil.copytree(a.layout.root / "catalog", world.layout.root / "catalog")
    shutil.copytree(a.layout.root / "external", world.layout.root / "external")
    shutil.copy(a.layout.tracking_database, world.layout.tracking_database)
    return world


def tables(layout: Layout) -> dict[str, pl.DataFrame]:
    return {
        name: warehouse.query(layout, f'FROM "{name}" ORDER BY ALL') for name in table_statements()
    }


def test_two_hosts_and_an_analyst(a: World, tmp_path: Path) -> None:
    b = empty_host(a, tmp_path / "b")
    with living_in(b):
        t = time.process_time()
        outcome = run_tiny(b)
        print("second", time.process_time() - t)
        assert outcome.made == []
        print(sum(f.stat().st_size for f in b.layout.root.rglob("*") if f.is_file()))
    assert versions(b) == versions(a)
