"""Whole texts on the tiny model: exact where exact, equal arms equal, one token as next tokens."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from steer_assets.assets import STAGES
from steer_assets.assets.evidence.text_divergences import lengths
from steer_assets.catalog.studies import Study
from steer_assets.pipeline import external_vectors
from tests.assets.conftest import LAYER, MODEL, TRAIT, Tiny

BASE, COPY = f"L{LAYER}.base", f"L{LAYER}.external.copy"
PLUS = f"L{LAYER}.base_plus_orthogonal.s0"


def _study(study: Study) -> Study:
    """At the temperature of next-token distributions, with half of v: some texts stay the same."""
    value = study.model_dump(mode="json")
    value |= {"protocols": [{"name": "controlled"}], "protocol_texts": None}
    value["behaviour"] = {"prompts": 4, "steered_alpha": 0.5}
    value["logits"] = {"prompts": 8, "alphas": [0.5]}
    value["generation"] |= {"temperature": 1.0, "samples": 3, "looks": [1.0]}
    value["generation"]["arms"] = [
        {"families": ["base", "base_plus_orthogonal"], "alphas": [0.5, 2.0]}
    ]
    value["text_divergences"] = {"samples": 3}
    return Study.model_validate(value)


@pytest.fixture(scope="module")
def world(tiny: Tiny) -> Tiny:
    """With a copy of v brought in from outside."""
    made = dataclasses.replace(tiny, study=_study(tiny.study))
    stored = load_file(made.layout.pair_file("vectors", MODEL, TRAIT, ".safetensors"))
    external_vectors.add(made.layout, MODEL, TRAIT, "copy", {LAYER: stored[BASE]})
    for stage in ("vector_families", "logit_distances", "generations", "text_divergences"):
        made.make(stage)
    return made


def _rows(world: Tiny, **chosen: object) -> pl.DataFrame:
    return world.rows("text_divergences").filter(environment="pooled", **chosen).sort("n_tokens")


def test_the_probability_at_sampling_is_the_one_read_afterwards(world: Tiny) -> None:
    read = world.rows("text_likelihoods").filter("own")
    both = read.join(world.rows("generations"), on="generation_id")
    assert len(both) == len(read) > 0
    # The generation's own column is the second of the same name.
    apart = (both["log_probability"] - both["log_probability_right"]).abs()
    assert apart.max() < 1e-3
    assert (read["token_kl"] == 0).all()


def test_a_copy_of_v_is_v_to_the_digit(world: Tiny) -> None:
    same = _rows(world, vector_id=COPY, reference_id=BASE)
    assert same["n_tokens"].to_list() == lengths(6) == [1, 2, 4, 6]
    for name in ("kl", "kl_reverse", "js", "total_variation"):
        for end in ("", "_low", "_high"):
            assert (same[f"{name}{end}"] == 0).all()
    assert (same["observer_auroc"] == 0.5).all()
    assert (same["text_verdict"] == "certified").all()
    v, copy = (
        _rows(world, vector_id=one, reference_id="none").drop("vector_id", "family")
        for one in (BASE, COPY)
    )
    assert v.equals(copy)


def test_one_token_is_the_next_token(world: Tiny) -> None:
    """The mean over prompts of `logit_distances`, computed there from whole vocabularies too."""
    first = _rows(world, n_tokens=1)
    distances = world.rows("logit_distances").filter(pl.col("alpha") == 0.5)
    assert set(first["vector_id"]) == {BASE, COPY, PLUS, PLUS.replace("s0", "s1")}
    for row in first.iter_rows(named=True):
        if (row["vector_id"], row["reference_id"]) == (COPY, BASE):
            continue
        own = distances.filter(vector_id=row["vector_id"], reference_id=row["reference_id"])
        assert len(own) == row["n_prompts"]
        assert row["kl"] == pytest.approx(own["kl"].mean(), rel=1e-4)


def test_divergences_grow_with_the_text_and_agree_with_each_other(world: Tiny) -> None:
    for _, rows in _rows(world).group_by("vector_id", "reference_id"):
        assert (rows["kl"].diff().drop_nulls() >= 0).all()
        assert (rows["js"] <= np.log(2)).all()
        for name in ("kl", "kl_reverse", "js", "total_variation", "observer_auroc"):
            low, value, high = (rows[f"{name}{end}"] for end in ("_low", "", "_high"))
            assert ((low <= value) & (value <= high)).all()
        assert (rows["bound_for_any_score"] <= rows["total_variation_high"]).all()
        assert (rows["bound_for_any_score"] <= (rows["kl_high"] / 2).sqrt() + 1e-12).all()


def test_only_the_headline_dose_is_compared(world: Tiny) -> None:
    assert set(_rows(world)["alpha"]) == {0.5}
    texts = world.rows("text_likelihoods")
    read = texts.join(world.rows("generations"), on="generation_id", suffix="_of_text")
    assert set(read["alpha"]) == set(read["alpha_of_text"]) == {0.0, 0.5}


def test_greedy_texts_have_no_divergence(world: Tiny) -> None:
    value = world.study.model_dump(mode="json")
    value["generation"] |= {"temperature": 0.0}
    greedy = dataclasses.replace(world, study=Study.model_validate(value))
    produced = greedy.run("text_divergences")
    frames = [rows.frame for rows in STAGES["text_divergences"].make(produced).rows]
    assert [frame.is_empty() for frame in frames] == [True, True]


def test_texts_of_three_prompts_are_read_and_not_compared(world: Tiny) -> None:
    value = world.study.model_dump(mode="json")
    value["text_divergences"] |= {"prompts": 3}
    few = dataclasses.replace(world, study=Study.model_validate(value))
    made = STAGES["text_divergences"].make(few.run("text_divergences"))
    divergences, likelihoods = (rows.frame for rows in made.rows)
    assert divergences.is_empty()
    assert len(likelihoods) > 0
