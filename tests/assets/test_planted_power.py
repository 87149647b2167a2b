"""From scores to verdicts, many times over: a verdict comes as often as its power says."""

import numpy as np
import polars as pl
import pytest

from steer_assets.assets.reports._arm_tests import compare_arms
from steer_assets.assets.reports._verdict_rows import with_verdicts
from steer_assets.catalog.studies import Study
from tests.assets.planted import planted_study
from tests.sizes import STUDIES

N_STUDIES = STUDIES
VECTORS = pl.DataFrame(
    {
        "vector_id": ["none", "L15.base", "L15.base_plus_orthogonal.s0"],
        "family": ["none", "base", "base_plus_orthogonal"],
        "null_space": "",
        "layer": [-1, 15, 15],
    }
)


def one_study(study: Study, rng: np.random.Generator, n: int, shift: float, noise: float) -> dict:
    """The verdict on v + v_perp in a study with `n` prompts; `shift` is its effect beyond v's."""
    prompt = rng.normal(size=n)
    rows = [
        {
            "vector_id": vector_id,
            "alpha": 0.0 if vector_id == "none" else 1.0,
            "prompt_id": f"p{p}",
            "environment": "in_distribution",
            "sample": 0,
            "score": prompt[p] + effect + noise * rng.normal(),
        }
        for vector_id, effect in zip(VECTORS["vector_id"], (0.0, 2.0, 2.0 + shift), strict=True)
        for p in range(n)
    ]
    compared = compare_arms(pl.DataFrame(rows), VECTORS, study, "power")
    return (
        with_verdicts(compared, 0.9, study)
        .tests.filter(
            (pl.col("comparison") == "against_base")
            & (pl.col("margin_kind") == "sd")
            & (pl.col("environment") == "pooled")
        )
        .row(0, named=True)
    )


def many(n: int, shift: float, noise: float) -> list[dict]:
    settings = planted_study().model_dump(mode="json")
    settings["statistics"]["n_boot"] = 200
    study = Study.model_validate(settings)
    return [
        one_study(study, np.random.default_rng([11, trial]), n, shift, noise)
        for trial in range(N_STUDIES)
    ]


def test_equivalent_arms_are_called_so_as_often_as_the_power_says() -> None:
    found = many(n=40, shift=0.0, noise=0.3)
    called = np.mean([row["verdict"] == "equivalent" for row in found])
    stated = np.mean([row["power"] for row in found])
    assert 0.5 < stated < 0.95  # else nothing is tested
    assert called == pytest.approx(stated, abs=0.1)
    assert sum(row["verdict"] == "different" for row in found) <= 0.05 * N_STUDIES + 6


def test_on_the_margin_equivalence_is_seldom_claimed() -> None:
    # the margin is 0.2 standard deviations of about sqrt(1 + 0.3^2)
    found = many(n=40, shift=0.2 * np.sqrt(1.09), noise=0.3)
    called = sum(row["verdict"] == "equivalent" for row in found)
    assert called <= 0.05 * N_STUDIES + 2 * np.sqrt(0.05 * 0.95 * N_STUDIES)


def test_too_few_prompts_decide_nothing() -> None:
    found = many(n=5, shift=0.0, noise=1.0)
    verdicts = [row["verdict"] for row in found]
    assert verdicts.count("equivalent") == 0
    assert verdicts.count("different") <= 0.1 * N_STUDIES
    assert all(row["n_prompts_needed"] > 5 for row in found)
