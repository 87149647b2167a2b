"""Fixtures shared by the rooms of the platform, and the distribution of tests over processes."""

import shutil
from pathlib import Path

import pytest

from steer_assets.storage.database.syncing import sync
from steer_assets.storage.layout import Layout
from tests.finished import finished, original
from tests.storage.synthetic_warehouse import write_warehouse
from tests.timings import Timings

__all__ = ["finished", "original"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--timings", metavar="FILE", help="write processor seconds per test as JSON")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--timings")
    config.pluginmanager.register(Timings(Path(path) if path else None), "timings")


def _group(item: pytest.Item) -> str:
    """Tests that share a costly fixture stay in one process; others are grouped by file."""
    if "/e2e/" in item.nodeid:
        return "real weights"
    if "original" in getattr(item, "fixturenames", ()):
        return "finished run"
    return item.nodeid.partition("::")[0]


def pytest_itemcollected(item: pytest.Item) -> None:
    """The group that xdist keeps in one process; it reads the mark once collection has ended."""
    group = _group(item)
    item.add_marker(pytest.mark.xdist_group(group))
    if group == "real weights":
        item.add_marker(pytest.mark.timeout(1800))  # a whole study on a busy machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup --no-loadscope-reorder` the two long groups begin first."""
    first = ["real weights", "finished run"]
    items.sort(key=lambda item: first.index(g) if (g := _group(item)) in first else len(first))


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Parts of every table, not loaded: written once, to be copied and not changed."""
    layout = Layout(tmp_path_factory.mktemp("parts"))
    write_warehouse(layout)
    return layout


@pytest.fixture(scope="session")
def synced(parts: Layout, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Parts of every table, loaded into the database; for reading, or to be copied."""
    layout = Layout(Path(shutil.copytree(parts.root, tmp_path_factory.mktemp("synced") / "data")))
    assert not sync(layout).damaged
    return layout
