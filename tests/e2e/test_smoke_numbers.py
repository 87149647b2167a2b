"""Numbers of the whole graph on real weights, computed again or held to what they claim."""

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from steer_assets.storage.database import warehouse
from steer_assets.storage.files import hdf5
from tests.e2e.conftest import LAYERS, MODEL, TRAITS, World

pytestmark = pytest.mark.slow


def test_whole_texts_notice_a_shorter_step_than_their_first_token(world: World) -> None:
    """Where the next token notices one at all, among the steps that were taken."""
    query = (
        "SELECT layer, direction, null_space, observer, reached, measured_radius "
        "FROM v_equivalence_radius WHERE tolerance = 0.01"
    )
    rows, index = warehouse.query(world.layout, query), ["layer", "direction", "null_space"]
    both = rows.pivot("observer", index=index, values="measured_radius")
    assert {"", "covariance", "fisher", "jacobian", "text"} == set(both["null_space"])
    noticed = rows.filter("reached", observer="next token")
    known = both.drop_nulls().join(noticed, on=index, how="semi")
    assert {"", "covariance", "fisher", "jacobian"} == set(known["null_space"])
    assert (known["whole text"] < 1.1 * known["next token"]).all(), known


@pytest.mark.parametrize("trait", TRAITS)
def test_numpy_gets_the_same_from_the_stored_activations(world: World, trait: str) -> None:
    path = world.layout.pair_file("activations", MODEL, trait, ".h5")
    arrays = hdf5.read_arrays(path)
    ids = [name.decode() for name in arrays["prompt_ids"]]
    neutral = set(
        warehouse.query(
            world.layout,
            f"SELECT prompt_id FROM prompt_sets WHERE trait = '{trait}' AND role = 'test'",
        )["prompt_id"]
    )
    own = np.array([name in neutral for name in ids])
    moments = hdf5.read_arrays(world.layout.pair_file("moments", MODEL, trait, ".h5"))
    vectors = load_file(world.layout.pair_file("vectors", MODEL, trait, ".safetensors"))
    spectra = warehouse.query(
        world.layout, f"SELECT * FROM svd_spectra WHERE trait = '{trait}' ORDER BY \"index\""
    )
    for layer in LAYERS:
        h = arrays[f"last/{layer}"].astype(np.float64)
        expected = np.cov(h[own], rowvar=False)
        stored = moments[f"covariance/{layer}/pooled"]
        assert np.abs(stored - expected).max() <= 1e-5 * np.abs(expected).max()
        sigma = np.linalg.svd(h[own] - h[own].mean(0), compute_uv=False) / np.sqrt(own.sum() - 1)
        rows = spectra.filter((pl.col("layer") == layer) & (pl.col("environment") == "pooled"))
        assert np.abs(rows["singular_value"].to_numpy()[: len(sigma)] - sigma).max() <= (
            1e-5 * sigma[0]
        )
        positive = h[[name.endswith("-positive") and name.startswith(trait) for name in ids]]
        negative = h[[name.endswith("-negative") and name.startswith(trait) for name in ids]]
        v = (positive - negative).mean(axis=0)
        assert np.abs(vectors[f"L{layer}.base"] - v).max() <= 1e-5 * np.abs(v).max()


def test_the_fisher_form_predicts_small_steps(world: World) -> None:
    arms = (
        "SELECT trait, layer, vector_id, step_norm, "
        "abs(ln(avg(predicted_kl) / avg(kl))) AS log_ratio FROM dose_response "
        "WHERE reference_id = 'none' AND relative_step <= 0.05 + 1e-6 GROUP BY ALL"
    )
    rows = warehouse.query(
        world.layout,
        f"SELECT count(*) AS n_arms, median(log_ratio) AS m FROM ({arms}) GROUP BY trait, layer",
    )
    assert len(rows) == 2 * len(TRAITS)
    assert (rows["n_arms"] > 20).all()
    assert (rows["m"] < 0.1).all()


def test_no_null_fraction_lies_below_its_floor_and_prompts_are_counted(world: World) -> None:
    rows = warehouse.query(world.layout, "SELECT * FROM null_spaces")
    claimed = rows.filter(
        ~pl.col("estimator").is_in(["marchenko_pastur", "gavish_donoho"]) | (pl.col("value") > 0)
    )
    assert claimed.filter(pl.col("null_fraction") < pl.col("sampling_floor") - 1e-9).is_empty()
    # Two prompts see few of 576 directions in the averaged forms as well.
    forms = rows.filter(
        pl.col("kind") != "covariance", pl.col("estimator") == "participation_ratio"
    )
    assert len(forms) > 0
    assert (forms["sampling_floor"] > 0.5).all()
    tokens = rows.filter(pl.col("environment") == "all_tokens")
    assert set(tokens["layer"]) == set(LAYERS)
    tests = warehouse.query(
        world.layout, "SELECT trait, count(*) AS n FROM prompt_sets WHERE role = 'test' GROUP BY 1"
    )
    counted = tokens.select("trait", n="n_samples").unique().sort("trait")
    assert counted.rows() == tests.sort("trait").rows()


def test_v_has_no_energy_by_construction_and_stands_beside_random_vectors(world: World) -> None:
    rows = warehouse.query(
        world.layout,
        "SELECT * FROM null_energies WHERE kind = 'covariance' AND vector_id LIKE '%.base'",
    )
    assert len(rows) == 2 * len(TRAITS)
    # On the prompts it is made of it would have 2e-6 in the null space.
    assert (rows["energy"] > 0.05).all()
    assert (rows["random_low"] < rows["random_mean"]).all()
    assert (rows["random_mean"] < rows["random_high"]).all()


def test_orthogonal_vectors_are_orthogonal_and_norms_matched(world: World) -> None:
    rows = warehouse.query(world.layout, "SELECT * FROM steering_vectors WHERE family <> 'none'")
    norm = rows.filter(pl.col("family") == "base").select(
        "trait", "layer", pl.col("norm").alias("base_norm")
    )
    rows = rows.join(norm, on=["trait", "layer"])
    orthogonal = rows.filter(pl.col("family") == "orthogonal")
    assert len(orthogonal) == 2 * 2 * len(TRAITS)  # seeds, layers
    assert (orthogonal["cosine_to_base"].abs() < 1e-5).all()
    matched = rows.filter(
        pl.col("family").is_in(["orthogonal", "base_plus_orthogonal_matched", "pca", "logistic"])
    )
    assert ((matched["norm"] / matched["base_norm"] - 1).abs() < 1e-5).all()
