import hashlib
import json
import os
import time
from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from steer_assets.storage.files import hashing
from steer_assets.storage.files.hashing import (
    hash_array,
    hash_arrays,
    hash_file,
    hash_file_once,
    hash_frame,
    hash_json,
)
from steer_assets.storage.files.parquet import read_part, write_part

SCHEMA = {
    "text": pl.String,
    "count": pl.Int64,
    "measure": pl.Float64,
    "when": pl.Datetime("us"),
    "flag": pl.Boolean,
    "ids": pl.List(pl.Int32),
}
_TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1))
_CELLS = {
    "text": st.text(st.characters(codec="utf-8"), max_size=6),
    "count": st.integers(-(2**63), 2**63 - 1),
    "measure": st.floats(allow_nan=False, allow_infinity=False),
    "when": _TIMES,
    "flag": st.booleans(),
    "ids": st.lists(st.integers(-9, 2**31 - 1), max_size=3),
}
ROWS = st.lists(st.fixed_dictionaries(_CELLS), min_size=1, max_size=12)
ARRAYS = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int64]),
    hnp.array_shapes(max_dims=3, max_side=4),
    elements=st.integers(-9, 9),
)


def _frame(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 12)), run=st.text("ab", min_size=1))
def test_a_frame_hash_ignores_chunks_and_provenance(rows, cuts, run):
    whole = _frame(rows)
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    pieces = [whole.slice(a, b - a) for a, b in pairwise(edges)]
    chunked = pl.concat(pieces, rechunk=False)
    stamped = chunked.with_columns(pl.lit(run).alias("run_id"), pl.lit("7").alias("code_version"))
    assert hash_frame(chunked) == hash_frame(whole)
    assert hash_frame(stamped) == hash_frame(whole)
    assert hash_frame(stamped, without=()) != hash_frame(whole, without=())


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS, group=st.integers(1, 5))
def test_a_frame_hash_survives_parquet_and_its_row_groups(tmp_path, rows, group):
    frame = _frame(rows)
    frame.write_parquet(tmp_path / "grouped", row_group_size=group)
    write_part(tmp_path / "part", frame)
    assert hash_frame(read_part(tmp_path / "grouped")) == hash_frame(frame)
    assert hash_frame(read_part(tmp_path / "part")) == hash_frame(frame)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, data=st.data())
def test_a_frame_hash_notices_any_changed_cell(rows, data):
    row = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(sorted(SCHEMA)))
    value = data.draw(st.none() | _CELLS[name])
    assume(value != rows[row][name])
    changed = [dict(r) for r in rows]
    changed[row][name] = value
    assert hash_frame(_frame(changed)) != hash_frame(_frame(rows))


@pytest.mark.parametrize(
    "other",
    [
        pl.DataFrame({"a": ["a", "bc"], "b": [1, 0]}),  # the same letters, cut elsewhere
        pl.DataFrame({"a": ["ab", "c"], "b": [1.0, 0.0]}),
        pl.DataFrame({"a": ["ab", "c"], "c": [1, 0]}),
        pl.DataFrame({"a": ["c", "ab"], "b": [0, 1]}),
        pl.DataFrame({"a": ["ab", "c"], "b": [1, None]}),
        pl.DataFrame({"a": ["ab", "c", "c"], "b": [1, 0, 0]}),
        pl.DataFrame({"a": ["ab", "c"]}),
    ],
)
def test_a_frame_hash_notices_cuts_types_names_order_and_gaps(other):
    assert hash_frame(other) != hash_frame(pl.DataFrame({"a": ["ab", "c"], "b": [1, 0]}))


@pytest.mark.parametrize(
    "other", [[[1, 2], [3]], [[1], [2, 3], []], [[1], [2, None]], [[1], None], [[], [1, 2, 3]]]
)
def test_a_frame_hash_notices_where_lists_end_and_what_they_lack(other):
    ids = {"ids": pl.List(pl.Int32)}
    hashes = {
        hash_frame(pl.DataFrame({"ids": rows}, schema=ids)) for rows in (other, [[1], [2, 3]])
    }
    assert len(hashes) == 2


def test_a_frame_of_things_without_canonical_bytes_is_refused():
    with pytest.raises(TypeError, match="no canonical form"):
        hash_frame(pl.DataFrame({"a": [{"b": 1}, {"b": 2}]}))


@settings(max_examples=60, deadline=None)
@given(arrays=st.dictionaries(st.text(max_size=3), ARRAYS, max_size=4), data=st.data())
def test_arrays_hash_by_name_type_shape_and_value_in_no_order(arrays, data):
    expected = hash_arrays(arrays)
    order = data.draw(st.permutations(sorted(arrays)))
    assert hash_arrays({name: arrays[name] for name in order}) == expected
    assert hash_arrays({k: np.asfortranarray(v) for k, v in arrays.items()}) == expected
    if arrays:
        name = data.draw(st.sampled_from(sorted(arrays)))
        changed = arrays[name].copy()
        changed.flat[data.draw(st.integers(0, changed.size - 1))] += 1
        assert hash_arrays({**arrays, name: changed}) != expected
        assert hash_arrays({**arrays, name: arrays[name][None]}) != expected


def test_array_hashes_differ_by_type_and_refuse_objects():
    assert hash_array(np.zeros(2, np.int64)) != hash_array(np.zeros(2, np.float64))
    with pytest.raises(TypeError, match="no canonical form"):
        hash_array(np.array(["a"], dtype=object))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(value=st.dictionaries(st.text("abc", max_size=3), _JSON), other=_JSON, data=st.data())
def test_json_hashes_ignore_key_order_and_nothing_else(value, other, data):
    order = data.draw(st.permutations(list(value)))
    assert hash_json({key: value[key] for key in order}) == hash_json(value)
    same = json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (hash_json(value) == hash_json(other)) == same


def test_file_hash_is_sha256_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert hash_file(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.mark.parametrize("settled_s", [-1.0, 60.0])
def test_a_file_is_read_again_where_it_may_have_changed(tmp_path, monkeypatch, settled_s):
    read = []
    monkeypatch.setattr(hashing, "_SETTLED_S", settled_s)
    monkeypatch.setattr(hashing, "hash_file", lambda path: read.append(path) or hash_file(path))
    path = tmp_path / "part"
    path.write_bytes(b"abc")
    before = path.stat()
    assert {hash_file_once(path), hash_file_once(path)} == {hash_file(path)}
    assert len(read) == (1 if settled_s < 0 else 2)
    # Damage of the same size whose time of writing is that of before.
    path.write_bytes(b"abd")
    time.sleep(0.02)  # a tick of the file system's clock
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hash_file_once(path) == hashlib.sha256(b"abd").hexdigest()
