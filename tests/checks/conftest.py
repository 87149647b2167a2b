"""One copy of the finished run for all tests of checks; what a test changed is put back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.finished import copy_of
from tests.tiny import World


@pytest.fixture(scope="package")
def _copies(
    original: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, Path]]:
    """A copy to change, and one to take its files from."""
    root = tmp_path_factory.mktemp("checks")
    with copy_of(original, root / "world") as world:
        yield world, Path(shutil.copytree(world.root, root / "kept"))


@pytest.fixture
def finished(_copies: tuple[World, Path]) -> Iterator[World]:
    """The copy, put back after every test: copying all of its files takes longer than a check."""
    world, kept = _copies
    before = _stamps(world.root)
    yield world
    after = _stamps(world.root)
    for path in after.keys() - before.keys():
        path.unlink()
    for path in [path for path, stamp in before.items() if after.get(path) != stamp]:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(kept / path.relative_to(world.root), path)


def _stamps(root: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of change of every file."""
    found = {path: path.stat() for path in root.rglob("*") if path.is_file()}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}
