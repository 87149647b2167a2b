"""Comparisons between arms, on scores with known results."""

import numpy as np
import polars as pl
import pytest

from steer_assets.assets.reports._arm_tests import compare_arms
from steer_assets.assets.reports._verdict_rows import Judged, with_verdicts
from steer_assets.catalog import catalog
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.comparisons import Scores, subjects
from tests.assets.planted import one_look

N_PROMPTS, N_SAMPLES = 40, 4
SHIFTS = {
    "none": 0.0,
    "L15.base": 2.0,
    "L15.base_plus_orthogonal.s0": 2.0,
    "L15.base_plus_orthogonal.s1": 2.0,
    "L15.orthogonal.s0": 0.0,
}


@pytest.fixture
def study() -> Study:
    return one_look(catalog.study("quick"))


@pytest.fixture
def vectors() -> pl.DataFrame:
    ids = [name for name in SHIFTS if name != "none"]
    return pl.DataFrame(
        {
            "vector_id": ["none", *ids],
            "family": ["none", *(name.split(".")[1] for name in ids)],
            "null_space": "",
            "layer": [-1, *(15 for _ in ids)],
        }
    )


@pytest.fixture
def scored() -> pl.DataFrame:
    """Paired scores: a prompt effect shared by all arms, small noise, and a shift per arm."""
    rng = np.random.default_rng(1)
    prompt_effect = rng.normal(size=N_PROMPTS)
    rows = []
    for vector_id, shift in SHIFTS.items():
        for prompt in range(N_PROMPTS):
            for sample in range(N_SAMPLES):
                rows.append(
                    {
                        "vector_id": vector_id,
                        "alpha": 0.0 if vector_id == "none" else 1.0,
                        "prompt_id": f"p{prompt}",
                        "environment": "in_distribution" if prompt < 30 else "topic_shift",
                        "sample": sample,
                        "score": prompt_effect[prompt] + shift + 0.1 * rng.normal(),
                    }
                )
    return pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=3)


def both(
    scored: pl.DataFrame, vectors: pl.DataFrame, study: Study, auroc_low: float = 0.9
) -> Judged:
    return with_verdicts(compare_arms(scored, vectors, study, "test"), auroc_low, study)


def judged(scored: pl.DataFrame, vectors: pl.DataFrame, study: Study) -> pl.DataFrame:
    return both(scored, vectors, study).tests


def one(rows: pl.DataFrame, vector_id: str, comparison: str, kind: str = "sd") -> dict:
    return rows.filter(
        (pl.col("vector_id") == vector_id)
        & (pl.col("comparison") == comparison)
        & (pl.col("margin_kind") == kind)
        & (pl.col("environment") == "pooled")
    ).row(0, named=True)


def test_known_shifts_get_the_verdicts_they_deserve(
    scored: pl.DataFrame, vectors: pl.DataFrame, study: Study
) -> None:
    rows = judged(scored, vectors, study)
    same = one(rows, "L15.base_plus_orthogonal.s0", "against_base")
    assert same["verdict"] == "equivalent"
    other = one(rows, "L15.orthogonal.s0", "against_base")
    assert other["verdict"] == "different"
    assert other["effect"] == pytest.approx(-2.0, abs=0.1)
    assert one(rows, "L15.base", "efficacy")["verdict"] == "different"
    assert one(rows, "L15.orthogonal.s0", "efficacy")["verdict"] == "equivalent"
    # 20 % of an effect of 2 is a margin of 0.4 points
    by_share = one(rows, "L15.base_plus_orthogonal.s0", "against_base", "efficacy")
    assert by_share["margin"] == pytest.approx(0.4, abs=0.05)


def test_without_an_effect_of_v_nothing_is_equivalent_to_it(
    scored: pl.DataFrame, vectors: pl.DataFrame, study: Study
) -> None:
    rng = np.random.default_rng(5)
    noise = pl.Series("score", rng.normal(size=len(scored)))
    rows = judged(scored.with_columns(noise), vectors, study)
    against = rows.filter(pl.col("comparison") == "against_base")
    assert set(against["verdict"]) == {"untestable", "descriptive"}
    told = against.filter(pl.col("verdict") == "untestable")
    assert told["reason"].str.contains("no significant effect").all()


def test_a_scorer_that_cannot_tell_makes_everything_untestable(
    scored: pl.DataFrame, vectors: pl.DataFrame, study: Study
) -> None:
    found = both(scored, vectors, study, auroc_low=0.65)
    assert set(found.tests["verdict"]) == {"untestable", "descriptive"}
    assert set(found.families["verdict"]) == {"untestable"}


def test_pairs_share_prompt_and_sample(scored: pl.DataFrame) -> None:
    scores = Scores(scored)
    a, b = scores.paired((Arm("L15.base", 1.0),), UNSTEERED, "pooled")
    assert a.shape == b.shape == (N_PROMPTS, N_SAMPLES)
    # prompt effects cancel in pairs and leave the noise of both sides
    assert (a - b).std() == pytest.approx(0.1 * np.sqrt(2), rel=0.2)
    cell = scored.filter(
        (pl.col("vector_id") == "L15.base")
        & (pl.col("prompt_id") == next(iter(scores.environment)))
        & (pl.col("sample") == 2)
    )
    assert a[0, 2] == cell.item(0, "score")


def test_seeds_of_one_family_are_also_compared_together(
    scored: pl.DataFrame, vectors: pl.DataFrame
) -> None:
    found = subjects(vectors, Scores(scored).arms)
    together = [s for s in found if s.vector_id.endswith("all_seeds")]
    assert [s.vector_id for s in together] == ["L15.base_plus_orthogonal.all_seeds"]
    assert len(together[0].arms) == 2


def test_environments_are_tested_where_they_have_prompts(
    scored: pl.DataFrame, vectors: pl.DataFrame, study: Study
) -> None:
    rows = judged(scored, vectors, study)
    assert set(rows["environment"]) == {"pooled", "in_distribution", "topic_shift"}
    n = rows.filter(pl.col("environment") == "topic_shift")["n_prompts"]
    assert set(n) == {10}


def test_the_order_of_rows_does_not_matter(
    scored: pl.DataFrame, vectors: pl.DataFrame, study: Study
) -> None:
    shuffled = scored.sample(fraction=1.0, shuffle=True, seed=9)
    first = both(scored.sort("prompt_id"), vectors, study)
    second = both(shuffled.sort("prompt_id"), vectors, study)
    assert first.tests.equals(second.tests)
    assert first.families.equals(second.families)
