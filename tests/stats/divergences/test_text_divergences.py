from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from steer_assets.stats.divergences import bounds
from steer_assets.stats.divergences.text_divergences import Pair, estimate
from tests.sizes import in_full

from . import markov

NAMES = ("kl", "kl_reverse", "js", "total_variation", "observer_auroc")


def _world(step: float, prompts: int = 12) -> list[tuple[markov.Chain, markov.Chain]]:
    rng = np.random.default_rng(4)
    return [markov.chains(rng, step) for _ in range(prompts)]


def _truth(world: list[tuple[markov.Chain, markov.Chain]]) -> dict[str, float]:
    found = [markov.exact(p, q) for p, q in world]
    return {name: float(np.mean([one[name] for one in found])) for name in NAMES}


def _pooled_auroc(world: list[tuple[markov.Chain, markov.Chain]]) -> float:
    """Of the ratio of a text of one prompt against a text of another, over all pairs of prompts."""
    each = []
    for p, q in world:
        texts = p.texts()
        ratio = np.array([p.log_p(t) - q.log_p(t) for t in texts])
        each.append((ratio, *(np.exp([arm.log_p(t) for t in texts]) for arm in (p, q))))
    values = [
        float(a @ ((r[:, None] > s) + 0.5 * (r[:, None] == s)) @ b)
        for i, (r, a, _) in enumerate(each)
        for j, (s, _, b) in enumerate(each)
        if i != j
    ]
    return float(np.mean(values))


@pytest.mark.parametrize("step", [0.3, 2.0])
def test_estimates_are_the_sums_over_all_texts(step):
    """Within four standard errors, those of 25 repeats of the whole estimate."""
    world = _world(step)
    truth = _truth(world) | {"observer_auroc": _pooled_auroc(world)}
    found = []
    for key in range(25):
        pair = markov.sampled(world, 20, np.random.default_rng(key))
        found.append(estimate(pair, n_boot=100, rng=np.random.default_rng(0)))
    for name in NAMES:
        values = np.array([getattr(one, name).value for one in found])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - truth[name]) < 4 * error, name


def test_the_sums_themselves_agree_with_inequalities():
    for p, q in _world(1.0):
        truth = markov.exact(p, q)
        tv = truth["total_variation"]
        for bound in (bounds.pinsker, bounds.bretagnolle_huber):
            assert bound(truth["kl"]) >= tv
            assert bound(truth["kl_reverse"]) >= tv
        assert 0.5 + tv / 2 <= truth["observer_auroc"] <= 0.5 + tv - tv**2 / 2 + 1e-12


def test_at_one_token_the_divergence_is_computed_and_not_sampled():
    rng = np.random.default_rng(1)
    world = [markov.chains(rng, 1.0, longest=1) for _ in range(5)]
    pair = markov.sampled(world, 2, rng)
    found = estimate(pair, n_boot=100, rng=rng)
    assert found.kl.value == pytest.approx(_truth(world)["kl"], rel=1e-6)
    assert found.kl_reverse.value == pytest.approx(_truth(world)["kl_reverse"], rel=1e-6)


def test_equal_arms_do_not_differ_at_all():
    world = [(p, p) for p, _ in _world(1.0)]
    found = estimate(
        markov.sampled(world, 3, np.random.default_rng(0)), rng=np.random.default_rng(0)
    )
    for name in NAMES:
        one = getattr(found, name)
        assert (one.value, one.low, one.high) == (0.5 * (name == "observer_auroc"),) * 3
    assert bounds.bound_for_any_score(found) == 0
    assert bounds.verdict(found, 0.1) == "certified"


def test_a_token_that_a_score_ignores_is_seen_by_the_observer():
    """q says 2 where p says 1; a score that counts stops sees nothing."""
    p = markov.Chain(np.array([[1, 0, 0], [0.3, 0.7, 0], [0.3, 0.7, 0]]), 1, 4)
    q = markov.Chain(p.table[:, [0, 2, 1]], 1, 4)
    pair = markov.sampled([(p, q)] * 30, 2, np.random.default_rng(2))
    found = estimate(pair, rng=np.random.default_rng(0))
    assert found.kl is None
    # Only texts that stop at once are possible under both, with probability 0.3.
    assert found.total_variation.low < 0.7 < found.total_variation.high
    assert found.observer_auroc.value == pytest.approx(1 - 0.3**2 / 2, abs=0.1)
    assert bounds.verdict(found, 0.1) == "distinguishable"


def test_a_small_step_is_certified_for_every_score():
    found = estimate(
        markov.sampled(_world(0.02, 30), 2, np.random.default_rng(5)), rng=np.random.default_rng(0)
    )
    assert bounds.verdict(found, 0.1) == "certified"


def test_no_score_differs_by_more_than_the_bound_and_the_best_one_by_as_much():
    p, q = markov.chains(np.random.default_rng(3), 1.0)
    texts = p.texts()
    a, b = (np.exp([arm.log_p(t) for t in texts]) for arm in (p, q))
    tv = markov.exact(p, q)["total_variation"]
    rng = np.random.default_rng(0)
    for score in rng.uniform(size=(200, len(texts))):
        assert abs(score @ (a - b)) <= np.ptp(score) * tv
    best = (a > b).astype(float)
    assert bounds.share_seen(best @ (a - b), 1.0, tv) == pytest.approx(1.0)
    assert bounds.share_seen(0.0, 1.0, 0.0) is None


@pytest.mark.parametrize(("studies", "level"), [(100, 0.7), in_full(1000, 0.9)])
def test_intervals_cover_what_they_state(studies, level):
    """Prompts are drawn from a population whose mean is known.

    At 70 % a hundred studies can tell intervals that are too wide from those that are right.
    """
    world = _world(1.0, 40)
    truth = _truth(world)
    held = dict.fromkeys(("kl", "total_variation"), 0)
    for key in range(studies):
        rng = np.random.default_rng([9, key])
        chosen = [world[i] for i in rng.integers(len(world), size=30)]
        found = estimate(markov.sampled(chosen, 1, rng), level=level, n_boot=400, rng=rng)
        for name in held:
            one = getattr(found, name)
            held[name] += one.low <= truth[name] <= one.high
    # 2 % of level (88 to 92 % at 90 %), and three standard errors of the simulation.
    slack = 0.02 + 3 * np.sqrt(level * (1 - level) / studies)
    assert level + slack < 1
    for name, n in held.items():
        assert abs(n / studies - level) <= slack, (name, n / studies)


def test_a_bound_takes_the_best_of_its_inequalities():
    pair = markov.sampled(_world(0.3), 2, np.random.default_rng(0))
    found = estimate(pair, rng=np.random.default_rng(0))
    parts = [
        found.total_variation.high,
        bounds.pinsker(found.kl.high),
        bounds.bretagnolle_huber(found.kl.high),
    ]
    assert bounds.bound_for_any_score(found) == min(parts)
    assert bounds.bound_for_any_score(dataclasses.replace(found, kl=None)) == parts[0]
    assert bounds.bretagnolle_huber(5.0) < 1.0 < bounds.pinsker(5.0)


def test_what_is_no_likelihood_is_refused():
    good = np.zeros((3, 2))
    with pytest.raises(ValueError, match="not a number"):
        Pair(good, good, good * np.nan, good)
    with pytest.raises(ValueError, match="by prompt"):
        Pair(good, good[:2], good, good)
    with pytest.raises(ValueError, match="negative"):
        bounds.pinsker(-1.0)
