"""Sources of models and scorers on several hosts: copies are equal, and absent ones unchanged."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from steer_assets.assets.inputs import model_snapshot
from steer_assets.storage.files.hashing import fingerprint
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import InputVersion, describe_file, write_record
from tests.storage import synthetic

KEY = {"model": "far"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(3 << 20))
    return folder


def touched(folder: Path) -> Path:
    """A copy as another host has it: with other times."""
    copy = Path(shutil.copytree(folder, folder.parent / f"{folder.name}-copy"))
    for path in copy.iterdir():
        os.utime(path, (1e9, 1e9))
    return copy


def test_copies_have_one_fingerprint_with_a_depot(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = touched(source)
    assert fingerprint(copy) != fingerprint(source)  # as without a depot
    monkeypatch.setenv("STEER_DEPOT", "somewhere")
    assert fingerprint(copy) == fingerprint(source)
    for place in (0, (3 << 20) - 1):
        with (copy / "model.safetensors").open("r+b") as file:
            file.seek(place)
            file.write(b"1")
        assert fingerprint(copy) != fingerprint(source)
        shutil.copy(source / "model.safetensors", copy)
    (copy / "config.json").write_text("{ }")
    assert fingerprint(copy) != fingerprint(source)


@pytest.fixture
def data(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A host whose catalog names the source."""
    layout = Layout(tmp_path / "data")
    models = layout.root / "catalog" / "models"
    models.mkdir(parents=True)
    text = f"model: far\ntitle: far\nsource: {{kind: folder, location: {source}}}\n"
    (models / "far.yaml").write_text(text)
    monkeypatch.setenv("STEER_DATA_DIR", str(layout.root))
    monkeypatch.setenv("STEER_DEPOT", str(tmp_path / "depot"))
    return layout


def sources() -> dict[str, str]:
    return model_snapshot._sources(KEY, None)  # type: ignore[arg-type]


def test_a_source_that_is_not_here_is_unchanged(data: Layout, source: Path) -> None:
    there = sources()
    write_record(
        data, asset_key="model_snapshot", key=KEY, data_version="v", study="quick",
        inputs=[InputVersion("catalog", *item) for item in there.items()],
        files=[describe_file(data, synthetic.write(data, "models", KEY, {}))],
        code_version="1", run_id="r", mlflow_run_id="",
    )  # fmt: skip
    (source / "config.json").write_text("{ }")
    assert sources() != there  # it is here, and changed
    shutil.rmtree(source)
    assert sources() == there
    path = data.root / "catalog" / "models" / "far.yaml"
    path.write_text(path.read_text().replace("title: far", "title: near"))
    assert sources() == there
    path.write_text(path.read_text().replace(str(source), f"{source}-2"))
    assert sources() != there  # the entry names another source


def test_without_a_depot_a_source_is_one_input(
    data: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STEER_DEPOT")
    assert list(sources()) == ["models/far.yaml"]
