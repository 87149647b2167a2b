"""Texts of a reasoning model: the part that is scored, and what lacks it."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.assets.reports._arm_tests import compare_arms
from steer_assets.assets.vectors._sweep import NoCalibrationError, Sweep, _Text
from steer_assets.catalog import catalog
from steer_assets.catalog.sections.text_sections import Thinking
from steer_assets.catalog.studies import Study
from steer_assets.checks.harness import LOOKS
from steer_assets.lm.thinking import KNOWN
from steer_assets.pipeline.design import thinking
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.comparisons import Scores
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.schema import conform, frame_of
from tests.assets.test_comparisons import one, scored, study, vectors  # noqa: F401 (fixtures)
from tests.finished import KEY, stored
from tests.tiny import World, tokenizer

V = Arm("L15.base", 1.0)
PLUS = "L15.base_plus_orthogonal.s0"
TEXTS = ("Hm.</think>An answer.", "Hm, and so", "Hm.</think>", "Hm.")


def _model() -> Any:
    own = tokenizer()
    return SimpleNamespace(tokenizer=own, decode=own.decode, markup=KNOWN[0])


def _sections() -> pl.DataFrame:
    """Three texts after a prompt that begins the section, and one after a prompt that does not."""
    model = _model()
    rows = []
    for number, text in enumerate(TEXTS):
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        own = thinking.of_text(model, model.markup, ids, inside=number < 3)
        rows.append({"generation_id": str(number), **own})
    return frame_of(thinking.TABLE, rows)


def _asking(scored_part: str) -> Study:
    found = catalog.study("quick")
    return found.model_copy(update={"thinking": Thinking(scored=scored_part)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "read", "before"),
    [
        ("after_thinking", ["An answer.", None, None, "Hm."], [11, 10, 11, 0]),
        ("thinking", ["Hm.", "Hm, and so", "Hm.", None], [0, 0, 0, 0]),
        ("whole", list(TEXTS), [0, 0, 0, 0]),
    ],
)
def test_the_part_that_is_scored_is_a_setting(
    part: str, read: list[str | None], before: list[int]
) -> None:
    texts = pl.DataFrame({"generation_id": list("0123"), "text": list(TEXTS)})
    found = thinking.read_part(texts, _sections(), _asking(part))
    assert found[thinking.READ].to_list() == read
    assert found[thinking.BEFORE].to_list() == before
    none = thinking.read_part(texts, frame_of(thinking.TABLE, []), _asking(part))
    assert none[thinking.READ].to_list() == list(TEXTS)  # a model without sections


def test_a_text_without_an_answer_says_why() -> None:
    found = _sections()
    assert found["section"].to_list() == ["closed", "open", "closed", "none"]
    assert found["reason"].to_list() == [
        "", thinking.NEVER_CLOSES, thinking.NOTHING_FOLLOWS, "",
    ]  # fmt: skip
    assert found["answer"].to_list() == ["An answer.", None, None, "Hm."]
    assert thinking.counted(found) == {
        "texts with a section of thinking": 3,
        "sections that never close": 1,
        "texts without an answer": 2,
    }


def _without(scored: pl.DataFrame, arm: str, prompts: list[str]) -> pl.DataFrame:  # noqa: F811
    """Scores without the second sample of some prompts of an arm."""
    gone = (
        (pl.col("vector_id") == arm) & pl.col("prompt_id").is_in(prompts) & (pl.col("sample") == 1)
    )
    return scored.filter(~gone)


@pytest.mark.parametrize("arm", ["none", "L15.base", PLUS])
def test_a_comparison_leaves_out_prompts_that_a_side_has_not_answered(
    scored: pl.DataFrame,  # noqa: F811
    vectors: pl.DataFrame,  # noqa: F811
    study: Study,  # noqa: F811
    arm: str,
) -> None:
    """It is that of the other prompts, in the unit of all unsteered texts that are answered."""
    lost = ["p3", "p7"]
    rows = pl.DataFrame(compare_arms(_without(scored, arm, lost), vectors, study, "x").tests)
    for margin in ("sd", "efficacy"):
        found = one(rows, PLUS, "against_base", margin)
        kept = pl.col("prompt_id").is_in(lost)
        difference = (
            scored.filter(~kept & pl.col("vector_id").is_in([PLUS, V.vector_id]))
            .group_by("vector_id")
            .agg(pl.col("score").mean())
        )
        means = dict(difference.iter_rows())
        assert found["n_prompts"] == 38
        assert found["effect"] == pytest.approx(means[PLUS] - means[V.vector_id])
    others = one(rows, "L15.orthogonal.s0", "efficacy")
    assert others["n_prompts"] == (38 if arm == "none" else 40)


def test_samples_of_a_prompt_are_never_paired_with_others(scored: pl.DataFrame) -> None:  # noqa: F811
    scores = Scores(_without(scored, V.vector_id, ["p0"]))
    assert "p0" not in scores.shared([V], "pooled")
    assert "p0" in scores.shared([UNSTEERED], "pooled")


def test_a_sweep_reads_the_prompts_that_every_arm_has_answered() -> None:
    sweep = Sweep(None, [1], None, None)  # type: ignore[arg-type]
    own = [_Text(prompt, (), "yes") for prompt in range(6)]
    assert sweep._answered([[*own[:5], None], own]) == [own[:5], own[:5]]
    with pytest.raises(NoCalibrationError, match=r"3 of 6 prompts .* calibration.max_new_tokens"):
        sweep._answered([[*own[:3], None, None, None], own])


def _cut(world: World, n: int) -> list[str]:
    """Say of the first `n` texts that they never close, and of the others what they answer."""
    run = stored(world, "classifier_scores")
    texts = run.rows("generations")
    rows = [
        {
            "generation_id": name,
            "section": "open" if row < n else "closed",
            "n_thinking_tokens": 1,
            "thinking": "",
            "answer": None if row < n else f"{text[1:]}!",
            "reason": thinking.NEVER_CLOSES if row < n else "",
        }
        for row, (name, text) in enumerate(texts.select("generation_id", "text").iter_rows())
    ]
    shared = {**KEY, "run_id": "", "code_version": ""}
    frame = frame_of(thinking.TABLE, rows).with_columns(
        pl.lit(v).alias(k) for k, v in shared.items()
    )
    write_part(run.layout.part(thinking.TABLE, KEY), conform(frame, thinking.TABLE), ("answer",))
    return texts["generation_id"].to_list()[n:]


def test_texts_without_an_answer_have_no_score_and_no_perplexity(finished: World) -> None:
    answered = _cut(finished, 5)
    made = STAGES["classifier_scores"].make(stored(finished, "classifier_scores"))
    scores = made.rows[0].frame
    assert scores["generation_id"].to_list() == answered
    assert made.metadata["texts without a score"] == 5
    measured = STAGES["fluency"].make(stored(finished, "fluency")).rows[0].frame
    assert set(measured["generation_id"]) <= set(answered)
    assert not measured.is_empty()


def test_where_nothing_is_answered_nothing_is_scored_and_a_check_says_so(
    finished: World,
) -> None:
    from steer_assets.assets.reports.equivalence_reports import tests_and_rows

    _cut(finished, 10**6)
    for stage in ("classifier_scores", "fluency"):
        run = stored(finished, stage)
        made = STAGES[stage].make(run).rows[0]
        assert made.frame.is_empty()
        part = run.layout.part(made.table, KEY)
        write_part(part, run.rows(made.table).clear())
    run = stored(finished, "equivalence_reports")
    reports = tests_and_rows(run, run.rows("null_spaces", kind="fisher"), "")["equivalence_reports"]
    assert set(reports["verdict"]) == {"untestable"}
    assert reports["reason"].str.contains("raise generation.max_new_tokens").all()
    look = LOOKS["generations", "sections_of_thinking_close"]
    found = look(stored(finished, "generations"))
    assert not found.passed
    assert "have no answer" in found.words
    shutil.rmtree(run.layout.part(thinking.TABLE, KEY).parent)
    assert look(stored(finished, "generations")).passed
