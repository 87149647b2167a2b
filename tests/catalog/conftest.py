from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own catalog, empty."""
    folder = tmp_path / "catalog"
    monkeypatch.setenv("STEER_CATALOG_DIR", str(folder))
    for room in ("models", "traits", "studies", "labelled"):
        (folder / room).mkdir(parents=True)
    return folder
