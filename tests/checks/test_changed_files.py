"""Every check fails with a sentence on changed files: arrays, vectors, weights, lineage."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np
import polars as pl
import pytest

from steer_assets.storage.files import hdf5, tensors
from steer_assets.storage.files.parquet import read_part, write_part
from tests.checks.looking import look
from tests.finished import KEY
from tests.tiny import World

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("room", "suffix", "dataset", "change", "stage", "name", "words"),
    [
        ("activations", ".h5", "last/1", lambda x: np.full_like(x, 0.5),
         "activation_caches", "activations_are_whole", "same for every prompt"),
        ("activations", ".h5", "last/1", lambda x: x[:-1],
         "activation_caches", "activations_are_whole", "has shape"),
        ("moments", ".h5", "covariance/1/pooled", lambda x: x + np.triu(np.ones_like(x), 1),
         "covariance_matrices", "covariances_are_covariances", "not symmetric"),
        ("moments", ".h5", "covariance/1/pooled", lambda x: x - 2 * np.eye(len(x)) * x.max(),
         "covariance_matrices", "covariances_are_covariances", "eigenvalue"),
        ("moments", ".h5", "covariance/1/pooled", lambda x: 1.01 * x,
         "covariance_matrices", "covariances_are_covariances", "variances sum"),
        ("bases", ".covariance.h5", "basis/1", lambda x: 1.1 * x,
         "svd_spectra", "spectra_keep_the_energy", "not orthonormal"),
        ("bases", ".behaviour.h5", "form/fisher/unsteered/1",
         lambda x: x + np.triu(np.ones_like(x), 1),
         "behavioral_spectra", "forms_are_forms", "not symmetric"),
    ],
)  # fmt: skip
def test_changed_arrays_are_found(
    finished: World,
    room: str,
    suffix: str,
    dataset: str,
    change: Callable[[np.ndarray], np.ndarray],
    stage: str,
    name: str,
    words: str,
) -> None:
    path = finished.layout.pair_file(room, KEY["model"], KEY["trait"], suffix)
    arrays = hdf5.read_arrays(path)
    arrays[dataset] = change(arrays[dataset])
    hdf5.write_arrays(path, arrays)
    finding = look(finished, stage, name)
    assert not finding.passed
    assert words in finding.words


def test_numbers_that_are_not_finite_are_found(finished: World) -> None:
    path = finished.layout.pair_file("activations", KEY["model"], KEY["trait"], ".h5")
    with h5py.File(path, "r+") as file:  # what writes here refuses them
        file["last/1"][0, 0] = np.nan
    finding = look(finished, "activation_caches", "activations_are_whole")
    assert not finding.passed
    assert "not finite" in finding.words


def test_a_flipped_byte_is_a_finding_and_no_traceback(finished: World) -> None:
    path = finished.layout.pair_file("activations", KEY["model"], KEY["trait"], ".h5")
    with h5py.File(path) as file:
        offset = file["last/1"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 8] ^= 0xFF
    path.write_bytes(content)
    finding = look(finished, "activation_caches", "activations_are_whole")
    assert not finding.passed
    assert str(path) in finding.words


def test_vectors_that_are_not_orthogonal_are_found(finished: World) -> None:
    path = finished.layout.pair_file("vectors", KEY["model"], KEY["trait"], ".safetensors")
    vectors = tensors.read_vectors(path)
    base, other = vectors["L1.base"], vectors["L1.orthogonal.s0"]
    tilted = other + 0.01 * base
    vectors["L1.orthogonal.s0"] = tilted * np.linalg.norm(other) / np.linalg.norm(tilted)
    tensors.write_vectors(path, vectors, {})
    finding = look(finished, "vector_families", "vectors_are_what_they_are_called")
    assert not finding.passed
    assert "cosine" in finding.words


def test_a_hook_that_adds_something_else_is_found(
    finished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steer_assets.lm.forward.intervene import ArmTable

    rows = ArmTable.rows
    monkeypatch.setattr(
        ArmTable, "rows", lambda self, arms: {k: 1.001 * v for k, v in rows(self, arms).items()}
    )
    finding = look(finished, "vector_families", "steering_adds_what_it_says")
    assert not finding.passed
    assert "rounding allows" in finding.words


def test_other_weights_under_the_same_name_are_found(finished: World) -> None:
    path = finished.layout.model(KEY["model"]) / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x01
    path.write_bytes(content)
    assert "sha256" in look(finished, "model_snapshot", "snapshot_is_the_model").words


def test_a_gap_in_lineage_is_found(finished: World) -> None:
    finished.layout.part(
        "artifact_lineage", {"asset_key": "prompt_sets", "trait": "formality"}
    ).unlink()
    finding = look(finished, "equivalence_reports", "lineage_is_complete")
    assert not finding.passed
    assert "prompt_sets" in finding.words


def test_another_result_from_the_same_inputs_is_found(finished: World) -> None:
    key = {"asset_key": "generations", **KEY}
    path = finished.layout.part("artifact_lineage", key)
    rows = read_part(path)
    earlier = rows.with_columns(
        pl.col("created_at") - pl.duration(days=7), pl.lit("0" * 64).alias("data_version")
    )
    write_part(path, pl.concat([earlier, rows]))
    finding = look(finished, "generations", "computed_again_the_same")
    assert not finding.passed
    same = rows.with_columns(pl.col("created_at") - pl.duration(days=7))
    write_part(path, pl.concat([same, rows]))
    assert "2 times" in look(finished, "generations", "computed_again_the_same").words
