"""The results from Python: frames by name, vectors by id, activations read as needed."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import steer_assets
from steer_assets.catalog.errors import UnknownNameError
from steer_assets.notebook import Results
from steer_assets.storage.database.syncing import sync
from steer_assets.storage.files import hdf5, tensors
from steer_assets.storage.files.parquet import DamagedFileError
from steer_assets.storage.layout import Layout
from steer_assets.storage.slugs import InvalidKeyError
from tests.storage import synthetic
from tests.storage.processes import run_python

MODEL, TRAIT = synthetic.MODEL, "formality"
BASE = np.array([3.0, 4.0])
ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)


@pytest.fixture
def layout(tmp_path: Path, synced: Layout) -> Layout:
    layout = Layout(tmp_path / "data")
    shutil.copytree(synced.root, layout.root)
    tensors.write_vectors(
        layout.pair_file("vectors", MODEL, TRAIT, ".safetensors"), {"L15.base": BASE}, {}
    )
    ids = np.array([f"p{i}".encode() for i in range(6)])
    arrays = {"last/15": ROWS, "last/7": ROWS + 1, "prompt_ids": ids}
    path = layout.pair_file("activations", MODEL, TRAIT, ".h5")
    hdf5.write_arrays(path, arrays, {"site": "block_output"})
    return layout


@pytest.fixture
def results(layout: Layout) -> Results:
    return steer_assets.open_warehouse(layout.root)


def test_importing_the_package_costs_nothing():
    code = (
        "import json, sys\n"
        "import steer_assets\n"
        "heavy = ('torch', 'dagster', 'polars', 'duckdb', 'numpy', 'mlflow', 'matplotlib')\n"
        "cheap = [name for name in heavy if name in sys.modules]\n"
        "import steer_assets.notebook\n"
        "heavy = ('torch', 'transformers', 'dagster', 'mlflow', 'matplotlib', 'sklearn')\n"
        "print(json.dumps([cheap, [name for name in heavy if name in sys.modules]]))"
    )
    answer = run_python(code)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == [[], []]


def test_token_ids_are_lists_of_numbers(results):
    ids = results["generations"]["token_ids"]
    assert ids.dtype == pl.List(pl.Int32)
    assert ids.to_list() == [[1, 2]] * len(ids)
    assert len(ids) == len(results.table("generations"))


def test_tables_and_views_are_frames_by_name(results: Results):
    assert isinstance(results["steering_vectors"], pl.DataFrame)
    assert {"steering_vectors", "v_model_trait_summary"} <= set(results)
    assert set(results.table("equivalence_reports", trait=TRAIT)["trait"]) == {TRAIT}
    both = results.table("v_effects", model=MODEL, trait="sentiment")
    assert both.select("model", "trait").unique().rows() == [(MODEL, "sentiment")]
    assert results.sql("SELECT 1 + 1 AS two").item() == 2
    assert repr(results).endswith("tables and views>")


def test_wrong_names_and_keys_are_answered(results: Results):
    with pytest.raises(KeyError, match="did you mean"):
        results["steering_vector"]
    with pytest.raises(UnknownNameError, match="did you mean generations"):
        results.table("generation")
    with pytest.raises(InvalidKeyError):
        results.table("models", model="x' OR '1'='1")
    with pytest.raises(InvalidKeyError):
        results.vectors("../secrets", TRAIT)
    with pytest.raises(FileNotFoundError, match="steer run --model other --trait formality"):
        results.vectors("other", TRAIT)


def test_nothing_there_says_what_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(FileNotFoundError, match="steer run"):
        steer_assets.open_warehouse(tmp_path)
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        steer_assets.open_warehouse()


def test_vectors_are_arrays_by_id(results: Results):
    vectors = results.vectors(MODEL, TRAIT)
    assert list(vectors) == ["L15.base"]
    np.testing.assert_array_equal(vectors["L15.base"], BASE)


def test_activations_are_read_when_they_are_sliced(results: Results, layout: Layout):
    activations = results.activations(MODEL, TRAIT)
    assert list(activations) == [7, 15]
    assert activations.prompt_ids[:2] == ["p0", "p1"]
    assert activations.attributes["site"] == "block_output"
    lazy = activations[15]
    assert (lazy.shape, lazy.dtype, len(lazy)) == ((6, 2), np.float32, 6)
    np.testing.assert_array_equal(lazy[2:4], ROWS[2:4])
    np.testing.assert_array_equal(lazy[[0, 5], 1], ROWS[[0, 5], 1])
    np.testing.assert_array_equal(np.asarray(lazy), ROWS)
    assert np.linalg.norm(lazy, axis=1)[0] == 1.0
    with pytest.raises(KeyError, match="layer 3 is not cached; known: \\[7, 15\\]"):
        activations[3]
    # Nothing was read before: a file that is damaged by now is noticed.
    path = layout.pair_file("activations", MODEL, TRAIT, ".h5")
    content = path.read_bytes()
    at = content.index(ROWS.tobytes())
    path.write_bytes(content[:at] + b"\xff" + content[at + 1 :])
    with pytest.raises(DamagedFileError):
        lazy[0]


def test_nothing_is_held_open(results: Results, layout: Layout):
    frame = results["models"]
    synthetic.write(layout, "models", {"model": "second"}, {})
    assert "second" in str(sync(layout).loaded)  # not put off
    assert results["models"].height == frame.height + 1
