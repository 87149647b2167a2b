"""Which prompts a look has, what a study may ask of looks, and what checks find in them."""

from pathlib import Path

import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog.sections.generation import Generation
from steer_assets.checks.harness import LOOKS, Finding, carry_out
from steer_assets.pipeline.design import looks, prompt_selection
from steer_assets.stats.sequential import stopping
from steer_assets.storage.files.parquet import write_part
from tests.assets.conftest import Tiny
from tests.assets.looked import ALIKE, copied, plant, study_of


@pytest.fixture
def world(tiny: Tiny, tmp_path: Path) -> Tiny:
    return copied(tiny, tmp_path / "data")


@pytest.fixture
def fixed(world: Tiny) -> Tiny:
    return study_of(world, (1.0,))


def test_looks_are_shares_of_every_environment_in_an_order_of_their_own(world: Tiny) -> None:
    run = world.run("generations")
    prompts = prompt_selection.generation_tests(run.rows("prompt_sets"), run.study)
    found = prompts.with_columns(look=pl.Series(looks.look_of_prompts(prompts, run.study)))
    counts = dict(found.filter(look=1).group_by("environment").len().iter_rows())
    assert counts == {"in_distribution": 8, "topic_shift": 4}
    first = found.filter(environment="in_distribution")["look"].to_list()
    assert first[:2] == [1, 1]  # of protocols with switches
    assert first[:8] != [1] * 8
    fewer = prompts.filter(pl.int_range(pl.len()) != 19)  # another prompt leaves the order as it is
    again = dict(zip(fewer["prompt_id"], looks.look_of_prompts(fewer, run.study), strict=True))
    moved = [
        k for k, v in zip(found["prompt_id"], found["look"], strict=True) if again.get(k, v) != v
    ]
    assert len(moved) <= 1


def test_scores_are_an_input_only_where_a_look_reads_them(world: Tiny, fixed: Tiny) -> None:
    stage, key = STAGES["generations"], world.run("generations").key
    assert stage.sources(key, fixed.study) == {}
    before = stage.sources(key, world.study)
    assert "code/scoring" in before
    statistics = world.study.statistics.model_copy(update={"margin_sd": 0.3})
    changed = world.study.model_copy(update={"statistics": statistics})
    assert stage.sources(key, changed) != before


def test_arms_may_have_fewer_looks_and_seeds(world: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, ALIKE, noisy="base_plus_orthogonal")
    monkeypatch.setattr(stopping, "HOPELESS", 0.0)
    first, second = world.study.generation.arms
    arms = (first, second.model_copy(update={"looks": 1, "seeds": 1}))
    generation = world.study.generation.model_copy(update={"arms": arms})
    world.study = world.study.model_copy(update={"generation": generation})
    world.make("generations")
    rows = world.rows("generations").filter(
        pl.col("vector_id").str.contains(".orthogonal", literal=True)
    )
    assert set(rows["vector_id"]) == {"L2.orthogonal.s0"}
    assert set(rows["look"]) == {1}
    assert 2 in set(world.rows("generations")["look"])


def test_more_looks_than_the_study_has_are_refused() -> None:
    plan = {"samples": 1, "max_new_tokens": 1, "arms": [{"families": ["base"], "looks": 2}]}
    with pytest.raises(ValueError, match="take part in 2 looks, but looks has 1"):
        Generation.model_validate(plan)


@pytest.mark.parametrize("shares", [[], [0.5], [0.6, 0.3, 1.0], [0.0, 1.0], [0.5, 1.0, 1.2]])
def test_looks_rise_to_one(shares: list[float]) -> None:
    plan = {"samples": 1, "max_new_tokens": 1, "arms": [{"families": ["base"]}], "looks": shares}
    with pytest.raises(ValueError, match=r"rise from above 0 to 1|at least 1 item"):
        Generation.model_validate(plan)


def test_checks_find_texts_and_decisions_that_do_not_belong_together(
    world: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, ALIKE, noisy="base_plus_orthogonal")
    monkeypatch.setattr(stopping, "HOPELESS", 0.0)
    world.make("generations")

    def finding(name: str) -> Finding:
        return carry_out(LOOKS["generations", name], world.run("generations"))

    texts, numbers = "texts_follow_the_decisions", "decisions_follow_their_numbers"
    assert finding(texts).passed, finding(texts).words
    assert finding(numbers).passed, finding(numbers).words
    key = world.run("generations").key
    part = world.layout.part("look_decisions", key)
    rows = pl.read_parquet(part)
    stopped = pl.col("family") == "orthogonal"
    for change, name, words in (
        ({"decision": pl.lit("open")}, texts, "are missing"),
        ({"p_difference_adjusted": pl.lit(0.5)}, numbers, "different with p = 0.5"),
        (
            {"decision": pl.lit("hopeless"), "power_difference": pl.lit(0.4)},
            numbers,
            "power of 0.4",
        ),
    ):
        changed = {k: pl.when(stopped).then(v).otherwise(k) for k, v in change.items()}
        write_part(part, rows.with_columns(**changed))
        assert not finding(name).passed
        assert words in finding(name).words
    write_part(part, rows.with_columns(p_equivalence=pl.col("look") * 0.3))
    assert "rises" in finding(numbers).words
    write_part(part, rows.with_columns(decision=pl.lit("different"), p_difference_adjusted=0.01))
    assert "a look follows a decision" in finding(numbers).words
