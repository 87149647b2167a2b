import shutil
from pathlib import Path

import pytest

from steer_assets.storage import journal
from steer_assets.storage.database.syncing import sync
from steer_assets.storage.layout import Layout
from tests.storage import synthetic
from tests.storage.copies import copied
from tests.storage.rows import FORMALITY, SENTIMENT, TABLE


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "data")


@pytest.fixture
def full(layout: Layout, parts: Layout) -> Layout:
    """Parquet parts of every table, not loaded yet."""
    shutil.copytree(parts.root, layout.root)
    return layout


@pytest.fixture
def loaded(layout: Layout, synced: Layout) -> Layout:
    """Parts of every table, loaded."""
    return copied(synced, layout.root)


@pytest.fixture(scope="session")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = Layout(tmp_path_factory.mktemp("empty") / "data")
    sync(layout)
    return layout


@pytest.fixture
def empty(layout: Layout, _empty: Layout) -> Layout:
    """A database of no parts."""
    shutil.copytree(_empty.root, layout.root)
    return layout


@pytest.fixture(scope="session")
def _known(_empty: Layout, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = copied(_empty, tmp_path_factory.mktemp("known") / "data")
    for key in (FORMALITY, SENTIMENT):
        with journal.changing(layout, [layout.relative(layout.part(TABLE, key))]):
            synthetic.write(layout, TABLE, key, {"score": 1.0})
    sync(layout)
    return layout


@pytest.fixture
def known(layout: Layout, _known: Layout) -> Layout:
    """Two parts of one table that are loaded, and their journal."""
    return copied(_known, layout.root)
