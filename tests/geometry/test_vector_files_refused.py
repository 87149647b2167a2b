"""Files of vectors that are damaged, hold something else or cannot be written."""

from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from steer_assets.geometry.errors import (
    NotFiniteError,
    VectorFileError,
)
from steer_assets.geometry.vector_files import (
    NamedVector,
    read_vectors,
    write_control_vector,
    write_safetensors,
)
from tests.geometry.test_vector_files import draw


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
