"""Undefined null fractions of protocols have a reason instead of NaN."""

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from steer_assets.assets.geometry.covariance_matrices import samples
from steer_assets.assets.protocols import _jacobians
from steer_assets.assets.protocols._measured import Measured
from steer_assets.assets.vectors import _dose_response
from steer_assets.pipeline.design.protocol_sites import CONTROLLED_SITE
from tests.assets.planted import planted_study

D = 8


def _run() -> Any:
    return SimpleNamespace(
        study=planted_study(), model="toy", trait="t", log=logging.getLogger("test")
    )


def _grams(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(n)
    return [j @ j.T for j in rng.normal(size=(n, D, 12))]


def _finite(grams: list[np.ndarray]) -> Measured:
    def take() -> Any:
        return _jacobians._finite_number(_run(), grams, D, "variance_95")

    return _jacobians._measured(take, 0.0, len(grams))


def test_an_overflow_at_one_prompt_is_the_reason_and_no_mean_of_the_others() -> None:
    grams = _grams(3)
    grams[1][2, 2] = np.nan
    found = _finite(grams)
    assert found.number is None
    assert "overflows at 1 of 3 prompts" in found.reason
    assert found.columns()["value"] is None


def test_differences_that_all_round_to_zero_are_the_reason() -> None:
    found = _finite([np.zeros((D, D))] * 3)
    assert found.number is None
    assert "zero" in found.reason


@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_prompt_has_no_interval_and_two_have(n: int) -> None:
    def exact() -> Any:
        return _jacobians._exact_number(_run(), _grams(n), D, "variance_95")

    for found in (_finite(_grams(n)), _jacobians._measured(exact, 0.0, n)):
        assert found.n_prompts == n
        assert (found.number is None) == (n == 1)
        assert bool(found.reason) == (n == 1)
        if found.number is not None:
            assert np.isfinite([found.number.low, found.number.high]).all()


@pytest.mark.parametrize("n_pairs", [2, 3, 12])
def test_covariances_of_few_pairs(n_pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(n_pairs).normal(size=(2 * n_pairs, D)).astype(np.float32)
    monkeypatch.setattr(_jacobians, "read_contrast", lambda *_: x)
    (found,) = _jacobians.covariance(_run(), [CONTROLLED_SITE], 1).values()
    assert found.n_prompts == 2 * n_pairs
    assert (found.number is None) == (n_pairs == 2)
    assert found.reason == (
        "an interval over pairs needs 3 pairs or more, not 2" if n_pairs == 2 else ""
    )


def test_an_environment_of_two_prompts_has_no_spectrum_and_one_of_three_has() -> None:
    environments = ["in_distribution"] * 2 + ["topic_shift"] * 3
    prompts = pl.DataFrame(
        {
            "role": ["contrast"] * 4 + ["test"] * 5,
            "environment": ["contrast"] * 4 + environments,
        }
    ).with_row_index("row")
    assert set(samples(prompts)) == {"pooled", "contrast", "topic_shift"}


def test_a_step_that_overflows_at_one_prompt_is_left_out_at_all() -> None:
    arm = {"layer": 1, "reference_id": "none", "vector_id": "v", "family": "base", "null_space": ""}
    rows = pl.DataFrame(
        [
            {**arm, "step_norm": step, "prompt_id": prompt, "kl": kl, "predicted_kl": 0.1}
            for step, prompt, kl in [
                (1.0, "a", 0.1),
                (1.0, "b", 0.1),
                (2.0, "a", 0.2),
                (2.0, "b", float("inf")),
            ]
        ]
    )
    kept = _dose_response._finite(_run(), 1, rows)
    assert kept["step_norm"].unique().to_list() == [1.0]
    assert len(kept) == 2
    radii = _dose_response.radii(kept, (0.01, 1.0))
    assert radii["largest_step"].to_list() == [1.0, 1.0]
    assert _dose_response.radii(kept.clear(), (0.01,)).is_empty()
