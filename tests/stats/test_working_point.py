"""Which block is chosen: the planted one, and none where there is none."""

import numpy as np
import pytest

from steer_assets.stats.effects.working_point import Candidate, choose, judge
from tests.sizes import simulated

BLOCKS = (7, 11, 15, 18, 22, 26)


def candidates(
    rng: np.random.Generator,
    effects: dict[int, float],
    *,
    broken: tuple[int, ...] = (),
    n: int = 20,
) -> list[Candidate]:
    return [
        Candidate(b, effects.get(b, 0.0) + rng.normal(size=n), 1.0, b not in broken) for b in BLOCKS
    ]


def chosen(found: list[Candidate], n: int = 2) -> tuple[tuple[int, ...], str]:
    choice = choose(judge(found, among=len(found)), n)
    return choice.blocks, choice.reason


def test_planted_blocks_are_chosen_best_first() -> None:
    rng = np.random.default_rng(0)
    found = [chosen(candidates(rng, {15: 2.0, 18: 3.5}))[0] for _ in range(100)]
    assert found.count((18, 15)) >= 97


def test_where_nothing_steers_it_is_said_in_nineteen_studies_of_twenty() -> None:
    """The best of six looks better than it is: hence the shared level."""
    rng = np.random.default_rng(1)
    studies = simulated(2000)
    wrong = sum(not chosen(candidates(rng, {}))[1] for _ in range(studies))
    assert wrong / studies < 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)
    assert wrong / studies > 0.02  # and the level is used


def test_a_vector_that_works_the_wrong_way_is_not_chosen() -> None:
    rng = np.random.default_rng(2)
    blocks, reason = chosen(candidates(rng, {15: -3.0}))
    assert 15 not in blocks
    assert "no block is steerable" in reason


def test_per_nat_decides_among_blocks_of_unequal_divergence() -> None:
    weak = Candidate(11, np.full(8, 1.0) + np.arange(8) / 100, 0.2, True)
    strong = Candidate(22, np.full(8, 2.0) + np.arange(8) / 100, 1.0, True)
    assert chosen([strong, weak], 1) == ((11,), "")


def test_broken_texts_are_not_chosen_however_far_they_move() -> None:
    rng = np.random.default_rng(3)
    assert chosen(candidates(rng, {15: 5.0, 18: 2.0}, broken=(15,)))[0] == (18,)
    blocks, reason = chosen(candidates(rng, {15: 5.0}, broken=BLOCKS), 1)
    assert blocks == (15,)
    assert "no block leaves the texts fluent" in reason


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="effects at block 3"):
        judge([Candidate(3, np.array([1.0]), 1.0, True)], among=1)
    with pytest.raises(ValueError, match="no effect per nat"):
        judge([Candidate(3, np.ones(4), 0.0, True)], among=1)
    with pytest.raises(ValueError, match="cannot be chosen"):
        choose([], 1)
