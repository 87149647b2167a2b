"""Models that appear: taken in, refused with a reason told once, mended, retired."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steer_assets.automation import intake
from steer_assets.automation.manifest import (
    CHECKSUMS,
    ManifestError,
    check_gguf,
    check_local,
    check_model_folder,
)
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.storage.files.hashing import hash_file
from steer_assets.storage.slugs import InvalidKeyError, validate_slug
from tests.sizes import FULL
from tests.tiny import World, living_in, make_world, write_model

MANY = settings(
    max_examples=700 if FULL else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


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


def _rewritten_header(folder: Path, change: dict[str, object]) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    header |= change
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def test_the_manifest_of_a_whole_folder(whole: Path) -> None:
    found = check_local(whole)
    assert found.kind == "folder"
    assert found.architecture == "LlamaForCausalLM"
    assert found.bytes == (whole / "model.safetensors").stat().st_size
    assert check_local(whole) == found


def test_what_a_manifest_refuses(whole: Path, tmp_path: Path) -> None:
    def folder(name: str) -> Path:
        return Path(shutil.copytree(whole, tmp_path / name))

    def config(made: Path, **change: object) -> None:
        path = made / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))

    cases: dict[str, Path] = {}
    cases["code of its own"] = folder("code")
    config(cases["code of its own"], model_type="evil", auto_map={"AutoModel": "evil.Model"})
    cases["num_hidden_layers"] = folder("layers")
    config(cases["num_hidden_layers"], num_hidden_layers=-3)
    cases["vocab_size"] = folder("vocabulary")
    config(cases["vocab_size"], vocab_size="many")
    cases["pickled"] = folder("pickled")
    (cases["pickled"] / "model.safetensors").rename(cases["pickled"] / "pytorch_model.bin")
    cases["no tokenizer"] = folder("tokenizer")
    (cases["no tokenizer"] / "tokenizer.json").unlink()
    cases["no usable place"] = folder("negative")
    _rewritten_header(
        cases["no usable place"], {"x": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}
    )
    cases["overlap or leave gaps"] = folder("overlap")
    _rewritten_header(
        cases["overlap or leave gaps"],
        {"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
    )
    cases["no file of the folder"] = folder("escape")
    (cases["no file of the folder"] / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../../etc/passwd"}})
    )
    cases["is missing"] = folder("shard")
    (cases["is missing"] / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model-00002.safetensors"}})
    )
    cases["does not have the checksum"] = folder("sums")
    (cases["does not have the checksum"] / CHECKSUMS).write_text(f"{'0' * 64}  model.safetensors\n")
    cases["larger than"] = folder("large")
    (cases["larger than"] / "config.json").write_text(" " * ((16 << 20) + 1))
    cases["neither a folder nor"] = tmp_path / "nothing"
    for words, path in cases.items():
        with pytest.raises(ManifestError, match=words):
            check_local(path)


def test_a_pipe_is_not_waited_for(whole: Path, tmp_path: Path) -> None:
    made = Path(shutil.copytree(whole, tmp_path / "pipe"))
    os.mkfifo(made / "more.safetensors")
    with pytest.raises(ManifestError, match=r"more\.safetensors is no file"):
        check_model_folder(made)


def test_a_complaint_steers_no_terminal(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(tmp_path, monkeypatch)
    (intake.watched_folder() / "evil\x1b]0;x\x07\n\u202e").mkdir()
    (told,) = intake.look(None).told
    assert "⟨ESC⟩]0;x⟨U+0007⟩" in told
    assert not {"\x1b", "\x07", "\u202e"} & set(told)


def test_right_checksums_pass(whole: Path, tmp_path: Path) -> None:
    made = Path(shutil.copytree(whole, tmp_path / "sums"))
    digest = hash_file(made / "model.safetensors")
    (made / CHECKSUMS).write_text(f"{digest} *model.safetensors\n")
    assert check_model_folder(made).kind == "folder"


@MANY
@given(content=st.binary(max_size=400), as_gguf=st.booleans())
def test_any_bytes_are_refused_with_a_sentence(
    content: bytes, as_gguf: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0" + content if as_gguf else content)
    with pytest.raises(ManifestError):
        check_gguf(path)


@MANY
@given(
    header=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=9,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    where=st.sampled_from(["weights", "config.json", "model.safetensors.index.json", CHECKSUMS]),
)
def test_any_header_is_refused_or_read_without_a_traceback(
    whole: Path, header: bytes, where: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = tmp_path_factory.getbasetemp() / "fuzzed"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(whole, made)
    if where == "weights":
        (made / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    else:
        (made / where).write_bytes(header)
    words = "whole"
    try:
        check_local(made)
    except ManifestError as error:
        words = str(error)
    assert words


@MANY
@given(name=st.text(max_size=120))
def test_any_name_becomes_a_key_or_is_refused(name: str) -> None:
    try:
        key = intake.key_of(Path("incoming") / (name.replace("/", "_").replace("\0", "_") or "x"))
    except InvalidKeyError:
        return
    assert validate_slug(key) == key


@MANY
@given(text=st.text(max_size=200))
def test_any_catalog_file_is_read_or_refused_with_file_and_line(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.getbasetemp() / "fuzz-catalog"
    (root / "models").mkdir(parents=True, exist_ok=True)
    path = root / "models" / "fuzz.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEER_CATALOG_DIR", str(root))
        words = str(path)
        try:
            catalog.model_entry("fuzz")
        except CatalogError as error:
            words = str(error)
        assert str(path) in words
