import shutil
from pathlib import Path

import pytest

from steer_assets.storage.layout import Layout


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
    """The same parts with their database, to be asked; to a sync, the parts are new ones."""
    shutil.copytree(synced.root, layout.root)
    return layout
