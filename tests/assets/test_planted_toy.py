"""From a read-out whose null space is known, through families, texts and scores, to a verdict.

One axis of the residual stream moves the trait's tokens, a second one moves tokens that say nothing
of it; every other axis is all but unread. So a step along the range that is orthogonal to v drowns
the trait, whatever its sign, and a step along the null space does nothing.
"""

import numpy as np
import polars as pl
import pytest

from steer_assets.assets.reports._arm_tests import compare_arms
from steer_assets.assets.reports._verdict_rows import with_verdicts
from steer_assets.catalog import catalog
from steer_assets.geometry import families
from steer_assets.geometry.null_spaces import ranks, subspaces
from steer_assets.geometry.null_spaces.spectra import form_spectrum
from tests.assets.planted import one_look

D, LAYER, PER_GROUP, TOKENS = 24, 3, 20, 40
#: Tokens that show the trait, its opposite, and two groups that show neither.
GROUPS = np.repeat(np.arange(4), PER_GROUP)
TRAIT = np.array([1.0, -1.0, 0.0, 0.0])[GROUPS]


def read_out(rng: np.random.Generator) -> np.ndarray:
    """Logits per residual [tokens, d]: two axes, and a leak of a hundredth of them."""
    weights = 0.01 * rng.normal(size=(len(GROUPS), D))
    weights[:, 0] += TRAIT
    weights[:, 1] += 2.0 * np.array([0.0, 0.0, 1.0, -1.0])[GROUPS]
    return weights


def fisher(weights: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Fisher form [d, d], averaged over residuals [n, d]."""
    logits = residuals @ weights.T
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    forms = [weights.T @ (np.diag(q) - np.outer(q, q)) @ weights for q in p]
    return np.mean(forms, axis=0)


def vectors_of(rng: np.random.Generator, weights: np.ndarray) -> list[families.SteeringVector]:
    """v from noisy pairs, and v with a step along either subspace of the Fisher form."""
    v = np.zeros(D)
    v[0] = 1.5
    negative = 0.2 * rng.normal(size=(80, D))
    positive = negative + v + 0.02 * rng.normal(size=(80, D))
    spectrum = form_spectrum(fisher(weights, negative), 80)
    rank = ranks.rank(spectrum, "sigma_5pct")
    assert rank == 2
    bases = {"fisher": (subspaces.leading(spectrum, rank), subspaces.null(spectrum, rank))}
    wanted = ("base", "base_plus_null", "base_plus_range")
    plan = families.FamilyPlan((), (0,), (), (), 0, wanted, root_entropy=(5,))
    return families.build(families.FamilyInputs(LAYER, positive, negative, bases), plan)


def scored(
    rng: np.random.Generator,
    weights: np.ndarray,
    arms: dict[str, np.ndarray],
    n_prompts: int,
    trait: np.ndarray,
) -> pl.DataFrame:
    """Mean trait of sampled tokens, two texts of each prompt, all arms on the same noise."""
    prompts = 0.3 * rng.normal(size=(n_prompts, 1, D))
    noise = rng.gumbel(size=(n_prompts, 2, TOKENS, len(GROUPS)))
    parts = []
    for name, vector in arms.items():
        logits = (prompts + vector) @ weights.T
        tokens = (logits[:, :, None] + noise).argmax(axis=-1)
        prompt, sample = np.divmod(np.arange(2 * n_prompts), 2)
        parts.append(
            pl.DataFrame(
                {
                    "vector_id": name,
                    "alpha": 0.0 if name == "none" else 1.0,
                    "prompt_id": [f"p{p}" for p in prompt],
                    "environment": "in_distribution",
                    "sample": sample,
                    "score": trait[tokens].mean(axis=-1).ravel(),
                }
            )
        )
    return pl.concat(parts)


def verdicts(seed: int, n_prompts: int, trait: np.ndarray) -> dict[str, tuple[str, str]]:
    """Verdict and reason beside v, by family."""
    rng = np.random.default_rng([13, seed])
    weights = read_out(rng)
    built = vectors_of(rng, weights)
    arms = {"none": np.zeros(D)} | {one.vector_id: one.values for one in built}
    named = pl.DataFrame(
        {
            "vector_id": list(arms),
            "family": ["none", *(one.family for one in built)],
            "null_space": ["", *(one.null_space for one in built)],
            "layer": [-1, *(one.layer for one in built)],
        }
    )
    study = one_look(catalog.study("quick"))
    compared = compare_arms(scored(rng, weights, arms, n_prompts, trait), named, study, "toy")
    told = with_verdicts(compared, 0.9, study).tests.filter(
        (pl.col("comparison") == "against_base") & (pl.col("margin_kind") == "sd")
    )
    return {family: (v, r) for family, v, r in told.select("family", "verdict", "reason").rows()}


@pytest.mark.parametrize("seed", range(3))
def test_range_is_different_and_null_is_equivalent(seed: int) -> None:
    found = verdicts(seed, 60, TRAIT)
    assert found["base_plus_range"][0] == "different"
    assert "interval is not inside the margin" in found["base_plus_range"][1]
    assert found["base_plus_null"][0] == "equivalent"
    assert "inside the margin" in found["base_plus_null"][1]


def test_a_trait_that_v_does_not_move_is_untestable() -> None:
    # Half of each group shows the trait, half its opposite: v moves the groups, not the trait.
    unmoved = np.where(np.arange(len(GROUPS)) % 2, 1.0, -1.0)
    found = verdicts(0, 60, unmoved)
    assert {value for value, _ in found.values()} == {"untestable"}
    assert all("nothing to be equivalent to" in reason for _, reason in found.values())


def test_two_prompts_decide_nothing() -> None:
    assert {value for value, _ in verdicts(0, 2, TRAIT).values()} == {"inconclusive"}
