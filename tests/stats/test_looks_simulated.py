"""Studies with looks hold their level, give up little power, and need fewer texts: by simulation.

Scores are clustered by prompt, skewed and bounded; arms share most of their noise.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import brentq

from steer_assets.stats.sequential import stopping
from steer_assets.stats.verdicts import equivalence
from steer_assets.stats.verdicts.multiplicity import holm
from tests.sizes import in_full, simulated
from tests.stats.simulate import bounded_arms, error, true_difference

LOOKS = (0.3, 0.6, 1.0)
LEVEL = 0.05


#: Correlation of the noise of a pair.
SHARED = 0.3
STUDIES = [150, in_full(2000)]


@pytest.fixture(scope="module")
def margin() -> tuple[float, float]:
    """The shift whose effect is 0.2 standard deviations of a text's score, and that effect."""

    def excess(shift: float) -> float:
        effect, sd = true_difference(shift, shared=SHARED)
        return effect / sd - 0.2

    shift = float(brentq(excess, 0.05, 1.0, xtol=1e-3))
    return shift, true_difference(shift, shared=SHARED)[0]


@dataclass(frozen=True)
class Rates:
    """Shares of studies by decision, mean share of the texts, and what one look would decide."""

    equivalent: float
    different: float
    texts: float
    fixed_equivalent: float
    fixed_different: float


def _differences(rng: np.random.Generator, n: int, m: int, shifts: tuple[float, ...]) -> np.ndarray:
    """Prompt-level differences from v [seeds, n]; every seed is at its own distance."""
    arms = [bounded_arms(rng, n, m, shift, shared=SHARED) for shift in shifts]
    return np.stack([(a - b).mean(axis=1) for a, b in arms])


def _study(values: np.ndarray, margin: float, futility: bool) -> tuple[str, float, str]:
    """Decision of one study, the share of its texts, and the decision with one look."""
    seeds, n = values.shape
    same, differs, effect = (np.ones((seeds, len(LOOKS))) for _ in range(3))
    decision, texts = "open", 1.0
    for k, share in enumerate(LOOKS):
        for seed, own in enumerate(values[:, : round(share * n)]):
            same[seed, k] = equivalence.tost(own, margin, skewness_guard=True).p
            differs[seed, k] = equivalence.difference_p(own)
            effect[seed, k] = own.mean()
        if decision != "open":
            continue
        tests = stopping.SeedTests(same[:, : k + 1], differs[:, : k + 1], effect[:, : k + 1])
        p_same, p_differs = stopping.sequential(tests, LOOKS)
        powers = stopping.powers(tests, LOOKS, equivalence=LEVEL, difference=LEVEL / seeds)
        standing = stopping.Standing(
            equivalence_shown=bool(p_same.max() < LEVEL),
            difference_shown=bool(holm(p_differs).min() < LEVEL),
            inside=bool(same[differs[:, k].argmin(), k] < LEVEL / 2),
            v_acts=True,
            v_exceeds=True,
            power_equivalence=powers[0] if futility else 1.0,
            power_difference=powers[1],
        )
        decision, texts = stopping.decide(standing, last=k == len(LOOKS) - 1), share
    fixed = "equivalent" if same[:, -1].max() < LEVEL else "open"
    fixed = "different" if fixed == "open" and holm(differs[:, -1]).min() < LEVEL else fixed
    return decision, texts, fixed


def _rates(
    studies: int,
    margin: float,
    shifts: tuple[float, ...],
    *,
    n: int = 100,
    m: int = 2,
    futility: bool = True,
) -> Rates:
    rng = np.random.default_rng([17, n, m])
    found = [_study(_differences(rng, n, m, shifts), margin, futility) for _ in range(studies)]
    share = {
        (at, name): float(np.mean([one[at] == name for one in found]))
        for at in (0, 2)
        for name in ("equivalent", "different")
    }
    return Rates(
        share[0, "equivalent"],
        share[0, "different"],
        float(np.mean([one[1] for one in found])),
        share[2, "equivalent"],
        share[2, "different"],
    )


@pytest.mark.parametrize("futility", [True, False])
@pytest.mark.parametrize("studies", STUDIES)
def test_at_the_margin_equivalence_is_declared_in_at_most_five_percent(margin, studies, futility):
    """With 40 prompts, where a difference seldom comes first and leaves nothing to declare."""
    shift, size = margin
    found = _rates(studies, size, (shift,), n=40, futility=futility)
    assert found.different < 0.65
    assert found.equivalent <= LEVEL + error(LEVEL, studies)
    assert found.equivalent >= 0.02  # a test that never declares is no test


@pytest.mark.parametrize("studies", STUDIES)
@pytest.mark.parametrize("seeds", [1, 3])
def test_a_difference_that_is_none_is_claimed_in_at_most_five_percent(margin, studies, seeds):
    """By a margin too small for equivalence, which would come first."""
    found = _rates(studies, 0.05 * margin[1], (0.0,) * seeds, futility=False)
    assert found.equivalent == 0
    assert found.different <= LEVEL + error(LEVEL, studies)
    assert found.different >= 0.02


@pytest.mark.parametrize("studies", STUDIES)
@pytest.mark.parametrize(("seeds", "n"), [(1, 60), (3, 80)])
def test_power_is_at_most_three_points_under_that_of_one_look(margin, studies, seeds, n):
    """Where the fixed study has about 75 %: neither too little to lose nor enough to spare."""
    found = _rates(studies, margin[1], (0.0,) * seeds, n=n)
    assert 0.6 < found.fixed_equivalent < 0.95
    assert found.equivalent >= found.fixed_equivalent - 0.03
    apart = _rates(studies, margin[1], (0.0,) * (seeds - 1) + (margin[0],), n=n // 2)
    assert 0.2 < apart.fixed_different < 0.95
    assert apart.different >= apart.fixed_different - 0.03


@pytest.mark.parametrize("studies", [60, in_full(2000)])
@pytest.mark.parametrize(("seeds", "n"), [(1, 200), (3, 300)])
def test_a_third_of_the_texts_is_saved_where_one_look_would_be_sure(margin, studies, seeds, n):
    """At these sizes; where a fixed study is barely large enough, looks save little."""
    alike = _rates(studies, margin[1], (0.0,) * seeds, n=n)
    assert alike.equivalent > 0.97
    assert alike.texts <= 0.65
    apart = _rates(studies, margin[1], (0.0,) * (seeds - 1) + (2 * margin[0],), n=n)
    assert apart.different > 0.97
    assert apart.texts <= 0.65


def test_what_cannot_be_shown_any_more_stops(margin):
    """Half way to the margin with 20 prompts neither claim is in reach, and texts are saved."""
    studies = simulated(300)
    found = _rates(studies, margin[1], (0.6 * margin[0],), n=20, m=1)
    kept = _rates(studies, margin[1], (0.6 * margin[0],), n=20, m=1, futility=False)
    assert found.texts < kept.texts - 0.02
    assert found.equivalent <= kept.equivalent
