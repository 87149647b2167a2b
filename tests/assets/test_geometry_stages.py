"""Results of the geometry stages against plain NumPy over the same tiny model."""

import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from steer_assets.assets.geometry._token_moments import ALL_TOKENS, KEPT_PER_PROMPT, read_halves
from steer_assets.geometry.null_spaces.floors import ADDITIVE, part_floors
from steer_assets.geometry.null_spaces.subspaces import principal_angles
from steer_assets.lm.measurements.capture import capture
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.paths import SQL
from steer_assets.pipeline.design import prompt_selection
from steer_assets.storage.files.hdf5 import read_array, read_arrays, write_arrays
from steer_assets.storage.layout import Layout
from tests.assets.conftest import HIDDEN, LAYER, MODEL, TRAIT, Tiny, ask

KINDS = ("covariance", "jacobian", "fisher")


def _neutral(tiny: Tiny) -> list[np.ndarray]:
    """Tokens after the shared two of every test prompt [n, d]."""
    prompts = tiny.run("svd_spectra").rows("prompt_sets").filter(pl.col("role") == "test")
    ids = tiny.models.lm.encode(prompts["text"].to_list())
    return [
        tokens[2:].astype(np.float64)
        for batch in capture(tiny.models.lm, ids, [LAYER], positions="all")
        for tokens in batch[LAYER]
    ]


def test_all_token_moments_are_those_of_all_tokens(tiny: Tiny) -> None:
    tokens = np.concatenate(_neutral(tiny))
    path = tiny.layout.pair_file("moments", MODEL, TRAIT, ".h5")
    stored = read_array(path, f"covariance/{LAYER}/{ALL_TOKENS}")
    expected = np.cov(tokens, rowvar=False)
    assert np.abs(stored - expected).max() <= 1e-6 * np.abs(expected).max()
    row = tiny.rows("covariance_matrices").filter(
        pl.col("environment") == ALL_TOKENS, pl.col("layer") == LAYER
    )
    assert row.item(0, "n_samples") == len(tokens)
    cached = tiny.rows("activation_caches").filter(pl.col("position") == "all_prompt_tokens")
    assert cached["n_prompts"].to_list() == [len(_neutral(tiny)) + 24] * 2  # and contrast prompts


def test_environments_have_moments_of_all_their_tokens(tiny: Tiny) -> None:
    prompts = tiny.run("svd_spectra").rows("prompt_sets")
    path = tiny.layout.pair_file("moments", MODEL, TRAIT, ".h5")
    table = tiny.rows("covariance_matrices").filter(pl.col("layer") == LAYER)
    counts = dict(table.select("environment", "n_samples").iter_rows())
    for environment in ("contrast", "in_distribution", "safety_style"):
        contrast = environment == "contrast"
        own = prompts.filter(pl.col("role") == "contrast").head(24) if contrast else prompts.filter(
            pl.col("role") == "test", pl.col("environment") == environment
        )  # fmt: skip
        ids = tiny.models.lm.encode(own["text"].to_list())
        tokens = np.concatenate(
            [
                tokens[2:]
                for batch in capture(tiny.models.lm, ids, [LAYER], positions="all")
                for tokens in batch[LAYER]
            ]
        ).astype(np.float64)
        expected = np.cov(tokens, rowvar=False)
        stored = read_array(path, f"covariance/{LAYER}/{ALL_TOKENS}.{environment}")
        assert np.abs(stored - expected).max() <= 1e-6 * np.abs(expected).max()
        assert counts[f"{ALL_TOKENS}.{environment}"] == len(tokens) > counts[environment]
    parts = {name: n for name, n in counts.items() if name.startswith(f"{ALL_TOKENS}.")}
    assert sum(parts.values()) - parts[f"{ALL_TOKENS}.contrast"] == counts[ALL_TOKENS]


def test_the_halves_share_no_prompt_and_keep_few_tokens(tiny: Tiny) -> None:
    halves = list(read_halves(tiny.run("svd_spectra"), LAYER))
    assert len(halves) == 2
    prompts = _neutral(tiny)
    n = sum(len(tokens) for tokens in prompts)
    assert sum(moments.n for moments, _ in halves) == n
    assert sum(len(kept) for _, kept in halves) <= KEPT_PER_PROMPT * len(prompts)
    assert min(moments.n for moments, _ in halves) > 0.3 * n


def test_last_tokens_are_what_capturing_them_alone_gives(tiny: Tiny) -> None:
    path = tiny.layout.pair_file("activations", MODEL, TRAIT, ".h5")
    ids = [name.decode() for name in read_array(path, "prompt_ids")]
    prompts = tiny.rows("prompt_sets")
    texts = dict(prompts.select("prompt_id", "text").iter_rows())
    encoded = tiny.models.lm.encode([texts[name] for name in ids])
    alone = np.empty((len(ids), HIDDEN), np.float32)
    for batch in capture(tiny.models.lm, encoded, [LAYER]):
        alone[batch.prompt_indices] = batch[LAYER]
    assert np.array_equal(read_array(path, f"last/{LAYER}"), alone)


def test_all_tokens_are_counted_by_prompts_and_stand_on_what_those_force(tiny: Tiny) -> None:
    spaces = tiny.rows("null_spaces", kind="covariance").filter(pl.col("environment") == ALL_TOKENS)
    assert set(spaces["layer"]) == {1, LAYER}
    assert spaces["heldout_null_energy"].is_between(0, 3).all()
    prompts = _neutral(tiny)
    assert set(spaces["n_samples"]) == {len(prompts)}
    # A prompt's scatter about the overall mean, with the component that all of its tokens share.
    mean = np.concatenate(prompts).mean(axis=0)
    spread = [np.sqrt(len(t)) * (t.mean(axis=0) - mean) for t in prompts]
    parts = [np.linalg.eigvalsh(np.cov(t, rowvar=False) * (len(t) - 1)) for t in prompts]
    parts.append(np.linalg.svd(np.array(spread), compute_uv=False) ** 2)
    floors = part_floors([np.maximum(part, 0.0) for part in parts], HIDDEN)
    for row in spaces.filter(layer=LAYER).iter_rows(named=True):
        assert row["sampling_floor"] == floors[row["estimator"]], row["estimator"]
    # Tokens of a prompt are no independent samples: no edge of white noise can be stated.
    assert not set(spaces["estimator"]) & {"marchenko_pastur", "gavish_donoho"}
    spectra = tiny.rows("svd_spectra").filter(pl.col("environment") == ALL_TOKENS)
    assert len(spectra) == 2 * HIDDEN
    assert spectra["noise_edge"].null_count() == len(spectra)


def test_the_pooled_covariance_is_that_of_neutral_prompts_alone(tiny: Tiny) -> None:
    last = np.array([tokens[-1] for tokens in _neutral(tiny)])
    path = tiny.layout.pair_file("moments", MODEL, TRAIT, ".h5")
    stored = read_array(path, f"covariance/{LAYER}/pooled")
    expected = np.cov(last, rowvar=False)
    assert np.abs(stored - expected).max() <= 1e-6 * np.abs(expected).max()
    spaces = tiny.rows("null_spaces", kind="covariance").filter(pl.col("environment") == "pooled")
    assert set(spaces["n_samples"]) == {len(last)}


@pytest.mark.parametrize("kind", ["jacobian", "fisher"])
def test_few_prompts_force_a_null_fraction_on_the_averaged_forms(tiny: Tiny, kind: str) -> None:
    spaces = tiny.rows("null_spaces", kind=kind).filter(
        pl.col("layer") == LAYER, pl.col("at") == "unsteered", pl.col("estimator") == "variance_95"
    )
    prompts = tiny.run("svd_spectra").rows("prompt_sets")
    chosen = prompt_selection.spread_over_environments(
        prompt_selection.generation_tests(prompts, tiny.study), tiny.study.behaviour.prompts
    )
    ids = tiny.models.lm.encode(chosen["text"].to_list())
    own = 0
    for forms in prompt_forms(tiny.models.lm, ids, [LAYER]):
        form = (forms.jacobian_gram if kind == "jacobian" else forms.fisher)[LAYER]
        values = np.linalg.eigvalsh(form)[::-1]
        own += 1 + int((np.cumsum(values) / values.sum() < 0.95).sum())
    row = spaces.row(0, named=True)
    assert row["sampling_floor"] == pytest.approx(max(0.0, 1 - own / HIDDEN))
    assert row["null_fraction"] >= row["sampling_floor"]
    curve = tiny.rows("effective_dimension", kind=kind).filter(
        pl.col("layer") == LAYER, pl.col("estimator") == "variance_95"
    )
    # One prompt forces its own null fraction; the forced fraction decreases with more prompts.
    assert curve["sampling_floor"][0] == curve["null_fraction"][0] > 0
    assert curve["sampling_floor"].is_sorted(descending=True)
    assert curve["sampling_floor"][-1] == row["sampling_floor"]


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


def test_a_study_may_do_without_all_tokens(tiny: Tiny) -> None:
    from steer_assets.assets.geometry.activation_caches import activation_caches

    spectra = tiny.study.spectra.model_copy(update={"all_tokens": False})
    study = tiny.study.model_copy(update={"spectra": spectra})
    run = replace(tiny.run("activation_caches"), study=study)
    path = tiny.layout.pair_file("activations", MODEL, TRAIT, ".h5")
    before = path.read_bytes()
    try:
        produced = activation_caches.make(run)
        assert set(produced.rows[0].frame["position"]) == {"last_prompt_token"}
        assert list(read_halves(run, LAYER)) == []
    finally:
        run.shards.clear()  # they bear the identity of the study with all tokens
        path.write_bytes(before)


def test_bands_hold_the_pooled_spectrum_where_it_leads(tiny: Tiny) -> None:
    bands = tiny.rows("spectrum_bands").filter(pl.col("layer") == LAYER).sort("index")
    spectrum = tiny.rows("svd_spectra").filter(
        pl.col("layer") == LAYER, pl.col("environment") == "pooled"
    )
    assert np.allclose(
        bands["singular_value"], spectrum.sort("index")["singular_value"][: len(bands)], rtol=1e-6
    )
    assert (bands["low"] <= bands["high"]).all()
    assert (bands["high"] > bands["low"])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_effective_dimension_ends_at_the_stored_null_space(tiny: Tiny, kind: str) -> None:
    curve = tiny.rows("effective_dimension", kind=kind).filter(pl.col("layer") == LAYER)
    spaces = tiny.rows("null_spaces", kind=kind).filter(
        pl.col("layer") == LAYER,
        pl.col("environment") == "pooled",
        pl.col("at") == "unsteered",
    )
    last = curve.filter(pl.col("n_prompts") == pl.col("n_prompts").max())
    both = last.join(spaces, on="estimator", suffix="_stored")
    assert len(both) == len(spaces)
    assert np.allclose(both["value"], both["value_stored"], rtol=1e-6)
    assert curve["n_prompts"].n_unique() >= 3
    ranks = curve.filter(pl.col("estimator") == "sigma_1pct").sort("n_prompts")["value"]
    assert ranks[0] < ranks[-1]


def test_angles_between_kinds_are_the_angles_of_their_bases(tiny: Tiny) -> None:
    from steer_assets.assets.vectors._null_bases import null_bases

    bases = null_bases(tiny.run("vector_families"), LAYER)
    rows = tiny.rows("null_space_angles", compared="kinds").filter(pl.col("layer") == LAYER)
    assert len(rows) == 6
    for row in rows.iter_rows(named=True):
        angles = principal_angles(bases[row["kind"]][0], bases[row["other_kind"]][0])
        assert row["largest_angle"] == pytest.approx(angles[-1], abs=1e-9)
        assert row["overlap"] == pytest.approx((np.cos(angles) ** 2).mean(), abs=1e-9)
        assert row["rank"] == bases[row["kind"]][0].shape[1]
    fisher = read_array(
        tiny.layout.pair_file("bases", MODEL, TRAIT, ".behaviour.h5"),
        f"form/fisher/unsteered/{LAYER}",
    )
    null = bases["covariance"][1]
    share = np.trace(null.T @ fisher @ null) / np.trace(fisher) / (null.shape[1] / HIDDEN)
    found = rows.filter(kind="covariance", other_kind="fisher").item(0, "null_energy")
    assert found == pytest.approx(share, rel=1e-9)


def test_every_environment_is_compared_with_every_other(tiny: Tiny) -> None:
    rows = tiny.rows("null_space_angles", compared="environments").filter(pl.col("layer") == LAYER)
    names = {"contrast", "in_distribution", "topic_shift", "genre_shift", "safety_style"}
    assert set(rows["environment"]) == set(rows["other_environment"]) == names
    assert len(rows) == len(names) * (len(names) - 1)
    there = rows.select("environment", "other_environment", "overlap")
    back = there.join(
        there,
        left_on=["environment", "other_environment"],
        right_on=["other_environment", "environment"],
    )
    assert np.allclose(back["overlap"], back["overlap_right"])
    assert (rows["null_energy"] > 0).all()


def test_the_null_space_view_answers_in_one_query(tiny: Tiny) -> None:
    with duckdb.connect() as connection:
        for table in ("null_spaces", "effective_dimension"):
            rows = pl.concat([tiny.rows(table, kind=kind) for kind in KINDS])
            connection.execute((SQL / "tables" / f"{table}.sql").read_text())
            connection.register(f"given_{table}", rows.to_arrow())
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given_{table}")
        for view in ("v_saturation", "v_null_space"):
            connection.execute((SQL / "views" / f"{view}.sql").read_text())
        found = connection.sql("SELECT * FROM v_null_space").pl()
    assert set(found["layer"]) == {1, LAYER}
    for column in found:
        known = column.drop_nulls()
        if column.name.startswith("floor_"):  # no bound is known for every estimator
            known = found.filter(pl.col("estimator").is_in(ADDITIVE))[column.name]
        assert len(known) in (len(found), 2 * len(ADDITIVE)), column.name
        assert known.null_count() == 0, column.name
        if column.dtype.is_float():
            assert known.is_finite().all(), column.name
    for kind in KINDS:
        below = pl.col(f"null_{kind}") < pl.col(f"floor_{kind}") - 1e-12
        assert found.filter(below).is_empty()


def test_the_saturation_view_gives_growth_per_doubling(tiny: Tiny) -> None:
    rows = pl.concat([tiny.rows("effective_dimension", kind=kind) for kind in KINDS])
    query = "SELECT * FROM v_saturation WHERE estimator = 'sigma_1pct' AND kind = 'covariance'"
    found = ask(query, "v_saturation", "effective_dimension", rows)
    assert len(found) == 2
    for row in found.iter_rows(named=True):
        doublings = np.log2(row["n_prompts"] / row["n_before"])
        growth = 2 ** (np.log2(row["value"] / row["value_before"]) / doublings) - 1
        assert row["growth_per_doubling"] == pytest.approx(growth)
