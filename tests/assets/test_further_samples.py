"""What stopped families save goes to open ones, as further samples of the last prompts."""

import zlib

import polars as pl
import pytest

from steer_assets.assets.evidence import _looks
from steer_assets.assets.reports._arm_tests import compare_arms
from steer_assets.assets.reports._verdict_rows import with_verdicts
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.catalog.sections.generation import Generation
from steer_assets.checks import evidence  # noqa: F401 - registers the checks
from steer_assets.checks.harness import LOOKS, carry_out
from steer_assets.checks.looks import planned_samples
from steer_assets.stats.sequential import stopping
from steer_assets.storage.files.parquet import write_part
from tests.assets.conftest import Tiny
from tests.assets.test_looks import KEYS, SHARES, _study, world

__all__ = ["world"]

PLAN = {"samples": 1, "max_new_tokens": 1, "arms": [{"families": ["base"]}]}
#: v and v + v_perp are alike; of all others the first look is sure.
_EFFECTS = {"base": 3.0, "base_plus_orthogonal": 3.0}
_NOISY = 30


class _Known:
    """A scorer by name; scores come from `_scored`."""

    name = "known"


def _scored(_reader: object, texts: pl.DataFrame) -> pl.DataFrame:
    keys = texts.select("vector_id", "alpha", "environment", "prompt_id", "sample", "look")
    scores = []
    for v, prompt, sample in keys.select("vector_id", "prompt_id", "sample").iter_rows():
        family = v.split(".")[1] if "." in v else v
        noise = (zlib.crc32(f"{v}{prompt}{sample}".encode()) % 997 - 498) / 9970
        size = _NOISY if family == "base_plus_orthogonal" else 1
        level = zlib.crc32(prompt.encode()) % 997 / 300
        scores.append(level + _EFFECTS.get(family, 0.0) + size * noise)
    return keys.with_columns(score=pl.Series(scores, dtype=pl.Float64))


@pytest.fixture
def extended(world: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A study whose families are all decided at the first look, but for v + v_perp."""
    monkeypatch.setattr(_looks, "_scorer", lambda _run: _Known())
    monkeypatch.setattr(_looks._Reader, "scored", _scored)
    monkeypatch.setattr(stopping, "HOPELESS", 0.0)
    first, second = world.study.generation.arms
    second = second.model_copy(update={"families": ("orthogonal", "random", "pca", "negated")})
    changed = {"arms": (first, second), "extra": 2.0}
    generation = world.study.generation.model_copy(update=changed)
    world.study = world.study.model_copy(update={"generation": generation})
    return world


def test_open_arms_have_the_texts_of_a_longer_study_and_no_more_than_were_planned(
    extended: Tiny,
) -> None:
    extended.make("generations")
    rows = extended.rows("generations")
    further = rows.filter(pl.col("sample") > 0)
    assert set(further["look"]) == {2}
    families = set(further["vector_id"].str.split(".").list.get(1, null_on_oob=True))
    assert families == {None, "base", "base_plus_orthogonal"}
    last = rows.filter(look=2)
    assert set(last.group_by("vector_id", "alpha", "prompt_id").len()["len"]) == {2}
    longer = _study(extended, (1.0,))
    arms = extended.study.generation.arms
    changed = {"samples": 2, "arms": arms, "extra": 1.0}
    generation = longer.study.generation.model_copy(update=changed)
    longer.study = longer.study.model_copy(update={"generation": generation})
    longer.make("generations")
    whole = longer.rows("generations")
    both = rows.join(whole, on=KEYS, suffix="_longer")
    assert len(both) == len(rows)
    for name in ("seed", "text", "token_ids", "generation_id"):
        assert both[name].equals(both[f"{name}_longer"], check_names=False)
    assert len(rows) <= len(whole) // 2
    assert len(rows.filter(sample=0)) < len(rows)


def test_the_report_reaches_the_decisions_with_all_texts(extended: Tiny) -> None:
    extended.make("generations")
    run = extended.run("generations")
    texts = run.rows("generations").filter(protocol=CONTROLLED)
    scored = _scored(None, texts)
    compared = compare_arms(scored, run.rows("steering_vectors"), run.study, "test")
    judged = with_verdicts(compared, 0.9, run.study)
    keys = ["family", "layer", "alpha"]
    families = judged.families.filter(margin_kind="sd", environment="pooled")
    both = run.rows("look_decisions").join(families, on=[*keys, "look"], suffix="_report")
    open_ones = both.filter(pl.col("look") == 2)
    assert set(open_ones["family"]) == {"base_plus_orthogonal"}
    for name in ("p_equivalence", "p_difference", "n_texts", "n_seeds"):
        assert open_ones[f"{name}_report"].to_list() == pytest.approx(
            open_ones[name].to_list(), rel=1e-6
        ), name
    # two texts of the twelve or eighteen last prompts, by the seeds, v and unsteered
    n_last = texts.filter(look=2)["prompt_id"].n_unique()
    n_seeds = open_ones["n_seeds"][0]
    assert open_ones["n_texts"][0] == (30 + n_last) * (n_seeds + 2)


def test_further_samples_count_in_p_values_and_leave_effects_as_planned(extended: Tiny) -> None:
    extended.make("generations")
    run = extended.run("generations")
    scored = _scored(None, run.rows("generations").filter(protocol=CONTROLLED))
    vectors = run.rows("steering_vectors")
    one, other = (
        pl.DataFrame(compare_arms(rows, vectors, run.study, "test").tests).filter(
            vector_id="L2.base_plus_orthogonal.s0",
            comparison="against_base",
            environment="pooled",
            margin_kind="sd",
        )
        for rows in (scored, scored.filter(sample=0))
    )
    for name in ("effect", "ci_low", "ci_high", "margin", "n_pairs", "look"):
        assert one[name].to_list() == other[name].to_list()
    for name in ("p_equivalence", "p_difference", "n_texts"):
        assert one[name].to_list() != other[name].to_list()


def test_checks_count_further_samples(extended: Tiny) -> None:
    extended.make("generations")
    stored = extended.run("generations")
    assert set(planned_samples(stored).values()) == {1, 2}
    checks = [
        LOOKS["generations", name] for name in ("texts_follow_the_decisions", "no_text_is_missing")
    ]
    assert all(carry_out(check, stored).passed for check in checks)
    part = extended.layout.part("generations", stored.key)
    rows = pl.read_parquet(part)
    lost = rows.with_row_index().filter(pl.col("sample") == 1)["index"][0]
    write_part(part, rows.filter(pl.int_range(pl.len()) != lost))
    found = [carry_out(check, extended.run("generations")) for check in checks]
    assert not any(one.passed for one in found)
    assert "of another number" in found[0].words


def test_without_the_setting_nothing_changes(extended: Tiny) -> None:
    generation = extended.study.generation.model_copy(update={"extra": 1.0})
    extended.study = extended.study.model_copy(update={"generation": generation})
    extended.make("generations")
    assert set(extended.rows("generations")["sample"]) == {0}
    assert "extra" not in generation.model_dump()
    assert Generation.model_validate(PLAN | {"looks": SHARES, "extra": 2}).extra == 2


@pytest.mark.parametrize(("extra", "words"), [(2.0, "there is one look"), (0.5, "greater than")])
def test_what_cannot_be_given_is_refused(extra: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Generation.model_validate(PLAN | {"extra": extra})
