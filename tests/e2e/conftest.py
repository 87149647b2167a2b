"""One real run of the whole graph on the embedded model, shared by the tests of this folder."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from steer_assets.catalog import catalog
from steer_assets.paths import CATALOG, REPOSITORY
from steer_assets.storage.layout import Layout
from tests.databases import empty_databases

MODEL = "smollm2-135m-instruct"
TRAITS = ["sentiment"]
STUDY = "smoke"
#: Neutral prompts of each environment, more than study and calibration take.
N_PROMPTS = 12


@dataclass(frozen=True)
class World:
    """A data folder that the smoke study has been run in."""

    root: Path
    layout: Layout
    first: object


def run_smoke(layout: Layout, traits: list[str] = TRAITS) -> object:
    from steer_assets.automation.runner import materialise

    return materialise(layout, [MODEL], traits, catalog.study(STUDY))


def _small_catalog(folder: Path) -> Path:
    """The built-in catalog with a share of the neutral prompts, all of which a run reads.

    Labelled texts stay: by fewer of them the scorer is too uncertain for any verdict.
    """
    shutil.copytree(CATALOG, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name in TRAITS:
        path = folder / "traits" / f"{name}.yaml"
        trait = yaml.safe_load(path.read_text())
        trait["test"] = {place: prompts[:N_PROMPTS] for place, prompts in trait["test"].items()}
        path.write_text(yaml.safe_dump(trait, allow_unicode=True))
    return folder


def _copy_inputs(root: Path) -> None:
    """The study, and empty databases of Dagster and MLflow."""
    empty = empty_databases()
    shutil.copytree(empty / "home", root / "dagster_home")
    tracking = Layout(root / "data").tracking_database
    tracking.parent.mkdir(parents=True)
    shutil.copy(Layout(empty).tracking_database, tracking)
    studies = root / "data" / "catalog" / "studies"
    studies.mkdir(parents=True)
    shutil.copy(REPOSITORY / "tests" / "studies" / "smoke.yaml", studies)


@contextmanager
def _settings(root: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEER_DATA_DIR", str(root / "data"))
        patch.setenv("DAGSTER_HOME", str(root / "dagster_home"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(catalog, "CATALOG", _small_catalog(root / "catalog"))
        yield


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("steer")
    _copy_inputs(root)
    with _settings(root):
        layout = Layout(root / "data")
        yield World(root, layout, run_smoke(layout))
