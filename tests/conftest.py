"""Fixtures shared by the rooms of the platform, and what runs beside what."""

import pytest

from steer_assets.storage.layout import Layout
from steer_assets.storage.syncing import sync
from tests.finished import finished, original
from tests.storage import synthetic

__all__ = ["finished", "original"]


def _group(item: pytest.Item) -> str:
    """Tests that share something costly stay in one process; others go by file."""
    if "/e2e/" in item.nodeid:
        return "real weights"
    if "original" in getattr(item, "fixturenames", ()):
        return "finished run"
    return item.nodeid.partition("::")[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup --no-loadscope-reorder` the two long groups begin first."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            item.add_marker(pytest.mark.xdist_group(_group(item)))
    first = ["real weights", "finished run"]
    items.sort(key=lambda item: first.index(g) if (g := _group(item)) in first else len(first))


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Parts of every table, loaded into the database; for reading, or to be copied."""
    layout = Layout(tmp_path_factory.mktemp("synced"))
    synthetic.write_warehouse(layout)
    assert not sync(layout).damaged
    return layout
