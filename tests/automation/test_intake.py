"""Models that appear: taken in, refused with a reason told once, mended, retired."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from steer_assets.automation import intake
from steer_assets.catalog import catalog
from tests.tiny import World, living_in, make_world, write_model


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with living_in(make_world(tmp_path / "world", scorer=tmp_path / "scorer")) as found:
        intake.watched_folder().mkdir(parents=True)
        yield found


def drop(whole: Path, name: str) -> Path:
    return Path(shutil.copytree(whole, intake.watched_folder() / name))


def age(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing had been written for a while."""
    monkeypatch.setattr(intake, "_SETTLE_S", -1.0)


def test_a_dropped_folder_is_entered_in_the_catalog(world: World, whole: Path) -> None:
    folder = drop(whole, "My Tiny_Model")
    found = intake.look(None)
    assert found.added == ["my-tiny_model"]
    assert "my-tiny_model" in found.usable
    assert found.told == []
    entry = yaml.safe_load((catalog.user_catalog() / "models/my-tiny_model.yaml").read_text())
    assert entry["source"] == {"kind": "folder", "location": str(folder), "revision": ""}
    again = intake.look(found.cursor)
    assert again.added == []
    assert again.usable == found.usable


def test_another_watched_folder_may_be_named(
    world: World, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEER_MODELS_DIR", str(tmp_path / "elsewhere"))
    drop(whole, "there")
    assert intake.look(None).added == ["there"]


def test_a_failing_model_is_told_once_blocks_nobody_and_is_picked_up_when_mended(
    world: World, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = drop(whole, "cut")
    age(folder, monkeypatch)
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-10])
    drop(whole, "good")
    first = intake.look(None)
    assert first.added == ["good"]
    assert len(first.told) == 1
    assert "incoming/cut: model.safetensors has" in first.told[0]
    second = intake.look(first.cursor)
    assert second.told == []
    assert "cut" not in second.usable
    weights.write_bytes(content)
    third = intake.look(second.cursor)
    assert third.added == ["cut"]
    assert {"cut", "good"} <= set(third.usable)


def test_a_model_still_being_copied_is_not_complained_about(world: World, whole: Path) -> None:
    folder = drop(whole, "copying")
    (folder / "model.safetensors").write_bytes(b"12345678")
    assert intake.look(None).told == []


def test_a_broken_catalog_file_is_told_once_and_blocks_nobody(world: World, whole: Path) -> None:
    models = catalog.user_catalog() / "models"
    (models / "broken.yaml").write_text("model: [")
    (models / "smollm2-135m-instruct.yaml").write_text("model: smollm2-135m-instruct")  # twice
    (models / "here.yaml").write_text(
        f"model: here\ntitle: x\nsource: {{kind: folder, location: {whole}}}\n"
    )
    first = intake.look(None)
    assert first.usable == ["here"]
    assert len(first.told) == 2
    assert any("not valid YAML" in told for told in first.told)
    assert any("already defined" in told for told in first.told)
    assert intake.look(first.cursor).told == []


def test_a_hub_model_needs_a_revision(world: World) -> None:
    path = catalog.user_catalog() / "models" / "hub.yaml"
    path.write_text("model: hub\ntitle: x\nsource: {kind: hub, location: owner/name}\n")
    found = intake.look(None)
    assert "revision" in next(told for told in found.told if "hub" in told)
    assert "hub" not in found.usable


def test_a_vanished_source_is_told(world: World, whole: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(whole, tmp_path / "gone"))
    path = catalog.user_catalog() / "models" / "gone.yaml"
    path.write_text(f"model: gone\ntitle: x\nsource: {{kind: folder, location: {source}}}\n")
    first = intake.look(None)
    assert "gone" in first.usable
    shutil.rmtree(source)
    second = intake.look(first.cursor)
    assert "gone" not in second.usable
    assert len(second.told) == 1


def test_two_drops_of_one_key_do_not_overwrite_each_other(
    world: World, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_SETTLE_S", -1.0)
    drop(whole, "Twin")
    drop(whole, "twin")
    found = intake.look(None)
    assert found.added == ["twin"]
    assert "already in the catalog" in found.told[0]


def test_a_damaged_cursor_is_no_cursor(world: World) -> None:
    for cursor in ("", "{", "[]", "null", '{"a": 1}'):
        assert intake.look(cursor).usable == intake.look(None).usable


def test_a_complaint_steers_no_terminal(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(tmp_path, monkeypatch)
    (intake.watched_folder() / "evil\x1b]0;x\x07\n\u202e").mkdir()
    (told,) = intake.look(None).told
    assert "⟨ESC⟩]0;x⟨U+0007⟩" in told
    assert not {"\x1b", "\x07", "\u202e"} & set(told)
