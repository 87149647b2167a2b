"""Arms that steer several blocks at once: their additions and their references."""

import numpy as np
import polars as pl
import pytest

from steer_assets.assets.evidence._texts import Texts, Together
from steer_assets.assets.reports._arm_tests import compare_arms
from steer_assets.assets.reports._verdict_rows import with_verdicts
from steer_assets.catalog import catalog
from steer_assets.catalog.sections.generation import MultiLayer
from steer_assets.catalog.studies import Study
from steer_assets.lm.decoding import decode
from steer_assets.lm.forward.intervene import Addition
from steer_assets.pipeline.design import multi_layer, prompt_selection
from steer_assets.pipeline.design.arms import UNSTEERED, Arm, arms_by_environment
from tests.assets.conftest import Tiny
from tests.assets.planted import one_look, scored_by_vector

V, PLUS = "L15.multi_layer", "L15.multi_layer_plus_orthogonal.s0"


@pytest.fixture
def study() -> Study:
    quick = one_look(catalog.study("quick"))
    plan = MultiLayer(alphas=(1.0, 2.0), environments=("in_distribution",))
    return quick.model_copy(
        update={"generation": quick.generation.model_copy(update={"multi_layer": plan})}
    )


def test_every_block_has_its_own_v_and_its_own_v_perp(study: Study) -> None:
    found = {m.vector_id: m for m in multi_layer.multi_vectors(study, [10, 15, 20])}
    assert found[V].parts == ("L10.base", "L15.base", "L20.base")
    assert found[PLUS].parts[2] == "L20.base_plus_orthogonal.s0"
    vectors = pl.DataFrame(
        {"vector_id": ["L15.base"], "family": "base", "layer": 15, "null_space": "", "seed": 0}
    )
    arms = arms_by_environment(study, vectors, [10, 15, 20], 30)
    assert {Arm(V, 2.0), Arm(PLUS, 1.0), UNSTEERED} <= set(arms["in_distribution"])
    assert Arm(V, 1.0) not in arms["genre_shift"]


def test_one_block_is_not_several(study: Study) -> None:
    assert multi_layer.multi_vectors(catalog.study("paper"), [15]) == []
    with pytest.raises(ValueError, match="needs two steered blocks"):
        multi_layer.multi_vectors(study, [15])


def test_texts_are_those_of_both_blocks_at_half_the_dose(tiny: Tiny) -> None:
    run = tiny.run("generations")
    run.shards.begin()
    prompts = prompt_selection.generation_tests(run.rows("prompt_sets"), run.study).head(2)
    values = 4.0 * np.random.default_rng(0).normal(size=(2, run.language_model().hidden_size))
    arms = [UNSTEERED, Arm("a", 6.0), Arm("both", 6.0)]
    everywhere = dict.fromkeys(prompts["environment"].unique(), arms)
    texts = Texts(
        run, "controlled", prompts, everywhere, (["a", "b"], [1, 2], values),
        samples=2, several={"both": Together(("a", "b"), 2)},
    )  # fmt: skip
    rows = texts.of(texts.pairs)
    run.shards.clear()
    settings = run.study.generation
    expected = decode.generate(
        run.language_model(),
        run.language_model().encode(prompts["text"].to_list()),
        [(Addition(1, 0, 3.0), Addition(2, 1, 3.0))],
        values,
        decode.Sampling(
            max_new_tokens=settings.max_new_tokens,
            n_samples=2,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=_seed(run),
        ),
        prompt_keys=prompts["prompt_id"].to_list(),
    )
    by_arm = {arm.vector_id: rows.filter(pl.col("vector_id") == arm.vector_id) for arm in arms}
    assert by_arm["both"]["text"].to_list() == [text.text for text in expected]
    assert by_arm["both"]["text"].to_list() != by_arm["a"]["text"].to_list()


def _seed(run: object) -> int:
    from steer_assets.pipeline.design import random_streams

    return random_streams.integer(run.study, "generations", run.model, run.trait)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("several", "verdict"), [(1.5, "equivalent"), (0.5, "different"), (0.0, "untestable")]
)
def test_v_perp_at_several_blocks_is_judged_beside_v_at_several_blocks(
    study: Study, several: float, verdict: str
) -> None:
    plus = 0.0 if several == 0 else 1.5
    scored = scored_by_vector({"none": 0.0, "L15.base": 2.0, V: several, PLUS: plus})
    single = pl.DataFrame(
        {"vector_id": ["none", "L15.base"], "family": ["none", "base"], "null_space": "",
         "layer": [-1, 15]}
    )  # fmt: skip
    vectors = multi_layer.with_multi_layer(single, study, [10, 15, 20])
    compared = compare_arms(scored, vectors, study, "test")
    rows = with_verdicts(compared, 0.9, study).tests
    asked = (pl.col("comparison") == "against_base") & (pl.col("margin_kind") == "sd")
    found = {row["vector_id"]: row for row in rows.filter(asked).iter_rows(named=True)}
    assert (found[PLUS]["reference_id"], found[V]["reference_id"]) == (V, "L15.base")
    assert found[PLUS]["verdict"] == verdict
    assert found[V]["verdict"] == "different"
