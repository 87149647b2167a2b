import json
import pickle
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from steer_assets.geometry.errors import (
    DegenerateError,
    NotFiniteError,
    ShapeError,
    VectorFileError,
)
from steer_assets.geometry.vector_files import (
    NamedVector,
    checked,
    read_vectors,
    select,
    write_control_vector,
    write_safetensors,
)


def draw(seed: int, d: int = 12, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(d).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_safetensors_round_trip_keeps_values_layers_and_metadata(
    tmp_path: Path, dtype: type
) -> None:
    path = tmp_path / "v.safetensors"
    vectors = [
        NamedVector("L15.pca", draw(1, dtype=dtype), 15, {"family": "pca"}),
        NamedVector("L15.base", draw(0, dtype=dtype), 15, {"family": "base", "trait": "formality"}),
    ]
    write_safetensors(path, vectors, metadata={"model": "smollm2-135m-instruct"})
    found = read_vectors(path)
    assert [vector.name for vector in found] == ["L15.base", "L15.pca"]
    for vector, original in zip(found, vectors[::-1], strict=True):
        assert vector.values.dtype == dtype
        assert np.array_equal(vector.values, original.values)
        assert (vector.layer, vector.metadata) == (original.layer, original.metadata)
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o444 == 0o444
    assert np.array_equal(load_file(path)["L15.base"], vectors[1].values)


def test_safetensors_of_other_tools_are_read(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    row = draw(2, dtype=np.float32)
    save_file({"steering": row[None]}, path, metadata={"format": "pt"})
    (vector,) = read_vectors(path)
    assert (vector.name, vector.layer) == ("steering", None)
    assert np.array_equal(vector.values, row)


def test_bfloat16_is_widened_exactly(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 0.15625, 3.0e38], dtype=np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    header = {"v": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}
    text = json.dumps(header).encode()
    path = tmp_path / "bf16.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + halves.tobytes())
    (vector,) = read_vectors(path)
    expected = (halves.astype(np.uint32) << 16).view(np.float32)
    assert np.array_equal(vector.values, expected)
    assert vector.values[:3].tolist() == [1.0, -2.5, 0.15625]


def test_control_vector_is_read_by_the_gguf_package_to_the_same_numbers(tmp_path: Path) -> None:
    path = tmp_path / "v.gguf"
    vectors = [NamedVector(f"L{layer}.base", draw(layer), layer) for layer in (15, 7, 22)]
    write_control_vector(path, vectors, model_hint="llama")
    reader = gguf.GGUFReader(path)
    assert reader.get_field("general.architecture").contents() == "controlvector"
    assert reader.get_field("controlvector.model_hint").contents() == "llama"
    assert reader.get_field("controlvector.layer_count").contents() == 3
    stored = {tensor.name: tensor for tensor in reader.tensors}
    assert set(stored) == {"direction.7", "direction.15", "direction.22"}
    for vector in vectors:
        tensor = stored[f"direction.{vector.layer}"]
        assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
        assert tensor.shape.tolist() == [12]
        assert np.array_equal(tensor.data, vector.values.astype(np.float32))


def test_control_vector_round_trip_is_exact_after_the_first(tmp_path: Path) -> None:
    first, second = tmp_path / "a.gguf", tmp_path / "b.gguf"
    write_control_vector(first, [NamedVector("L3.base", draw(3), 3)], model_hint="llama")
    once = read_vectors(first)
    assert [(vector.name, vector.layer) for vector in once] == [("L3.base", 3)]
    write_control_vector(second, once, model_hint="llama")
    assert first.read_bytes() == second.read_bytes()


def test_control_vectors_of_repeng_are_read(tmp_path: Path) -> None:
    # Written as repeng does: no names, layers in the order of training.
    path = tmp_path / "repeng.gguf"
    writer = gguf.GGUFWriter(path, "controlvector")
    writer.add_string("controlvector.model_hint", "mistral")
    writer.add_uint32("controlvector.layer_count", 2)
    rows = {9: draw(9, dtype=np.float32), 4: draw(4, dtype=np.float32)}
    for layer, row in rows.items():
        writer.add_tensor(f"direction.{layer}", row)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read_vectors(path)
    assert [(vector.name, vector.layer) for vector in found] == [
        ("direction.4", 4),
        ("direction.9", 9),
    ]
    assert np.array_equal(select(found, layer=9).values, rows[9])


def test_npy_round_trip_and_no_pickles(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    np.save(path, draw(5))
    (vector,) = read_vectors(path)
    assert (vector.name, vector.layer) == ("v", None)
    assert np.array_equal(vector.values, draw(5))
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(VectorFileError, match="allow_pickle"):
        read_vectors(path)
    path.write_bytes(pickle.dumps([1.0, 2.0]))
    with pytest.raises(VectorFileError, match="readable"):
        read_vectors(path)


def test_a_vector_is_checked_against_the_model() -> None:
    vector = NamedVector("mine", draw(6, dtype=np.float32), 15)
    values = checked(vector, hidden_size=12, n_layers=30, layer=15)
    assert values.dtype == np.float64
    assert np.array_equal(values, vector.values)
    with pytest.raises(ShapeError, match="width 12, expected 576"):
        checked(vector, hidden_size=576, n_layers=30, layer=15)
    with pytest.raises(ShapeError, match=r"layer 30 is outside 0\.\.29"):
        checked(vector, hidden_size=12, n_layers=30, layer=30)
    with pytest.raises(ShapeError, match="belongs to layer 15, not 7"):
        checked(vector, hidden_size=12, n_layers=30, layer=7)
    with pytest.raises(NotFiniteError, match="mine"):
        checked(NamedVector("mine", np.full(12, np.nan)), hidden_size=12, n_layers=30, layer=7)
    with pytest.raises(DegenerateError, match="mine has zero norm"):
        checked(NamedVector("mine", np.zeros(12)), hidden_size=12, n_layers=30, layer=7)


def test_select_needs_exactly_one_answer() -> None:
    vectors = [
        NamedVector("a", draw(0), 3),
        NamedVector("b", draw(1), 3),
        NamedVector("c", draw(2)),
    ]
    assert select(vectors, layer=3, name="b").name == "b"
    assert select(vectors, layer=9).name == "c"
    with pytest.raises(VectorFileError, match=r"3 vectors answer to layer 3; .*a \(layer 3\)"):
        select(vectors, layer=3)
    with pytest.raises(VectorFileError, match="0 vectors answer to name 'a' and layer 9"):
        select(vectors, layer=9, name="a")


def written(folder: Path, suffix: str, d: int) -> bytes:
    """Bytes of a good file of each format."""
    whole = folder / f"whole{suffix}"
    vector = NamedVector("L3.base", draw(0, d), 3)
    if suffix == ".safetensors":
        write_safetensors(whole, [vector])
    elif suffix == ".gguf":
        write_control_vector(whole, [vector], model_hint="llama")
    else:
        np.save(whole, vector.values)
    return whole.read_bytes()


@pytest.mark.parametrize("suffix", [".safetensors", ".gguf", ".npy"])
def test_corrupted_bytes_never_raise_anything_else(tmp_path: Path, suffix: str) -> None:
    content = written(tmp_path, suffix, 16)
    damaged = tmp_path / f"damaged{suffix}"
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        corrupted = bytearray(content)
        for position in rng.integers(min(len(content), 300), size=2):
            corrupted[position] = rng.integers(256)
        damaged.write_bytes(bytes(corrupted))
        try:
            read_vectors(damaged)
        except VectorFileError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("suffix", [".safetensors", ".gguf", ".npy"])
def test_truncated_files_are_named(tmp_path: Path, suffix: str) -> None:
    # 304 float32 end on the alignment of GGUF: no padding after them that could be lost unharmed.
    content = written(tmp_path, suffix, 304)
    damaged = tmp_path / f"damaged{suffix}"
    for length in [*range(0, len(content), 13), len(content) - 1]:
        damaged.write_bytes(content[:length])
        with pytest.raises(VectorFileError, match="damaged"):
            read_vectors(damaged)


def test_files_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(model, "llama")
    writer.add_tensor("token_embd.weight", np.ones((4, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(VectorFileError, match="'llama' model, expected a 'controlvector'"):
        read_vectors(model)
    matrix = tmp_path / "matrix.safetensors"
    save_file({"m": np.ones((3, 4), dtype=np.float32)}, matrix)
    with pytest.raises(VectorFileError, match=r"tensor m has shape \(3, 4\)"):
        read_vectors(matrix)
    save_file({"m": np.ones(4, dtype=np.int64)}, matrix)
    with pytest.raises(VectorFileError, match="type I64"):
        read_vectors(matrix)
    save_file({"m": np.ones(4)}, matrix, metadata={"vectors": "[1]"})
    with pytest.raises(VectorFileError, match="'vectors' entry"):
        read_vectors(matrix)
    integers = tmp_path / "integers.npy"
    np.save(integers, np.arange(4))
    with pytest.raises(VectorFileError, match="floating-point"):
        read_vectors(integers)
    with pytest.raises(VectorFileError, match=r"not '\.txt'"):
        read_vectors(tmp_path / "v.txt")
    with pytest.raises(FileNotFoundError):
        read_vectors(tmp_path / "none.npy")


def test_what_cannot_be_written_is_refused_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    good = NamedVector("a", draw(0), 3)
    write_safetensors(path, [good])
    before = path.read_bytes()
    with pytest.raises(VectorFileError, match="several vectors with name a"):
        write_safetensors(path, [good, good])
    with pytest.raises(NotFiniteError):
        write_safetensors(path, [NamedVector("b", np.full(3, np.inf))])
    with pytest.raises(VectorFileError, match="no vectors"):
        write_safetensors(path, [])
    with pytest.raises(VectorFileError, match="'vectors'"):
        write_safetensors(path, [good], metadata={"vectors": "mine"})
    assert path.read_bytes() == before
    control = tmp_path / "v.gguf"
    refused = {
        "layer 0: a control vector holds layers from 1": [NamedVector("a", draw(0), 0)],
        "vector a has no layer": [NamedVector("a", draw(0))],
        "several vectors with layer 3": [good, NamedVector("b", draw(1), 3)],
        "different widths": [good, NamedVector("b", draw(1, 5), 4)],
        "beyond float32": [NamedVector("a", np.full(3, 1e300), 3)],
        "no vectors": [],
    }
    for message, vectors in refused.items():
        with pytest.raises(VectorFileError, match=message):
            write_control_vector(control, vectors, model_hint="llama")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_does_not_read_back_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v.safetensors"
    write_safetensors(path, [NamedVector("v", draw(0))])
    before = path.read_bytes()

    def save(tensors: dict[str, np.ndarray], file: Path, **settings: object) -> None:
        save_file({name: values + 1 for name, values in tensors.items()}, file, **settings)

    monkeypatch.setattr("steer_assets.geometry.vector_files.save_file", save)
    with pytest.raises(VectorFileError, match="did not read back"):
        write_safetensors(path, [NamedVector("v", draw(1))])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
