"""Vectors in and out from the command line, over a data folder with one small model."""

import json
from pathlib import Path

import gguf
import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from steer_assets.cli import app
from steer_assets.commands import vectors as command
from steer_assets.geometry.errors import DegenerateError, NotFiniteError, ShapeError
from steer_assets.pipeline import external_vectors
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.files.tensors import write_vectors
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import columns

MODEL, TRAIT, WIDTH, LAYERS = "smollm2-135m-instruct", "sentiment", 8, 6
WHERE = ["--model", MODEL, "--trait", TRAIT]
RNG = np.random.default_rng(0)
STORED = {f"L{layer}.base": RNG.normal(size=WIDTH) for layer in (0, 3, 4)}


def _part(layout: Layout, table: str, key: dict[str, str], rows: list[dict[str, object]]) -> None:
    blank = {pl.String: "", pl.Int32: 0, pl.Int64: 0, pl.Float64: 0.0}
    schema = columns(table)
    filled = [{n: row.get(n, blank[t.base_type()]) for n, t in schema.items()} for row in rows]
    write_part(layout.part(table, key), pl.DataFrame(filled, schema=schema))


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path))
    layout = Layout(tmp_path.resolve())
    model = {"model": MODEL, "n_layers": LAYERS, "hidden_size": WIDTH, "sha256": "ab"}
    _part(layout, "models", {"model": MODEL}, [model])
    key = {"model": MODEL, "trait": TRAIT}
    rows = [{**key, "vector_id": name, "layer": int(name[1]), "family": "base"} for name in STORED]
    _part(layout, "steering_vectors", key, rows)
    path = layout.pair_file("vectors", MODEL, TRAIT, ".safetensors")
    path.parent.mkdir(parents=True)
    write_vectors(path, STORED, {})
    folder = layout.model(MODEL)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return layout


def _run(*arguments: object) -> str:
    done = CliRunner().invoke(
        app, ["vectors", *map(str, arguments), *WHERE], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return " ".join(done.stderr.split())


def _brought(layout: Layout, layer: int) -> dict[str, np.ndarray]:
    found = external_vectors.read(layout, MODEL, TRAIT, layer)
    return {name: brought.values for name, brought in found.items()}


def test_a_safetensors_round_trip_keeps_every_digit(layout: Layout, tmp_path: Path) -> None:
    file = tmp_path / "out" / "v.safetensors"
    _run("export", file, "--vector", "L3.base", "--vector", "L4.base")
    said = _run("import", file, "--layer", "L/2", "--name", "copy")
    assert "L3.external.copy" in said
    assert f"v's is {np.linalg.norm(STORED['L3.base']):.4g}" in said
    assert np.array_equal(_brought(layout, 3)["copy"], STORED["L3.base"])
    _run("import", file, "--layer", 4, "--name", "copy")
    assert np.array_equal(_brought(layout, 3)["copy"], STORED["L3.base"])
    assert np.array_equal(_brought(layout, 4)["copy"], STORED["L4.base"])
    listed = CliRunner().invoke(app, ["vectors", "list", *WHERE, "--json"]).stdout
    assert [json.loads(row)["vector"] for row in listed.splitlines()] == [
        "L3.external.copy",
        "L4.external.copy",
    ]


def test_a_control_vector_loads_with_the_gguf_package_to_the_same_numbers(
    layout: Layout, tmp_path: Path
) -> None:
    file = tmp_path / "v.gguf"
    _run("export", file, "--vector", "L3.base", "--vector", "L4.base")
    reader = gguf.GGUFReader(file)
    assert str(reader.fields["controlvector.model_hint"].contents()) == "llama"
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    assert set(tensors) == {"direction.3", "direction.4"}
    assert np.array_equal(tensors["direction.3"], STORED["L3.base"].astype(np.float32))
    _run("import", file, "--layer", 4, "--name", "back")
    single = STORED["L4.base"].astype(np.float32)
    assert np.array_equal(_brought(layout, 4)["back"], single.astype(np.float64))


def test_numpy_files_and_the_name_of_the_file(layout: Layout, tmp_path: Path) -> None:
    file = tmp_path / "Mine.npy"
    np.save(file, STORED["L3.base"])
    said = _run("import", file, "--layer", 2)
    assert "L2.external.mine" in said
    assert "steers blocks [3, 4], not block 2" in said
    assert np.array_equal(_brought(layout, 2)["mine"], STORED["L3.base"])


@pytest.mark.parametrize(
    ("values", "layer", "error", "said"),
    [
        (np.ones(5), "3", ShapeError, f"width 5, expected {WIDTH}"),
        (np.ones(WIDTH), "6", ValueError, r"block 6, but the model has 6 blocks"),
        (np.ones(WIDTH), "-1", ValueError, "-1"),
        (np.zeros(WIDTH), "3", DegenerateError, "zero norm"),
        (np.full(WIDTH, np.nan), "3", NotFiniteError, f"{WIDTH} values"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    layout: Layout,
    tmp_path: Path,
    values: np.ndarray,
    layer: str,
    error: type[Exception],
    said: str,
) -> None:
    file = tmp_path / "v.npy"
    np.save(file, values)
    with pytest.raises(error, match=said):
        command.import_vector(file, MODEL, TRAIT, layer)
    assert not (layout.root / "external").exists()


def test_a_vector_of_another_layer_is_refused(layout: Layout, tmp_path: Path) -> None:
    file = tmp_path / "v.safetensors"
    _run("export", file, "--vector", "L3.base")
    with pytest.raises(ValueError, match=r"L3.base \(layer 3\)"):
        command.import_vector(file, MODEL, TRAIT, "4")


def test_layer_zero_cannot_go_into_a_control_vector(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layers from 1 on"):
        command.export_vectors(tmp_path / "v.gguf", MODEL, TRAIT, ["L0.base"])


def test_unknown_vectors_and_formats_are_named(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"did you mean L3\.base"):
        command.export_vectors(tmp_path / "v.gguf", MODEL, TRAIT, ["L3.bass"])
    with pytest.raises(ValueError, match=r"\.safetensors or \.gguf"):
        command.export_vectors(tmp_path / "v.bin", MODEL, TRAIT, ["L3.base"])
    assert not list(tmp_path.glob("v.*"))


def test_a_model_without_a_snapshot_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path / "empty"))
    np.save(tmp_path / "v.npy", RNG.normal(size=WIDTH))
    with pytest.raises(ValueError, match="steer run --model"):
        command.import_vector(tmp_path / "v.npy", MODEL, TRAIT, "1")


def test_exported_safetensors_read_without_this_package(layout: Layout, tmp_path: Path) -> None:
    file = tmp_path / "v.safetensors"
    _run("export", file, "--vector", "L4.base")
    assert np.array_equal(load_file(file)["L4.base"], STORED["L4.base"])
