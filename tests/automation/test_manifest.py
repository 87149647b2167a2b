"""What a model folder or file must be to be taken in; any bytes are refused with a sentence."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import pytest
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
from tests.tiny import write_model

MANY = settings(
    max_examples=700 if FULL else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("whole") / "model")


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
