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
