"""Studies with several looks: texts are those of the fixed study, and stop where it is decided."""

import shutil
import zlib
from pathlib import Path

import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.assets.evidence import _look_decisions, _looks
from steer_assets.assets.evidence._texts import Texts
from steer_assets.assets.reports._arm_tests import compare_arms
from steer_assets.assets.reports._verdict_rows import with_verdicts
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.catalog.sections.generation import Generation
from steer_assets.checks.harness import LOOKS, Finding, carry_out
from steer_assets.checks.looks import planned_samples
from steer_assets.pipeline.design import looks, prompt_selection, thinking
from steer_assets.stats.sequential import stopping
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import frame_of
from tests.assets.conftest import Tiny

SHARES = (0.4, 1.0)


class _Known:
    """A scorer by name; scores come from `_plant`."""

    name = "known"


def _plant(monkeypatch: pytest.MonkeyPatch, effects: dict[str, float], noisy: str = "") -> None:
    """Scores by arm: what a prompt gives, the effect of a vector by its family, a little noise.

    One family may have thirty times as much.
    """

    def scored(_reader: object, texts: pl.DataFrame) -> pl.DataFrame:
        keys = texts.select("vector_id", "alpha", "environment", "prompt_id", "sample", "look")
        scores = [
            zlib.crc32(prompt.encode()) % 997 / 300
            + effects.get(family, 0.0)
            + (30 if family == noisy else 1)
            * (zlib.crc32(f"{v}{prompt}".encode()) % 997 - 498)
            / 9970
            for v, prompt in keys.select("vector_id", "prompt_id").iter_rows()
            for family in [v.split(".")[1] if "." in v else v]
        ]
        return keys.with_columns(score=pl.Series(scores, dtype=pl.Float64))

    monkeypatch.setattr(_looks, "_scorer", lambda _run: _Known())
    monkeypatch.setattr(_looks._Reader, "scored", scored)


def _study(world: Tiny, shares: tuple[float, ...]) -> Tiny:
    """The tiny study with more prompts, few arms and these looks."""
    study = world.study
    arms = tuple(
        study.generation.arms[0].model_copy(update={"families": families})
        for families in (("base", "base_plus_orthogonal"), ("orthogonal",))
    )
    generation = study.generation.model_copy(
        update={"looks": shares, "samples": 1, "arms": arms, "max_new_tokens": 3}
    )
    tests = {"in_distribution": 20, "topic_shift": 10, "genre_shift": 0, "safety_style": 0}
    prompts = study.prompts.model_copy(update={"test": tests})
    texts = study.protocol_texts.model_copy(  # type: ignore[union-attr]
        update={"samples": 1, "prompts": {**tests, "in_distribution": 2, "topic_shift": 1}}
    )
    update = {
        "generation": generation,
        "prompts": prompts,
        "protocol_texts": texts,
        "protocols": study.protocols[:1],
    }
    return Tiny(world.layout, study.model_copy(update=update), world.models)


@pytest.fixture
def world(tiny: Tiny, tmp_path: Path) -> Tiny:
    root = Path(shutil.copytree(tiny.layout.root, tmp_path / "data"))
    return _study(Tiny(Layout(root), tiny.study, tiny.models), SHARES)


@pytest.fixture
def fixed(world: Tiny) -> Tiny:
    return _study(world, (1.0,))


#: v + v_perp is like v, v_perp alone is not.
ALIKE = {"base": 3.0, "base_plus_orthogonal": 3.0}
KEYS = ["vector_id", "alpha", "prompt_id", "sample"]


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
    _plant(monkeypatch, ALIKE)
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
    _plant(monkeypatch, ALIKE, noisy="base_plus_orthogonal")
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
    _plant(monkeypatch, ALIKE)
    world.make("generations")
    run = world.run("generations")
    texts = run.rows("generations").filter(protocol=CONTROLLED)
    scored = _looks._Reader(_Known()).scored(texts)  # type: ignore[arg-type]
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
    _plant(monkeypatch, ALIKE | {"orthogonal": 2.9})
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
    _plant(monkeypatch, ALIKE, noisy="base_plus_orthogonal")
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
    _plant(monkeypatch, ALIKE, noisy="base_plus_orthogonal")
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
