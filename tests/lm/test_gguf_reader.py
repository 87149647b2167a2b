"""A reader of GGUF that takes a moment gives what gguf's own reader gives."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from steer_assets.lm.loading.gguf_reader import Header, Reader

TEXTS = ["a", "", "ünïcode", "x" * 300]


@pytest.fixture(params=[gguf.GGUFEndian.LITTLE, gguf.GGUFEndian.BIG], ids=["little", "big"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Arrays of every kind before and between the fields that are asked for, and two tensors."""
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama", endianess=request.param)
    writer.add_array("tokens", TEXTS)
    writer.add_array("kinds", [1, 2, 3, 4, 5])
    writer.add_array("scores", [0.5, -1.5])
    writer.add_array("flags", [True, False, True])
    writer.add_uint32("after", 7)
    for name, shape in (("one", (4, 3)), ("two", (5,))):
        writer.add_tensor(name, np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(reader: gguf.GGUFReader) -> list[tuple[object, ...]]:
    return [(t.name, t.tensor_type, t.shape.tolist(), t.data.tobytes()) for t in reader.tensors]


@pytest.mark.parametrize("kind", [Reader, Header])
def test_fields_and_tensors_are_those_of_the_plain_reader(
    file: Path, kind: type[gguf.GGUFReader]
) -> None:
    plain, found = gguf.GGUFReader(file), kind(file)
    assert _tensors(found) == _tensors(plain)
    assert list(found.fields) == list(plain.fields)
    arrays = {"tokens", "kinds", "scores", "flags"} if kind is Header else set()
    for name in plain.fields.keys() - arrays:
        assert found.get_field(name).contents() == plain.get_field(name).contents()
    assert not any(found.get_field(name).data for name in arrays)
    assert not isinstance(found.tensors[0].data, np.memmap)


@pytest.mark.parametrize("length", [60, 120, 400, 500])
def test_a_header_that_is_cut_short_is_an_error(file: Path, length: int) -> None:
    whole = file.read_bytes()
    assert len(whole) > length
    file.write_bytes(whole[:length])
    with pytest.raises(Exception):  # noqa: B017, PT011 - as of the plain reader, of any class
        gguf.GGUFReader(file)
    with pytest.raises(Exception):  # noqa: B017, PT011
        Header(file)
