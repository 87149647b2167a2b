"""`__all__` of a library lists its public names, and all of them can be imported."""

import importlib
import pkgutil

import pytest

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
