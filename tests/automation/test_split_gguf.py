"""A GGUF in several files is one model: in the watched folder, the catalog and its lineage."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest
from typer.testing import CliRunner

from steer_assets.assets import STAGES
from steer_assets.automation import intake
from steer_assets.automation.manifest import ManifestError, check_local
from steer_assets.catalog import catalog
from steer_assets.cli import app
from steer_assets.lm.loading.sources import Source, locate
from tests.tiny import World, living_in, make_world

PARTS = [f"toy-{i:05d}-of-00003.gguf" for i in (1, 2, 3)]


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A folder with the three parts of one file."""
    folder = tmp_path / "split"
    folder.mkdir()
    for number, name in enumerate(PARTS):
        writer = gguf.GGUFWriter(folder / name, "llama")
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", len(PARTS))
        writer.add_tensor(f"blk.{number}.attn_q.weight", np.full((4, 4), number, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return folder


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with living_in(make_world(tmp_path / "world", scorer=tmp_path / "scorer")) as found:
        intake.watched_folder().mkdir(parents=True)
        yield found


@pytest.mark.parametrize("in_folder", [False, True])
def test_parts_that_are_dropped_are_one_model(world: World, split: Path, in_folder: bool) -> None:
    target = intake.watched_folder() / ("mine" if in_folder else "")
    shutil.copytree(split, target, dirs_exist_ok=True)
    found = intake.look(None)
    assert (found.added, found.told) == (["toy"], [])
    source = catalog.model_entry("toy").source
    assert (source.kind, source.location) == ("gguf", str(target / PARTS[0]))
    assert intake.look(found.cursor).added == []


def test_a_part_that_is_missing_is_named_once_and_awaited(
    world: World, split: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_SETTLE_S", -1.0)
    for name in PARTS[1:]:
        shutil.copy(split / name, intake.watched_folder())
    found = intake.look(None)
    assert found.added == []
    assert len(found.told) == 1
    assert f"{PARTS[0]} is missing" in found.told[0]
    shutil.copy(split / PARTS[0], intake.watched_folder())
    assert intake.look(found.cursor).added == ["toy"]


def test_a_damaged_later_part_is_named(split: Path) -> None:
    assert check_local(split).bytes == sum((split / name).stat().st_size for name in PARTS)
    (split / PARTS[2]).write_bytes(b"GGUX" + bytes(60))
    with pytest.raises(ManifestError, match=f"{PARTS[2]} is not GGUF"):
        check_local(split / PARTS[0])


@pytest.mark.parametrize("typed", ["", PARTS[0], PARTS[1]])
def test_adding_the_folder_or_any_part_adds_the_whole(
    world: World, split: Path, typed: str
) -> None:
    done = CliRunner().invoke(app, ["models", "add", str(split / typed)])
    assert done.exit_code == 0, done.output
    assert catalog.model_entry("toy").source.location == str(split / PARTS[0])


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_an_input_of_the_snapshot(world: World, split: Path, part: str) -> None:
    CliRunner().invoke(app, ["models", "add", str(split)])
    sources = STAGES["model_snapshot"].sources
    before = sources({"model": "toy"}, catalog.study("quick"))
    assert sources({"model": "toy"}, catalog.study("quick")) == before
    content = bytearray((split / part).read_bytes())
    content[-1] ^= 1
    (split / part).write_bytes(content)
    assert sources({"model": "toy"}, catalog.study("quick")) != before


def test_a_folder_of_parts_is_read_from_its_first(split: Path) -> None:
    assert locate(Source("folder", str(split))) == split / PARTS[0]
