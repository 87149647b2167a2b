from pathlib import Path

import pytest

from steer_assets.storage.layout import Layout
from tests.storage import synthetic


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "data")


@pytest.fixture
def full(layout: Layout) -> Layout:
    """Parquet parts of every table, not loaded yet."""
    synthetic.write_warehouse(layout)
    return layout
