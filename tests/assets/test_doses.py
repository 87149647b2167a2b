"""Distances and doses on the tiny model: prediction, radius, and copies to the last digit."""

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from steer_assets.assets.vectors._dose_response import radii
from steer_assets.assets.vectors._next_tokens import Step, measure
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.forward.scope import Scope
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.pipeline import external_vectors
from tests.assets.conftest import HIDDEN, LAYER, MODEL, TRAIT, Tiny, ask
from tests.geometry.reference import predicted_kl

BASE, COPY = f"L{LAYER}.base", f"L{LAYER}.external.copy"


@pytest.fixture(scope="module")
def measured(tiny: Tiny) -> Tiny:
    """With a copy of v brought in from outside, through a file."""
    stored = load_file(tiny.layout.pair_file("vectors", MODEL, TRAIT, ".safetensors"))
    external_vectors.add(tiny.layout, MODEL, TRAIT, "copy", {LAYER: stored[BASE]})
    tiny.make("vector_families")
    tiny.make("logit_distances")
    return tiny


def _kl(rows: pl.DataFrame, **chosen: object) -> pl.DataFrame:
    return rows.filter(**chosen).drop("vector_id", "family").sort(pl.all())


def test_a_copy_of_v_gets_the_results_of_v_to_the_digit(measured: Tiny) -> None:
    vectors = measured.rows("steering_vectors")
    assert vectors.filter(vector_id=COPY).item(0, "family") == "external"
    assert vectors.filter(vector_id=COPY).item(0, "sha256") == (
        vectors.filter(vector_id=BASE).item(0, "sha256")
    )
    distances = measured.rows("logit_distances").filter(reference_id="none")
    copy = distances.filter(vector_id=COPY).drop("vector_id")
    assert len(copy) == 6
    assert copy.equals(distances.filter(vector_id=BASE).drop("vector_id"))
    doses = measured.rows("dose_response")
    assert _kl(doses, vector_id=COPY).equals(_kl(doses, vector_id=BASE, reference_id="none"))
    against = measured.rows("logit_distances").filter(reference_id=BASE, vector_id=COPY)
    assert (against["kl"] == 0).all()
    assert (against["predicted_kl"] == 0).all()


def test_predictions_are_of_the_same_prompt(measured: Tiny) -> None:
    """Half e'Ge from the prompt's whole form, unsteered and around v."""
    run = measured.run("logit_distances")
    stored = load_file(measured.layout.pair_file("vectors", MODEL, TRAIT, ".safetensors"))
    texts = dict(run.rows("prompt_sets").select("prompt_id", "text").iter_rows())
    distances = measured.rows("logit_distances")
    name = f"L{LAYER}.orthogonal.s0"
    for reference, arm in (("none", ()), (BASE, (Addition(LAYER, 0, 1.0),))):
        rows = distances.filter(reference_id=reference, vector_id=name, alpha=1.0)
        assert len(rows) == 3
        ids = measured.models.lm.encode([texts[p] for p in rows["prompt_id"]])
        forms = prompt_forms(measured.models.lm, ids, [LAYER], arm=arm, vectors=stored[BASE][None])
        step = stored[name] - (stored[BASE] if reference == BASE else 0.0)
        expected = [predicted_kl(form.fisher[LAYER], step[None])[0] for form in forms]
        assert np.allclose(rows["predicted_kl"], expected, rtol=1e-3)


def test_small_steps_are_predicted_and_large_ones_need_not_be(measured: Tiny) -> None:
    doses = measured.rows("dose_response").filter(reference_id="none")
    steps = doses.group_by("vector_id", "step_norm").agg(pl.col("relative_step").mean())
    assert set(steps["relative_step"].round(6)) == {1e-4, 0.01, 0.1, 1.0}
    small = doses.filter(pl.col("relative_step").is_between(0.002, 0.05))
    ratio = (small["predicted_kl"] / small["kl"]).log().abs()
    assert ratio.median() < 0.1


def test_around_v_every_kind_of_direction_is_followed(measured: Tiny) -> None:
    around = measured.rows("dose_response").filter(reference_id=BASE)
    assert set(around["family"]) == {"base_plus_null", "base_plus_range", "orthogonal"}
    assert set(around["dose"].round(9)) == {0.25, 0.5, 1.0, 2.0, 4.0}
    # At one |v|, v + |v| u is the vector of the family itself.
    name = f"L{LAYER}.base_plus_range.fisher.s0"
    ours = around.filter(pl.col("dose").round(9) == 1.0, vector_id=name).sort("prompt_id")
    other = measured.rows("logit_distances").filter(reference_id=BASE, vector_id=name)
    assert np.allclose(ours["kl"], other.sort("prompt_id")["kl"], rtol=1e-4)
    assert np.allclose(ours["predicted_kl"], other.sort("prompt_id")["predicted_kl"], rtol=1e-4)


def test_the_fisher_null_is_wider_than_its_range(measured: Tiny) -> None:
    radius = measured.rows("equivalence_radius").filter(
        reference_id=BASE, null_space="fisher", tolerance=0.01
    )
    by_family = {
        family: part for (family,), part in radius.partition_by("family", as_dict=True).items()
    }
    for column in ("predicted_radius", "measured_radius"):
        null, leading = (by_family[f"base_plus_{s}"][column].mean() for s in ("null", "range"))
        assert null > leading


def test_radii_of_a_quadratic_law_are_known() -> None:
    steps = np.array([1.0, 2.0, 4.0])
    identity = {
        "layer": 3, "reference_id": "none", "vector_id": "a", "family": "base", "null_space": "",
        "prompt_id": "p",
    }  # fmt: skip
    rows = pl.DataFrame(
        [{**identity, "step_norm": s, "kl": 0.02 * s**2, "predicted_kl": 0.02 * s**2}
         for s in steps]
    )  # fmt: skip
    found = radii(rows, (0.08, 100.0))
    assert found["predicted_radius"].to_list() == pytest.approx([2.0, 4.0])
    assert found["measured_radius"].to_list() == pytest.approx([2.0, 4.0])
    assert found["predicted_reached"].to_list() == [True, False]
    assert found["measured_reached"].to_list() == [True, False]
    assert found["quadratic_limit"].to_list() == [4.0, 4.0]
    assert found["n_prompts"].to_list() == [1, 1]


def test_equal_states_are_run_once_and_the_origin_is_at_zero(tiny: Tiny) -> None:
    rng = np.random.default_rng(3)
    v = rng.normal(size=HIDDEN)
    directions = np.stack([v, v, -v])
    steps = [Step(0, 1.0), Step(1, 1.0), Step(2, 0.0), Step(0, 0.5)]
    prompts = tiny.models.lm.encode(["one two three", "four five"])
    for origin in (None, v):
        for found in measure(
            tiny.models.lm, prompts, LAYER, directions, steps, scope=Scope(), origin=origin
        ):
            kl, predicted = found.columns["kl"], found.columns["predicted_kl"]
            assert kl[0] == kl[1] > 0
            assert predicted[0] == predicted[1] == pytest.approx(4 * predicted[3])
            assert kl[2] == predicted[2] == 0


def test_the_view_shows_where_the_law_breaks(measured: Tiny) -> None:
    rows = measured.rows("dose_response")
    query = "SELECT * FROM v_kl_prediction WHERE reference_id = 'none' ORDER BY step_at_most"
    found = ask(query, "v_kl_prediction", "dose_response", rows)
    assert found["step_at_most"].to_list() == [0.01, 0.1, 1.0]
    n_arms = rows.filter(reference_id="none")["vector_id"].n_unique()
    assert (found["n_arms"] + found["n_below_rounding"]).to_list() == [2 * n_arms, n_arms, n_arms]
    medians = found["median_abs_log_ratio"].to_list()
    assert medians[0] < medians[-1]
    arms = (
        rows.filter(pl.col("relative_step") > 0.5, reference_id="none")
        .group_by("vector_id", "step_norm")
        .agg(pl.col("kl", "predicted_kl").mean())
    )
    expected = (arms["predicted_kl"] / arms["kl"]).log().abs().median()
    assert medians[-1] == pytest.approx(expected)


def test_every_distance_has_its_length_and_what_the_length_gives_alone(measured: Tiny) -> None:
    stored = load_file(measured.layout.pair_file("vectors", MODEL, TRAIT, ".safetensors"))
    v, rows = stored[BASE], measured.rows("logit_distances")
    for row in rows.unique(["vector_id", "reference_id", "alpha"]).iter_rows(named=True):
        step = stored[row["vector_id"]] - (v if row["reference_id"] == BASE else 0.0)
        expected = row["alpha"] * np.linalg.norm(step) / np.linalg.norm(v)
        assert row["displacement"] == pytest.approx(expected, abs=1e-12)
    around = rows.filter(reference_id=BASE)
    plus = around.filter(vector_id=f"L{LAYER}.base_plus_orthogonal.s0").sort("prompt_id")
    random = around.filter(pl.col("vector_id").str.contains(".random.")).sort("prompt_id")
    assert np.allclose(plus["displacement"], 1.0)
    assert np.allclose(random["displacement"], np.sqrt(2), atol=0.4)
    # One random vector: its own floor is its own distance, and all others go by their length.
    assert np.allclose(random["displacement_floor"], random["l2"])
    share = plus["displacement"] / random["displacement"]
    assert np.allclose(plus["displacement_floor"], share * random["l2"])
