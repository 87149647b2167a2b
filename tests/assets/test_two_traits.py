"""Arms that add another trait's vector to v: texts, interference, and what is said without it."""

import dataclasses
import logging
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.assets.reports._arm_tests import compare_arms
from steer_assets.assets.reports._evidence_rows import _counts
from steer_assets.assets.reports._verdict_rows import with_verdicts
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import UnknownNameError
from steer_assets.catalog.studies import Study
from steer_assets.checks import looks  # noqa: F401 - registers the checks
from steer_assets.checks.harness import LOOKS
from steer_assets.lm.decoding import decode
from steer_assets.lm.forward.intervene import Addition
from steer_assets.pipeline import freshness
from steer_assets.pipeline.design import random_streams, two_traits
from steer_assets.storage.files.tensors import read_vectors, write_vectors
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import InputVersion, describe_file, write_record
from tests.assets.conftest import LAYER, MODEL, TRAIT, Tiny
from tests.assets.planted import one_look, scored_by_vector

OTHER = "formality"
BASE, PAIR = f"L{LAYER}.base", f"L{LAYER}.two_traits.{OTHER}"
LABELS = {"model": MODEL, "trait": OTHER}


def _study(study: Study, **changed: object) -> Study:
    value = study.model_dump(mode="json")
    value |= {"protocols": [{"name": "controlled"}], "protocol_texts": None}
    arms = [{"families": ["base", "base_plus_orthogonal"], "alphas": [1.0, 2.0]}]
    plan = {"traits": [OTHER, TRAIT], "alphas": [2.0], "times": 0.5, **changed}
    value["generation"] |= {"samples": 1, "looks": [1.0], "extra": 1.0}
    value["generation"] |= {"arms": arms, "two_traits": plan}
    return Study.model_validate(value)


@pytest.fixture
def world(tiny: Tiny, tmp_path: Path) -> Tiny:
    root = Path(shutil.copytree(tiny.layout.root, tmp_path / "data"))
    return dataclasses.replace(tiny, layout=Layout(root), study=_study(tiny.study))


def _bring(world: Tiny, layer: int = LAYER, sha256: str = "0") -> np.ndarray:
    """v of the other trait, as its own partition would store it."""
    v = 2.0 * np.random.default_rng(8).normal(size=world.models.lm.hidden_size)
    path = world.layout.pair_file("vectors", MODEL, OTHER, ".safetensors")
    write_vectors(path, {f"L{layer}.base": v}, {**LABELS, "model_sha256": sha256})
    return v


def test_texts_are_those_of_both_vectors_at_their_doses(world: Tiny) -> None:
    other = _bring(world)
    world.make("generations")
    rows = world.rows("generations").filter(vector_id=PAIR).sort("prompt_id")
    run, settings = world.run("generations"), world.study.generation
    v = read_vectors(world.layout.pair_file("vectors", MODEL, TRAIT, ".safetensors"))[BASE]
    expected = decode.generate(
        world.models.lm,
        world.models.lm.encode(rows["prompt"].to_list()),
        [(Addition(LAYER, 0, 2.0), Addition(LAYER, 1, 1.0))],
        np.stack([v, other]),
        decode.Sampling(
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=random_streams.integer(run.study, "generations", MODEL, TRAIT),
        ),
        prompt_keys=rows["prompt_id"].to_list(),
    )
    assert rows["alpha"].unique().to_list() == [2.0]
    assert rows["text"].to_list() == [text.text for text in expected]
    alone = world.rows("generations").filter(vector_id=BASE, alpha=2.0).sort("prompt_id")
    assert rows["text"].to_list() != alone["text"].to_list()
    assert LOOKS["generations", "texts_follow_the_decisions"](run).passed


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({}, "is not stored; `steer run --model tiny --trait formality` materialises it"),
        ({"sha256": "1"}, "was made from other weights; `steer run --model tiny"),
        ({"layer": 1}, "because that block was not steered; `steer run --model tiny"),
    ],
)
def test_without_the_other_vector_a_sentence_says_what_to_make(
    world: Tiny, caplog: pytest.LogCaptureFixture, kept: dict[str, object], said: str
) -> None:
    if kept:
        _bring(world, **kept)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        made = world.make("generations")
    assert f"v of {OTHER} at block {LAYER} " in made.metadata["left out"]
    assert said in made.metadata["left out"] in caplog.text
    rows = world.rows("generations")
    assert not rows["vector_id"].str.contains("two_traits").any()
    _bring(world)  # it may come between the texts and their check
    assert LOOKS["generations", "texts_follow_the_decisions"](world.run("generations")).passed


def test_the_other_vector_is_an_input_of_the_texts(world: Tiny) -> None:
    """Of no other stage, and of none where the study has no such arms."""
    key = {"model": MODEL, "trait": TRAIT}

    def versions(stage: str, study: Study = world.study) -> list[str]:
        inputs = freshness.expected_inputs(world.layout, STAGES[stage], key, study)
        named = ("vector_families", f"{MODEL}|{OTHER}")
        return [i.data_version for i in inputs if (i.asset_key, i.partition) == named]

    assert versions("generations") == ["missing"]
    path = world.layout.pair_file("vectors", MODEL, OTHER, ".safetensors")
    _bring(world)
    write_record(
        world.layout, asset_key="vector_families", key=LABELS, data_version="v1",
        inputs=[InputVersion("code", "all", "1")],
        files=[describe_file(world.layout, world.layout.relative(path))], study="s",
        code_version="1", run_id="r", mlflow_run_id="",
    )  # fmt: skip
    assert versions("generations") == ["v1"]
    assert versions("text_divergences") == []
    plain = world.study.generation.model_copy(update={"two_traits": None})
    assert versions("generations", world.study.model_copy(update={"generation": plain})) == []
    assert "two_traits" not in plain.model_dump()


def test_a_partition_passes_over_its_own_trait(world: Tiny) -> None:
    assert [p.vector_id for p in two_traits.declared(world.study, TRAIT, [LAYER])] == [PAIR]
    named = [p.trait for p in two_traits.declared(world.study, OTHER, [1, LAYER])]
    assert named == [TRAIT, TRAIT]
    wrong = _study(world.study, traits=["formalty"])
    with pytest.raises(UnknownNameError, match="formality"):
        two_traits.declared(wrong, TRAIT, [LAYER])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"alphas": [3.0]}, "alpha 3 in in_distribution is compared with v alone, which no arms"),
        ({"traits": ["../formality"]}, "trait"),
        ({"times": 0.0}, "greater than 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(tiny: Tiny, changed, said) -> None:
    with pytest.raises(ValueError, match=said):
        _study(tiny.study, **changed)


def test_blocks_of_both_traits_are_given_by_hand(tiny: Tiny) -> None:
    value = _study(tiny.study).model_dump(mode="json")
    value["layers"] = {"steer": "auto", "geometry": ["L/2"]}
    with pytest.raises(ValueError, match="two_traits needs layers"):
        Study.model_validate(value)


@pytest.mark.parametrize(
    ("alone", "polite", "honest", "verdicts"),
    [
        (2.0, 2.0, 0.8, ("equivalent", "different")),
        (0.0, 0.0, 1.2, ("untestable", "untestable")),
    ],
)
def test_interference_is_the_effect_of_both_minus_that_of_v_alone(
    alone: float, polite: float, honest: float, verdicts: tuple[str, str]
) -> None:
    """Each other trait by itself: they are no seeds of one family, and no directions like v."""
    study = one_look(catalog.study("quick"))
    pairs = [f"L15.two_traits.{name}" for name in ("politeness", "truthfulness")]
    shifts = {"none": 0.0, "L15.base": alone, pairs[0]: polite, pairs[1]: honest}
    vectors = pl.DataFrame(
        {"vector_id": ["none", "L15.base", *pairs],
         "family": ["none", "base", "two_traits", "two_traits"], "null_space": "",
         "layer": [-1, 15, 15, 15]}
    )  # fmt: skip
    judged = with_verdicts(
        compare_arms(scored_by_vector(shifts), vectors, study, "test"), 0.9, study
    )
    asked = (pl.col("comparison") == "against_base") & (pl.col("margin_kind") == "sd")
    found = {row["vector_id"]: row for row in judged.tests.filter(asked).to_dicts()}
    assert set(found) == set(pairs)
    for name, shift, verdict in zip(pairs, (polite, honest), verdicts, strict=True):
        assert found[name]["reference_id"] == "L15.base"
        assert found[name]["effect"] == pytest.approx(shift - alone, abs=0.05)
        assert found[name]["ci_low"] < found[name]["effect"] < found[name]["ci_high"]
        assert found[name]["verdict"] == verdict
    families = judged.families.filter(margin_kind="sd")
    assert set(families["family"]) == {p.removeprefix("L15.") for p in pairs}
    assert sum(_counts(judged.tests).values()) == 0
