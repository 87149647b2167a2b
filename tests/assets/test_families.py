"""Claims of the tables on families of seeds, on scores with known results."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from steer_assets.assets.reports._arm_tests import compare_arms
from steer_assets.assets.reports._effect_details import spanning
from steer_assets.assets.reports._evidence_rows import VERDICTS, families_guarded, report_row
from steer_assets.assets.reports._verdict_rows import Judged, with_verdicts
from steer_assets.catalog.studies import Study
from tests import sizes
from tests.assets.planted import planted_study

STUDIES = 200 if sizes.FULL else 25
PLUS = "L15.base_plus_orthogonal.s"
FISHER: dict[str, object] = {"null_fraction": 0.5, "sampling_floor": 0.0}
ENVIRONMENTS = ["in_distribution"] * 24 + ["topic_shift"] * 16


@pytest.fixture(scope="module")
def study() -> Study:
    plan = planted_study().model_dump(mode="json")
    plan["statistics"]["n_boot"] = 200
    return Study.model_validate(plan)


def world(
    effects: dict[str, float],
    seed: int = 0,
    noise: float = 0.2,
    environments: Sequence[str] = ENVIRONMENTS,
    **erratic: float,
) -> pl.DataFrame:
    """Scores of 40 prompts, two texts each, by effects over unsteered; some arms more erratic."""
    rng = np.random.default_rng([17, seed])
    prompt = rng.normal(size=(len(environments), 1))
    parts = []
    for vector_id, effect in ({"none": 0.0} | effects).items():
        spread = erratic.get(vector_id.split(".")[-1], noise)
        scores = prompt + effect + spread * rng.normal(size=(len(environments), 2))
        index, sample = np.divmod(np.arange(scores.size), 2)
        parts.append(
            pl.DataFrame(
                {
                    "vector_id": vector_id,
                    "alpha": 0.0 if vector_id == "none" else 1.0,
                    "prompt_id": [f"p{p}" for p in index],
                    "environment": [environments[p] for p in index],
                    "sample": sample,
                    "score": scores.ravel(),
                }
            )
        )
    return pl.concat(parts)


def judge(scored: pl.DataFrame, study: Study) -> Judged:
    ids = [name for name in scored["vector_id"].unique(maintain_order=True) if name != "none"]
    vectors = pl.DataFrame(
        {
            "vector_id": ["none", *ids],
            "family": ["none", *(name.split(".")[1] for name in ids)],
            "null_space": "",
            "layer": [-1, *(15 for _ in ids)],
        }
    )
    return with_verdicts(compare_arms(scored, vectors, study, "test"), 0.9, study)


def report(found: Judged, study: Study) -> dict:
    return report_row(found.tests, found.families, FISHER, 15, study)


def family(found: Judged, name: str = "base_plus_orthogonal", environment: str = "pooled") -> dict:
    return found.families.filter(
        (pl.col("family") == name)
        & (pl.col("environment") == environment)
        & (pl.col("margin_kind") == "sd")
    ).row(0, named=True)


@pytest.mark.parametrize("k", [2, 5])
def test_a_report_does_not_call_opposite_seeds_equivalent(study: Study, k: int) -> None:
    effects = {f"{PLUS}{j}": 2.0 + 0.5 * (-1) ** j for j in range(2 * k)}
    found = judge(world({"L15.base": 2.0} | effects), study)
    row = family(found)
    assert (row["verdict"], row["n_inside"], row["n_seeds"]) == ("different", 0, 2 * k)
    assert row["rms_effect"] == pytest.approx(0.5, abs=0.12)
    assert report(found, study)["verdict"] == "different"
    # The signed mean, near zero with a p-value that the headline would have been made of.
    mean = found.tests.filter(
        pl.col("vector_id").str.ends_with("all_seeds")
        & (pl.col("comparison") == "against_base")
        & (pl.col("margin_kind") == "sd")
        & (pl.col("environment") == "pooled")
    ).row(0, named=True)
    assert mean["p_equivalence"] < 0.05
    assert mean["verdict"] == "descriptive"
    counts = report(found, study)
    counted = sum(counts[f"n_{verdict}"] for verdict in VERDICTS)
    assert counted == 2 * k


def test_seeds_that_agree_are_equivalent_as_often_as_the_power_says(study: Study) -> None:
    effects = {"L15.base": 2.0} | {f"{PLUS}{j}": 2.0 for j in range(3)}
    same = ["in_distribution"] * len(ENVIRONMENTS)  # each environment has a power to be found
    rows = [family(judge(world(effects, seed, 0.3, same), study)) for seed in range(STUDIES)]
    called = np.mean([row["verdict"] == "equivalent" for row in rows])
    stated = np.mean([row["power"] for row in rows])
    assert 0.3 < stated < 0.95
    assert called == pytest.approx(stated, abs=3 * np.sqrt(stated * (1 - stated) / STUDIES))


def test_one_margin_holds_for_all_and_no_erratic_arm_moves_it(study: Study) -> None:
    effects = {"L15.base": 2.0, f"{PLUS}0": 2.0, "L15.pca": 2.0, "L15.orthogonal.s0": 0.0}
    calm = judge(world(effects), study).tests
    wild = judge(world(effects, pca=3.0), study).tests
    for rows in (calm, wild):
        by_environment = rows.filter(pl.col("margin_kind") == "sd").group_by("environment")
        spread = by_environment.agg(
            pl.col("margin").max() - pl.col("margin").min(),
            share=(pl.col("margin") / pl.col("unit_sd")).max(),
        )
        assert spread["margin"].max() < 1e-12
        assert spread["share"].to_list() == pytest.approx([0.2] * 3)
    pooled = (pl.col("environment") == "pooled") & (pl.col("margin_kind") == "sd")
    assert calm.filter(pooled)["margin"][0] == pytest.approx(wild.filter(pooled)["margin"][0])
    erratic = wild.filter(pooled & (pl.col("vector_id") == "L15.pca"))
    assert "equivalent" not in erratic["verdict"].to_list()


def test_an_environment_where_v_does_nothing_is_untestable_there_alone(study: Study) -> None:
    scored = world({"L15.base": 2.0, f"{PLUS}0": 2.0, f"{PLUS}1": 2.0})
    shifted = pl.col("environment") == "topic_shift"
    steered = pl.col("vector_id") != "none"
    scored = scored.with_columns(score=pl.col("score") - 2.0 * (shifted & steered))
    found = judge(scored, study)
    assert family(found, environment="topic_shift")["verdict"] == "untestable"
    assert family(found, environment="in_distribution")["verdict"] != "untestable"
    against = found.tests.filter((pl.col("comparison") == "against_base") & shifted)
    assert set(against["verdict"]) == {"untestable", "descriptive"}
    assert report(found, study)["verdict"] == "equivalent"


def test_what_is_said_does_not_depend_on_the_unit_of_the_score(study: Study) -> None:
    effects = {"L15.base": 2.0, f"{PLUS}0": 2.1, f"{PLUS}1": 1.9, "L15.orthogonal.s0": 0.0}
    scored = world(effects)
    one = judge(scored, study)
    thousand = judge(scored.with_columns(pl.col("score") * 1000), study)
    for name in ("verdict", "reason"):
        assert one.tests[name].to_list() == thousand.tests[name].to_list()
        assert one.families[name].to_list() == thousand.families[name].to_list()
    told = report(one, study)
    assert told["efficacy"] == pytest.approx(report(thousand, study)["efficacy"])
    pooled = one.tests.filter(
        (pl.col("comparison") == "efficacy")
        & (pl.col("vector_id") == "L15.base")
        & (pl.col("environment") == "pooled")
    ).row(0, named=True)
    assert told["efficacy"] == pooled["effect"] / pooled["unit_sd"] == pooled["cohens_d"]
    assert "margin 0.2 SD" in told["reason"]


def test_a_family_is_no_more_equivalent_than_its_seeds_after_the_guard(study: Study) -> None:
    found = judge(world({"L15.base": 2.0, f"{PLUS}0": 2.0, f"{PLUS}1": 2.0}), study)
    assert family(found)["verdict"] == "equivalent"
    broken = pl.col("vector_id") == f"{PLUS}1"
    tests = found.tests.with_columns(
        verdict=pl.when(broken).then(pl.lit("inconclusive")).otherwise("verdict"),
        reason=pl.when(broken).then(pl.lit("its texts are broken")).otherwise("reason"),
    )
    guarded = Judged(tests, families_guarded(found.families, tests))
    assert family(guarded)["verdict"] == "inconclusive"
    assert family(guarded)["reason"].startswith("its texts are broken")


def test_spanning_breaks_where_one_draw_differs(study: Study) -> None:
    effects = {f"L15.subspace_{k}.s{j}": 2.0 for k in (1, 5, 10) for j in range(2)}
    effects |= {"L15.subspace_10.s0": 3.0, "L15.subspace_10.s1": 1.0}
    found = judge(world({"L15.base": 2.0} | effects), study)
    identity = [pl.lit("controlled").alias("protocol"), pl.lit("known").alias("scorer")]
    (row,) = spanning(found.families.with_columns(identity))
    assert (row["sizes"], row["holds_to"], row["broken_from"]) == ("1, 5, 10", 5, 10)


@pytest.mark.parametrize("prompts", [0, 1, 2])
def test_a_report_comes_out_of_next_to_nothing(study: Study, prompts: int) -> None:
    scored = world({"L15.base": 2.0, f"{PLUS}0": 2.0, f"{PLUS}1": 2.0})
    few = scored.filter(pl.col("prompt_id").is_in([f"p{p}" for p in range(prompts)]))
    found = judge(few, study)
    told = report(found, study)
    assert told["verdict"] in ("untestable", "inconclusive")
    assert told["reason"]
    assert (told["efficacy"] is None) == (prompts < 2)


def test_constant_unsteered_scores_are_no_unit(study: Study) -> None:
    scored = world({"L15.base": 2.0, f"{PLUS}0": 2.0})
    flat = pl.when(pl.col("vector_id") == "none").then(0.5).otherwise("score")
    told = report(judge(scored.with_columns(score=flat), study), study)
    assert told["verdict"] == "untestable"
    assert "all the same" in told["reason"]
