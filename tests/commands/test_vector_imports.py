"""Imported vectors: one for every block, a scale, another architecture, a pickle."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from steer_assets.cli import app
from steer_assets.commands import vectors as command
from steer_assets.geometry import vector_files
from steer_assets.geometry.errors import VectorFileError
from steer_assets.geometry.vector_files import NamedVector
from steer_assets.pipeline import external_vectors
from steer_assets.storage.layout import Layout
from tests.commands.test_vectors import (
    LAYERS,
    MODEL,
    RNG,
    STORED,
    TRAIT,
    WHERE,
    WIDTH,
    _run,
    layout,
)

__all__ = ["layout"]


def _unit(layer: int) -> np.ndarray:
    row = np.random.default_rng(layer).normal(size=WIDTH)
    return row / np.linalg.norm(row)


def _control_vector(path: Path, hint: str = "llama") -> Path:
    """A unit vector for every block that the format has, as repeng writes."""
    named = [NamedVector(f"direction.{n}", _unit(n), n) for n in range(1, LAYERS)]
    vector_files.write_control_vector(path, named, model_hint=hint)
    return path


def _used(layout: Layout, layer: int, name: str, v: np.ndarray) -> np.ndarray:
    return external_vectors.read(layout, MODEL, TRAIT, layer)[name].scaled(v)


def test_one_import_brings_every_block_of_the_file(layout: Layout, tmp_path: Path) -> None:
    said = _run("import", _control_vector(tmp_path / "all.gguf"))
    for layer in range(1, LAYERS):
        assert f"L{layer}.external.all" in said
        expected = _unit(layer).astype(np.float32)
        assert np.array_equal(_used(layout, layer, "all", np.ones(WIDTH)), expected)
    assert not external_vectors.read(layout, MODEL, TRAIT, 0)
    assert "not blocks 1, 2, 5" in said


def test_a_scale_is_a_number_or_the_length_of_v(layout: Layout, tmp_path: Path) -> None:
    file = _control_vector(tmp_path / "all.gguf")
    said = _run("import", file, "--scale", "v")
    length = np.linalg.norm(STORED["L3.base"])
    assert f"scaled to {length:.4g}, v's is {length:.4g}" in said
    # v may be another by the time that the vector is used.
    for layer, v in ((3, STORED["L3.base"]), (5, RNG.normal(size=WIDTH))):
        used = _used(layout, layer, "all", v)
        assert np.linalg.norm(used) == pytest.approx(np.linalg.norm(v), rel=1e-12)
        assert used @ _unit(layer) == pytest.approx(np.linalg.norm(v), rel=1e-6)
    _run("import", file, "--layer", 4, "--scale", "-2.5")
    assert np.linalg.norm(_used(layout, 4, "all", np.ones(WIDTH))) == pytest.approx(2.5, rel=1e-6)
    listed = CliRunner().invoke(app, ["vectors", "list", *WHERE, "--json"]).stdout
    scales = {row["vector"]: row["scale"] for row in map(json.loads, listed.splitlines())}
    assert (scales["L3.external.all"], scales["L4.external.all"]) == ("v", "-2.5")


@pytest.mark.parametrize("scale", ["0", "nan", "inf", "w", ""])
def test_a_scale_that_is_none_is_refused(layout: Layout, tmp_path: Path, scale: str) -> None:
    with pytest.raises(ValueError, match="neither a number other than 0 nor v"):
        command.import_vector(_control_vector(tmp_path / "a.gguf"), MODEL, TRAIT, scale=scale)
    assert not (layout.root / "external").exists()


def test_a_changed_scale_is_another_input(layout: Layout, tmp_path: Path) -> None:
    file, key = _control_vector(tmp_path / "a.gguf"), {"model": MODEL, "trait": TRAIT}
    seen = set()
    for scale in ("1", "2", "v"):
        _run("import", file, "--scale", scale)
        seen.add(external_vectors.sources(key, None)["external/a"])  # type: ignore[arg-type]
    assert len(seen) == 3


@pytest.mark.parametrize(("hint", "warned"), [("qwen3", True), ("llama", False), ("LLaMA", False)])
def test_a_vector_of_another_architecture_is_named_with_both(
    layout: Layout, tmp_path: Path, hint: str, warned: bool
) -> None:
    said = _run("import", _control_vector(tmp_path / "a.gguf", hint))
    assert ("architecture qwen3" in said and f"{MODEL} is llama" in said) == warned
    assert ("warning" in said) == warned
    assert external_vectors.read(layout, MODEL, TRAIT, 3)


def test_a_file_without_layers_asks_for_one(layout: Layout, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", _unit(1))
    with pytest.raises(ValueError, match="name it: --layer"):
        command.import_vector(tmp_path / "v.npy", MODEL, TRAIT)


@pytest.mark.parametrize("rows", [LAYERS + 1, LAYERS])
@pytest.mark.parametrize("as_dict", [False, True])
def test_the_two_lines_convert_a_pickle(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, as_dict: bool
) -> None:
    values = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(0))
    file, offset = tmp_path / "diff.pt", rows - LAYERS
    torch.save(dict(enumerate(values[offset:].clone())) if as_dict else values, file)
    with pytest.raises(VectorFileError, match="is a pickle") as refused:
        command.import_vector(file, MODEL, TRAIT)
    _, *lines = str(refused.value).splitlines()
    assert len(lines) == 2
    monkeypatch.chdir(tmp_path)
    exec("\n".join(lines), {})
    _run("import", "diff.safetensors")
    for layer in range(LAYERS):
        brought = external_vectors.read(layout, MODEL, TRAIT, layer)["diff"]
        assert np.array_equal(brought.values, values[layer + offset].double().numpy())


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".pickle", ".svec"])
def test_no_pickle_is_opened(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(VectorFileError, match="can run code when read"):
        vector_files.read_vectors(tmp_path / f"absent{suffix}")
