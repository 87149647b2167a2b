"""Studies with several looks: texts are those of the fixed study, and stop where it is decided."""

from pathlib import Path

import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.assets.evidence import _look_decisions, _looks
from steer_assets.assets.evidence._texts import Texts
from steer_assets.assets.reports._arm_tests import compare_arms
from steer_assets.assets.reports._verdict_rows import with_verdicts
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.checks.looks import planned_samples
from steer_assets.pipeline.design import thinking
from steer_assets.stats.sequential import stopping
from steer_assets.storage.schema import frame_of
from tests.assets.conftest import Tiny
from tests.assets.looked import ALIKE, Known, copied, plant, study_of

KEYS = ["vector_id", "alpha", "prompt_id", "sample"]


@pytest.fixture
def world(tiny: Tiny, tmp_path: Path) -> Tiny:
    return copied(tiny, tmp_path / "data")


@pytest.fixture
def fixed(world: Tiny) -> Tiny:
    return study_of(world, (1.0,))


def _decisions(world: Tiny) -> dict[tuple[str, int], str]:
    """Without vectors that were imported, which the shared run has."""
    rows = world.rows("look_decisions").select("family", "look", "decision").iter_rows()
    return {(f, look): decision for f, look, decision in rows if not f.startswith("external")}


def test_a_text_is_that_of_the_fixed_study_and_what_is_decided_gets_no_more(
    world: Tiny, fixed: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed.make("generations")
    whole = fixed.rows("generations")
    assert fixed.rows("look_decisions").is_empty()
    assert set(whole["look"]) == {1}
    plant(monkeypatch, ALIKE)
    world.make("generations")
    rows = world.rows("generations")
    columns = [*KEYS, "seed", "text", "token_ids", "generation_id"]
    both = rows.select(columns).join(whole.select(columns), on=KEYS, suffix="_fixed")
    assert len(both) == len(rows) < len(whole)
    for name in ("seed", "text", "token_ids", "generation_id"):
        assert both[name].equals(both[f"{name}_fixed"], check_names=False)
    assert _decisions(world) == {
        ("base_plus_orthogonal", 1): "equivalent",
        ("orthogonal", 1): "different",
    }
    assert set(rows["look"]) == {1}


@pytest.mark.parametrize("every", [1, 41])
def test_a_look_scores_answers_alone(
    world: Tiny, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """Every text, or every forty-first, never closes its section of thinking."""
    heard: list[str] = []

    class Counting:
        name = "counting"

        def score(self, texts: list[str]) -> list[float]:
            heard.extend(texts)
            return [len(text) / 10 for text in texts]

    def sections(_model: object, _prompts: object, texts: pl.DataFrame) -> pl.DataFrame:
        n_open = pl.int_range(pl.len()) % every == 0
        return frame_of(
            thinking.TABLE,
            texts.select(
                "generation_id",
                section=pl.when(n_open).then(pl.lit("open")).otherwise(pl.lit("closed")),
                n_thinking_tokens=pl.lit(1),
                thinking=pl.lit(""),
                answer=pl.when(~n_open).then("generation_id"),
                reason=pl.when(n_open).then(pl.lit(thinking.NEVER_CLOSES)).otherwise(pl.lit("")),
            ).to_dicts(),
        )

    monkeypatch.setattr(_looks, "_scorer", lambda _run: Counting())
    monkeypatch.setattr(thinking, "sections", sections)
    world.make("generations")
    found = world.rows("thinking_sections")
    assert sorted(heard) == sorted(found["answer"].drop_nulls())
    assert len(found) == len(world.rows("generations"))
    assert (every == 1) == (not heard)
    prompts = world.rows("look_decisions")["n_prompts"]
    assert (prompts == 0).all() == (every == 1)


def test_v_and_unsteered_go_on_with_what_is_open(
    world: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """v_perp alone is decided at the first look, v + v_perp is too noisy to be."""
    plant(monkeypatch, ALIKE, noisy="base_plus_orthogonal")
    monkeypatch.setattr(stopping, "HOPELESS", 0.0)
    world.make("generations")
    rows = world.rows("generations")
    going = set(rows.filter(look=2)["vector_id"].str.split(".").list.get(1, null_on_oob=True))
    assert going == {None, "base", "base_plus_orthogonal"}
    assert _decisions(world)["base_plus_orthogonal", 1] == "open"
    n = len(world.rows("prompt_sets").filter(role="test"))
    assert rows.filter(vector_id="none")["prompt_id"].n_unique() == 30 < n
    stored = world.run("generations")
    assert {(p, a.vector_id, k) for p, a, k in planned_samples(stored)} == set(
        rows.select("prompt_id", "vector_id", "look").iter_rows()
    )


def test_the_report_reaches_the_decisions(world: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same numbers: the look, and the sequential p-values, of the rows of verdicts."""
    plant(monkeypatch, ALIKE)
    world.make("generations")
    run = world.run("generations")
    texts = run.rows("generations").filter(protocol=CONTROLLED)
    scored = _looks._Reader(Known()).scored(texts)  # type: ignore[arg-type]
    compared = compare_arms(scored, run.rows("steering_vectors"), run.study, "test")
    judged = with_verdicts(compared, 0.9, run.study)
    decided = run.rows("look_decisions").sort("family")
    families = judged.families.filter(margin_kind="sd", environment="pooled").sort("family")
    assert families["family"].equals(decided["family"])
    for name in ("p_equivalence", "p_difference", "look", "n_texts", "n_seeds"):
        assert families[name].to_list() == pytest.approx(decided[name].to_list(), rel=1e-6), name
    assert families["verdict"].to_list() == decided["decision"].to_list()


def test_without_a_scorer_all_looks_are_made(world: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_looks.scorers, "first", lambda *_: None)
    world.make("generations")
    rows = world.rows("generations")
    assert rows.group_by("vector_id").len()["len"].unique().to_list() == [30]
    assert set(rows["look"]) == {1, 2}
    assert world.rows("look_decisions").is_empty()


def test_a_killed_run_goes_on_with_the_same_decisions(
    world: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, ALIKE | {"orthogonal": 2.9})
    whole = world.make("generations").rows
    run, calls = world.run("generations"), []
    asked_for = Texts._asked_for

    def counted(self: Texts, *args: object) -> object:
        calls.append(args)
        return asked_for(self, *args)  # type: ignore[arg-type]

    class Killed(Exception):
        pass

    def killed(_decisions: object, look: int, *_others: object) -> str:
        raise Killed(look)

    monkeypatch.setattr(Texts, "_asked_for", counted)
    with monkeypatch.context() as patch:
        patch.setattr(_look_decisions.Decisions, "after", killed)
        with pytest.raises(Killed):
            STAGES["generations"].make(run)
    before = len(calls)
    assert before
    again = STAGES["generations"].make(run).rows
    run.shards.clear()
    assert len({repr(args[0]) for args in calls}) == len(calls)  # no batch twice
    for one, other in zip(whole, again, strict=True):
        assert one.frame.equals(other.frame)
