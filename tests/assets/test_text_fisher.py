"""The form of whole texts on the tiny model: predictions, copies, shapes, slopes."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from steer_assets.assets import STAGES
from steer_assets.catalog.studies import Study
from steer_assets.pipeline import external_vectors
from steer_assets.storage.files.hdf5 import read_array
from steer_assets.storage.schema import columns
from tests.assets.conftest import HIDDEN, LAYER, MODEL, TRAIT, Tiny, ask

BASE, COPY = f"L{LAYER}.base", f"L{LAYER}.external.copy"
PLUS = f"L{LAYER}.base_plus_orthogonal.s0"
TEXTS = 30


def _study(study: Study) -> Study:
    value = study.model_dump(mode="json")
    value |= {"protocols": [{"name": "controlled"}], "protocol_texts": None}
    value["behaviour"] = {"prompts": 4, "steered_alpha": 0.5}
    value["generation"]["arms"] = [{"families": ["base", "base_plus_orthogonal"], "alphas": [0.5]}]
    value["text_divergences"] = {"samples": 2}
    value["text_fisher"] = {
        "texts": TEXTS, "points": ["steered", "unsteered"], "multiples": [0.01, 50.0],
        "prompts": 4,
    }  # fmt: skip
    return Study.model_validate(value)


@pytest.fixture(scope="module")
def world(tiny: Tiny) -> Tiny:
    made = dataclasses.replace(tiny, study=_study(tiny.study))
    stored = load_file(made.layout.pair_file("vectors", MODEL, TRAIT, ".safetensors"))
    external_vectors.add(made.layout, MODEL, TRAIT, "copy", {LAYER: stored[BASE]})
    made.make("vector_families")
    made.make("generations")
    _score(made)
    made.make("text_fisher")
    return made


def _score(world: Tiny) -> None:
    """The score of a text is its number of tokens that are below 50."""
    from steer_assets.storage.files.parquet import write_part

    texts = world.rows("generations")
    low = texts["token_ids"].list.eval(pl.element() < 50).list.sum()
    rows = texts.select("model", "trait", "generation_id").with_columns(
        low.cast(pl.Float64).alias("score"), scorer=pl.lit("low"), run_id=pl.lit(""),
        code_version=pl.lit(""),
    )  # fmt: skip
    path = world.layout.part("classifier_scores", {"model": MODEL, "trait": TRAIT})
    write_part(path, rows.select(columns("classifier_scores").keys()))


def test_short_steps_are_predicted_and_long_ones_need_not_be(world: Tiny) -> None:
    """At a hundredth of v_perp the law holds but for the noise of which texts were drawn."""
    rows = world.rows("text_predictions").filter(vector_id=PLUS).sort("multiple")
    assert rows["multiple"].to_list() == [0.01, 50.0]
    short, long = rows.iter_rows(named=True)
    assert abs(np.log(short["predicted_kl"] / short["kl"])) < 0.5
    assert long["predicted_kl"] == pytest.approx(short["predicted_kl"] * 5000**2, rel=1e-6)
    assert abs(np.log(long["predicted_kl"] / long["kl"])) > 1.0


def test_a_copy_of_v_lies_at_no_distance_and_has_the_slope_of_v(world: Tiny) -> None:
    nothing = world.rows("text_predictions").filter(vector_id=COPY)
    assert (nothing["kl"] == 0).all()
    assert (nothing["predicted_kl"] == 0).all()
    slopes = world.rows("trait_gradients").filter(at="steered")
    v, copy = (slopes.filter(vector_id=one).drop("vector_id", "family") for one in (BASE, COPY))
    assert len(v) == 1
    assert v.equals(copy)


def test_what_few_texts_call_null_is_measured_on_the_texts_of_other_prompts(world: Tiny) -> None:
    """u lies in their null space to a hundredth of its energy, yet moves texts they did not see."""
    rows = world.rows("text_predictions").filter(null_space="text", multiple=0.01)
    assert set(rows["vector_id"]) == {
        f"L{LAYER}.base_plus_range.text.s0", f"L{LAYER}.base_plus_null.text.s0"
    }  # fmt: skip
    assert rows["step_norm"].to_numpy() == pytest.approx(0.01 * 0.5 * _length(world))
    null, leading = (rows.filter(family=f"base_plus_{side}").row(0, named=True)
                     for side in ("null", "range"))  # fmt: skip
    assert null["predicted_kl"] < 0.05 * leading["predicted_kl"]
    assert null["kl"] > 2 * null["predicted_kl"]


def _length(world: Tiny) -> float:
    path = world.layout.pair_file("vectors", MODEL, TRAIT, ".safetensors")
    return float(np.linalg.norm(load_file(path)[BASE]))


def test_the_form_has_the_rank_and_the_floor_of_its_texts(world: Tiny) -> None:
    path = world.layout.pair_file("bases", MODEL, TRAIT, ".text.h5")
    spectra = world.rows("text_spectra")
    for at in ("steered", "unsteered"):
        form = read_array(path, f"form/text/{at}/{LAYER}")
        own = spectra.filter(at=at).sort("index")
        assert set(own["n_texts"]) == {TEXTS}
        assert np.allclose(own["singular_value"], np.sqrt(np.abs(np.linalg.eigvalsh(form))[::-1]),
                           atol=1e-4)  # fmt: skip
        assert np.linalg.matrix_rank(form) == TEXTS < HIDDEN
    spaces = world.rows("null_spaces", kind="text")
    assert set(spaces["n_samples"]) == {TEXTS}
    exact = spaces.filter(estimator="variance_99")
    assert (exact["null_fraction"] >= exact["sampling_floor"]).all()
    assert exact["sampling_floor"][0] == pytest.approx(1 - TEXTS / HIDDEN)
    assert exact["heldout_null_energy"].is_not_null().all()


def test_slopes_are_of_scored_texts_and_consistent(world: Tiny) -> None:
    rows = world.rows("trait_gradients")
    texts = world.rows("generations").filter(vector_id=BASE)
    assert set(rows["n_texts"]) == {len(texts)}
    assert rows["n_texts"][0] < TEXTS
    assert ((rows["slope_low"] <= rows["slope"]) & (rows["slope"] <= rows["slope_high"])).all()
    told = rows.drop_nulls("cosine")
    assert (told["cosine"].abs() <= 1).all()
    opposite = rows.filter(vector_id=f"L{LAYER}.negated", at="steered")["slope"][0]
    v = rows.filter(vector_id=BASE, at="steered")["slope"][0]
    assert opposite == pytest.approx(-v)
    # Nineteen random directions in twenty lie within this cosine.
    drawn = np.random.default_rng(0).normal(size=(4000, HIDDEN))
    cosine = np.abs(drawn[:, 0]) / np.linalg.norm(drawn, axis=1)
    assert (cosine < rows["random_cosine"][0]).mean() == pytest.approx(0.95, abs=0.02)
    answer = ask("FROM v_trait_gradient", "v_trait_gradient", "trait_gradients", rows)
    assert len(answer) == len(rows)
    law = ask("FROM v_text_prediction", "v_text_prediction", "text_predictions",
              world.rows("text_predictions"))  # fmt: skip
    assert law.filter(vector_id=PLUS)["n_steps"].to_list() == [2]


def test_greedy_texts_have_no_form(world: Tiny) -> None:
    value = world.study.model_dump(mode="json")
    value["generation"] |= {"temperature": 0.0}
    greedy = dataclasses.replace(world, study=Study.model_validate(value))
    produced = STAGES["text_fisher"].make(greedy.run("text_fisher"))
    assert all(rows.frame.is_empty() for rows in produced.rows)
