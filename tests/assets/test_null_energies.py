"""Energy of v in the null space of the covariance, where it is known how much there is."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steer_assets.storage.files.hdf5 import read_array, read_arrays, write_arrays
from steer_assets.storage.layout import Layout
from tests.assets.conftest import HIDDEN, LAYER, MODEL, TRAIT, Tiny


def _elsewhere(tiny: Tiny, folder: Path, rows: np.ndarray) -> Tiny:
    """The tiny world with these last-token activations [prompts, d] at the layer."""
    shutil.copytree(tiny.layout.root, folder)
    world = replace(tiny, layout=Layout(folder.resolve()))
    path = world.layout.pair_file("activations", MODEL, TRAIT, ".h5")
    arrays = read_arrays(path)
    arrays[f"last/{LAYER}"] = rows.astype(np.float32)
    write_arrays(path, arrays)
    for stage in ("covariance_matrices", "svd_spectra", "vector_families"):
        world.make(stage)
    return world


def _energy_of_v(world: Tiny) -> dict:
    found = world.rows("null_energies").filter(
        pl.col("vector_id") == f"L{LAYER}.base", pl.col("kind") == "covariance"
    )
    return found.row(0, named=True)


def _roles(tiny: Tiny) -> np.ndarray:
    path = tiny.layout.pair_file("activations", MODEL, TRAIT, ".h5")
    roles = dict(tiny.rows("prompt_sets").select("prompt_id", "role").iter_rows())
    return np.array([roles[name.decode()] for name in read_array(path, "prompt_ids")])


def test_a_v_made_of_noise_is_as_null_as_a_random_vector(tiny: Tiny, tmp_path: Path) -> None:
    # Nothing but isotropic noise: no direction is special, and v is the mean of some of it.
    # Of 304 prompts every one of 32 directions is needed for 99 % of the variance: 95 % it is.
    estimators = tiny.study.spectra.estimator | {"covariance": "variance_95"}
    spectra = tiny.study.spectra.model_copy(update={"estimator": estimators})
    tiny = replace(tiny, study=tiny.study.model_copy(update={"spectra": spectra}))
    roles, inside = _roles(tiny), 0
    for seed in range(6):
        rows = np.random.default_rng(seed).standard_normal((len(roles), HIDDEN))
        world = _elsewhere(tiny, tmp_path / str(seed), rows)
        row = _energy_of_v(world)
        assert 0 < row["null_dim"] < row["ambient_dim"] == HIDDEN
        assert row["random_mean"] == row["null_dim"] / HIDDEN
        inside += row["random_low"] <= row["energy"] <= row["random_high"]
    assert inside >= 5


@pytest.mark.parametrize(("along", "share"), [(0, 0.0), (20, 1.0)])
def test_a_v_planted_in_or_out_of_what_neutral_prompts_vary_in_is_found_there(
    tiny: Tiny, tmp_path: Path, along: int, share: float
) -> None:
    # Neutral prompts vary in the first ten coordinates; the poles differ along one coordinate.
    roles, rng = _roles(tiny), np.random.default_rng(9)
    rows = rng.standard_normal((len(roles), HIDDEN)) * np.where(np.arange(HIDDEN) < 10, 1.0, 1e-3)
    prompts = tiny.rows("prompt_sets")
    path = tiny.layout.pair_file("activations", MODEL, TRAIT, ".h5")
    pole = dict(prompts.select("prompt_id", "polarity").iter_rows())
    signs = {"positive": 1.0, "negative": -1.0}
    for at, name in enumerate(read_array(path, "prompt_ids")):
        if roles[at] == "contrast":
            rows[at, along] += 20.0 * signs[pole[name.decode()]]
    row = _energy_of_v(_elsewhere(tiny, tmp_path / "world", rows))
    assert row["energy"] == pytest.approx(share, abs=0.02)
    assert row["share_of_random_below"] == pytest.approx(share, abs=1e-3)
