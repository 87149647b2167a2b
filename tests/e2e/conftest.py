"""One real run of the whole graph on the embedded model, shared by the tests of this folder.

In full it is run on the whole model. Otherwise on six of its blocks, in less than half of the time:
weights, tokenizer and vocabulary are the same, and the last blocks are kept because without them
all texts are of one token. The conversion of the whole model is tested by itself.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

from steer_assets.catalog import catalog
from steer_assets.lm.forward import known_ways
from steer_assets.lm.loading.loader import Source, snapshot
from steer_assets.paths import CATALOG, REPOSITORY
from steer_assets.storage.layout import Layout
from tests.databases import empty_databases
from tests.sizes import FULL

MODEL = "smollm2-135m-instruct"
TRAITS = ["sentiment"]
STUDY = "smoke"
#: Blocks of the model that the run is on.
BLOCKS = tuple(range(30)) if FULL else (0, 1, 2, 3, 28, 29)
#: Those of the run that are steered, as the study names them and by number; the last is none.
STEERED = ("3L/4", "7L/8") if FULL else ("L/2", "3L/4")
LAYERS = (22, 26) if FULL else (3, 4)
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


def _small_catalog(folder: Path, source: Path | None) -> Path:
    """The built-in catalog with a share of the neutral prompts, all of which a run reads.

    The model is that of the folder `source`, where one is given. Of labelled texts, half of the
    topics: by fewer of them the scorer would be too uncertain for any verdict.
    """
    shutil.copytree(CATALOG, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name in TRAITS:
        path = folder / "traits" / f"{name}.yaml"
        trait = yaml.safe_load(path.read_text())
        trait["test"] = {place: prompts[:N_PROMPTS] for place, prompts in trait["test"].items()}
        path.write_text(yaml.safe_dump(trait, allow_unicode=True))
        labelled = folder / "labelled" / f"{name}.jsonl"
        lines = labelled.read_text().splitlines(keepends=True)
        kept = sorted({json.loads(line)["topic"] for line in lines})[:: 1 if FULL else 2]
        labelled.write_text("".join(line for line in lines if json.loads(line)["topic"] in kept))
    if source is not None:
        entry = {"model": MODEL, "title": f"{len(BLOCKS)} of its blocks"}
        entry["source"] = {"kind": "folder", "location": str(source)}  # type: ignore[assignment]
        (folder / "models" / f"{MODEL}.yaml").write_text(yaml.safe_dump(entry))
    return folder


def _fewer_blocks(whole: Path, folder: Path) -> Path:
    """The model of a snapshot with `BLOCKS` alone, in their order."""
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("*.safetensors", known_ways.NAME))
    config = json.loads((whole / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": len(BLOCKS)}))
    with safe_open(whole / "model.safetensors", "pt") as weights:
        names = {name: name_in_run(name) for name in weights.keys()}  # noqa: SIM118
        kept = {own: weights.get_tensor(name) for name, own in names.items() if own}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def name_in_run(tensor: str) -> str:
    """What a tensor of the whole model is called in that of the run; empty where it is left out."""
    block = re.search(r"(?<=layers\.)\d+(?=\.)", tensor)
    if block is None:
        return tensor
    kept = int(block[0]) in BLOCKS
    return tensor.replace(block[0], str(BLOCKS.index(int(block[0]))), 1) if kept else ""


def _copy_inputs(root: Path) -> None:
    """The study at the blocks of the model, and empty databases of Dagster and MLflow."""
    empty = empty_databases()
    shutil.copytree(empty / "home", root / "dagster_home")
    tracking = Layout(root / "data").tracking_database
    tracking.parent.mkdir(parents=True)
    shutil.copy(Layout(empty).tracking_database, tracking)
    studies = root / "data" / "catalog" / "studies"
    studies.mkdir(parents=True)
    study = yaml.safe_load((REPOSITORY / "tests" / "studies" / f"{STUDY}.yaml").read_text())
    study["layers"] = {"steer": list(STEERED), "geometry": list(STEERED)}
    if not FULL:
        study["text_fisher"]["texts"] = 8
    (studies / f"{STUDY}.yaml").write_text(yaml.safe_dump(study))


@contextmanager
def _settings(root: Path, source: Path | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEER_DATA_DIR", str(root / "data"))
        patch.setenv("DAGSTER_HOME", str(root / "dagster_home"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(catalog, "CATALOG", _small_catalog(root / "catalog", source))
        yield


@pytest.fixture(scope="package")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snapshot of the embedded model with all of its blocks, as the stage makes it."""
    source = catalog.model_entry(MODEL).source
    folder = tmp_path_factory.mktemp("whole") / "model"
    snapshot(Source(source.kind, source.location, source.revision or None), folder)
    return folder


@pytest.fixture(scope="package")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    root = tmp_path_factory.mktemp("steer")
    _copy_inputs(root)
    source = None
    if not FULL:
        source = _fewer_blocks(request.getfixturevalue("whole"), root / "fewer blocks")
    with _settings(root, source):
        layout = Layout(root / "data")
        yield World(root, layout, run_smoke(layout))
