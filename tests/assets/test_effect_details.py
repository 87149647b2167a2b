"""Details of comparisons, and the fluency guard, on scores with known results."""

import numpy as np
import polars as pl
import pytest

from steer_assets.assets.reports._effect_details import (
    details,
    frame_of,
    scorer_agreement,
    spanning,
)
from steer_assets.assets.reports._fluency_guard import broken_arms, guarded
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.catalog.sections.study_sections import Fluency
from steer_assets.pipeline.design.arms import Arm
from tests.assets.planted import World, planted_study, scored

STEERS = {"base": 2.0, "plus": 1.0, "pca": 2.0, "logistic": 2.0, "orthogonal": 0.0}
STEERS |= {"subspace_1": 0.0, "subspace_5": 0.0}
IDENTITY = {"protocol": CONTROLLED, "scorer": "known"}


def vectors(table: pl.DataFrame) -> pl.DataFrame:
    ids = sorted(set(table["vector_id"]) - {"none"})
    return pl.DataFrame(
        {
            "vector_id": ["none", *ids],
            "family": ["none", *(name.split(".")[1] for name in ids)],
            "null_space": "",
            "layer": [-1, *(15 for _ in ids)],
        }
    )


def behind(world: World) -> dict[str, pl.DataFrame]:
    study = planted_study()
    table = scored(world, study, "sentiment").filter(pl.col("protocol") == CONTROLLED)
    found = details(table, vectors(table), study, IDENTITY)
    return {name: frame_of(name, rows) for name, rows in found.items()}


def test_known_shares_spreads_and_noise() -> None:
    frames = behind(World(STEERS, interaction={"orthogonal": 1.0}))
    at_one = pl.col("alpha") == 1.0
    ratios = frames["efficacy_ratios"].filter(at_one).select("vector_id", "ratio", "low", "high")
    by_id = {row[0]: row[1:] for row in ratios.iter_rows()}
    half, low, high = by_id["L15.base_plus_orthogonal.s0"]
    assert half == pytest.approx(0.5, abs=0.05)
    assert low < 0.5 < high
    assert by_id["L15.pca"][0] == pytest.approx(1.0, abs=0.05)
    # v_perp alone moves prompts by 1 either way, with no effect on average; v moves all alike
    spread = frames["heterogeneity"].filter(at_one & (pl.col("comparison") == "efficacy"))
    perp = spread.filter(pl.col("vector_id") == "L15.orthogonal.s0").row(0, named=True)
    assert perp["tau_low"] < 1.0 < perp["tau_high"]
    assert max(perp["p"], perp["p_crossover"]) < 0.01
    v = spread.filter(pl.col("vector_id") == "L15.base").row(0, named=True)
    assert v["tau"] < 0.2
    # 0.2^2 of own noise on either side, against 1 + 0.2^2 when nothing is shared
    noise = frames["sampling_noise"]["ratio"].to_numpy()
    assert np.median(noise) == pytest.approx(0.04 / 1.04, rel=0.2)


def test_two_seeds_widen_the_interval_to_other_seeds() -> None:
    crossed = behind(World(STEERS))["crossed_intervals"]
    assert set(crossed["n_seeds"]) == {2}
    assert crossed["vector_id"].str.ends_with("all_seeds").all()
    inside = (crossed["ci_low"] <= crossed["effect"]) & (crossed["effect"] <= crossed["ci_high"])
    assert inside.all()


def test_a_ratio_to_no_effect_has_no_row() -> None:
    nothing = dict.fromkeys(STEERS, 0.0)
    frames = behind(World(nothing, noise=1.0))
    assert len(frames["efficacy_ratios"]) < 5  # of 20: v is significant by chance only


def test_spanning_breaks_where_it_breaks() -> None:
    rows = pl.DataFrame(
        {
            "protocol": CONTROLLED,
            "scorer": "known",
            "layer": 15,
            "alpha": 1.0,
            "margin_kind": "sd",
            "environment": "pooled",
            "family": ["subspace_50", "subspace_1", "subspace_5", "subspace_10", "base"],
            "verdict": ["different", "equivalent", "equivalent", "inconclusive", "different"],
        }
    )
    (row,) = spanning(rows)
    assert row["sizes"] == "1, 5, 10, 50"
    assert (row["holds_to"], row["broken_from"]) == (5, 50)


def test_agreement_of_scorers_that_see_the_same_and_of_one_that_sees_nothing() -> None:
    study = planted_study()
    table = scored(World(STEERS), study, "sentiment").filter(pl.col("protocol") == CONTROLLED)
    rng = np.random.default_rng(3)
    same = table.with_columns(scorer=pl.lit("twin"), score=3 * pl.col("score") + 1)
    blind = table.with_columns(scorer=pl.lit("blind"), score=pl.Series(rng.normal(size=len(table))))
    frame = frame_of("scorer_agreement", scorer_agreement(pl.concat([table, same, blind]), study))
    texts = {
        (row["scorer_a"], row["scorer_b"]): row
        for row in frame.filter(pl.col("what") == "texts").iter_rows(named=True)
    }
    assert texts["known", "twin"]["spearman"] == pytest.approx(1.0)
    assert texts["known", "twin"]["kappa"] == pytest.approx(1.0)
    assert texts["blind", "known"]["low"] < 0 < texts["blind", "known"]["high"]
    assert any(name.startswith("effects of L15.base") for name in frame["what"])


def fluent(
    perplexity: dict[str, float], repetition: dict[str, float], n_prompts: int = 12
) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "vector_id": name,
                "alpha": 0.0 if name == "none" else 1.0,
                "prompt_id": f"p{prompt}",
                "sample": 0,
                "perplexity": value * (0.8, 1.0, 1.3)[prompt % 3],
                "repetition": repetition.get(name, 0.1),
            }
            for name, value in perplexity.items()
            for prompt in range(n_prompts)
        ]
    )


def test_equivalence_of_broken_texts_is_no_equivalence() -> None:
    table = fluent({"none": 10, "L15.base": 90, "L15.pca": 12, "L15.x.s1": 11}, {"L15.x.s1": 0.8})
    broken = broken_arms(table, Fluency())
    assert set(broken) == {Arm("L15.base", 1.0), Arm("L15.x.s1", 1.0)}
    tests = pl.DataFrame(
        {
            "vector_id": ["L15.pca", "L15.pca", "L15.x.all_seeds", "L15.y", "L15.y"],
            "reference_id": ["L15.base", "none", "none", "none", "L15.base"],
            "alpha": 1.0,
            "verdict": ["equivalent", "equivalent", "equivalent", "equivalent", "different"],
            "reason": "tested",
        }
    )
    found = guarded(tests, broken)
    expected = ["inconclusive", "equivalent", "inconclusive", "equivalent", "different"]
    assert found["verdict"].to_list() == expected
    assert "perplexity 9.0 times that of unsteered texts" in found["reason"][0]
    assert "repetition 0.70 above" in found["reason"][2]
    assert "broken" in found["reason"][4]
    assert found["reason"][1] == "tested"


def test_without_unsteered_texts_nothing_is_called_broken() -> None:
    assert broken_arms(fluent({"L15.base": 900}, {}), Fluency()) == {}


def test_a_handful_of_texts_is_not_called_broken() -> None:
    numbers = {"none": 10.0, "L15.base": 900.0}
    assert broken_arms(fluent(numbers, {}, n_prompts=9), Fluency()) == {}
    assert set(broken_arms(fluent(numbers, {}, n_prompts=10), Fluency())) == {Arm("L15.base", 1.0)}


def test_an_arm_whose_excess_is_uncertain_is_not_called_broken() -> None:
    # The mean log ratio is beyond log 5, but by two prompts of twelve.
    rows = fluent({"none": 10.0, "L15.base": 10.0}, {})
    far = (pl.col("vector_id") != "none") & pl.col("prompt_id").is_in(["p0", "p1"])
    wild = rows.with_columns(
        perplexity=pl.when(far).then(1e6).otherwise(pl.col("perplexity")),
    )
    steered = wild.filter(pl.col("vector_id") != "none")["perplexity"].log().mean()
    assert isinstance(steered, float)
    assert steered - wild.filter(pl.col("vector_id") == "none")["perplexity"].log().mean() > 1.6
    assert broken_arms(wild, Fluency()) == {}
