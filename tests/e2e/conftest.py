"""One real run of the whole graph on the embedded model, shared by the tests of this folder."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from steer_assets.paths import REPOSITORY
from steer_assets.storage.layout import Layout

MODEL = "smollm2-135m-instruct"
TRAITS = ["sentiment"]
STUDY = "smoke"


@dataclass(frozen=True)
class World:
    """A data folder that the smoke study has been run in."""

    root: Path
    layout: Layout
    first: object


def run_smoke(layout: Layout, traits: list[str] = TRAITS) -> object:
    from steer_assets.automation.runner import materialise
    from steer_assets.catalog import catalog

    return materialise(layout, [MODEL], traits, catalog.study(STUDY))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("steer")
    home = root / "dagster_home"
    home.mkdir()
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", home)
    studies = root / "data" / "catalog" / "studies"
    studies.mkdir(parents=True)
    shutil.copy(REPOSITORY / "tests" / "studies" / "smoke.yaml", studies)
    settings = {
        "STEER_DATA_DIR": str(root / "data"),
        "DAGSTER_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        layout = Layout(root / "data")
        yield World(root, layout, run_smoke(layout))
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
