"""`__all__` of a library lists its public names; modules are small, and folders of the package."""

import importlib
import pkgutil

import pytest

from steer_assets.paths import PACKAGE, REPOSITORY

MOST_LINES, MOST_FILES = 250, 16
LIBRARIES = ("lm", "geometry", "scoring", "stats")


@pytest.mark.parametrize("library", LIBRARIES)
def test_all_names_the_modules_that_there_are(library: str) -> None:
    package = importlib.import_module(f"steer_assets.{library}")
    found = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert package.__all__ == sorted(name for name in found if not name.startswith("_"))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_star_imports_them(library: str) -> None:
    names: dict[str, object] = {}
    exec(f"from steer_assets.{library} import *", names)
    assert names.keys() - {"__builtins__"} == set(
        importlib.import_module(f"steer_assets.{library}").__all__
    )


def test_modules_and_folders_are_small() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    tests = sorted((REPOSITORY / "tests").rglob("*.py"))
    every = [*files, *tests]
    long = [str(file) for file in every if len(file.read_text().splitlines()) > MOST_LINES]
    folders = {file.parent for file in files}
    full = [str(folder) for folder in folders if len([*folder.glob("*.py")]) > MOST_FILES]
    assert (long, full) == ([], [])
