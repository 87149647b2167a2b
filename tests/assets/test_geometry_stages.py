"""Null spaces, bands and angles of the geometry stages against plain NumPy on the tiny model."""

import duckdb
import numpy as np
import polars as pl
import pytest

from steer_assets.geometry.null_spaces.floors import ADDITIVE
from steer_assets.geometry.null_spaces.subspaces import principal_angles
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.paths import SQL
from steer_assets.pipeline.design import prompt_selection
from steer_assets.storage.files.hdf5 import read_array
from tests.assets.conftest import HIDDEN, LAYER, MODEL, TRAIT, Tiny, ask

KINDS = ("covariance", "jacobian", "fisher")


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
