"""Do the tests and intervals do what they say, on simulated studies with fixed seeds.

Tolerances are Monte Carlo errors: in 2,000 studies a rate of 5 % has a standard error of 0.5
points, one of 90 % of 0.7 points.
"""

import numpy as np
import pytest
from scipy.optimize import brentq

from steer_assets.stats.effects import standardiser
from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.validation import Interval
from steer_assets.stats.verdicts import (
    compare,
    equivalence,
    margins,
    multiplicity,
    power,
    verdict_rules,
)
from tests.sizes import FULL, in_full, simulated

from .simulate import bounded_arms, error, true_difference

STUDIES = 2000 if FULL else 300
#: Of studies that take a ten-thousandth of a second.
MANY = 2000 if FULL else 800
AT_MOST = 0.05 + error(0.05, STUDIES)


@pytest.fixture(scope="module")
def shift_at_margin() -> float:
    """Shift whose true effect is 0.2 standard deviations of a text's score exactly."""

    def excess(shift: float) -> float:
        effect, sd = true_difference(shift)
        return effect / sd - 0.2

    return float(brentq(excess, 0.05, 1.0, xtol=1e-3))


@pytest.mark.parametrize(("n", "m"), [(20, 5), in_full(40, 5), (100, 2)])
def test_tost_at_the_margin_declares_in_five_percent(shift_at_margin, n, m):
    """Clustered, skewed, bounded scores; fixed and estimated margin, both directions."""
    fixed = true_difference(shift_at_margin)[0]
    rng = np.random.default_rng([n, m])
    declared = np.zeros(3)
    for _ in range(STUDIES):
        a, b = bounded_arms(rng, n, m, shift_at_margin)
        difference = (a - b).mean(axis=1)
        estimated = margins.standardised(b)
        declared += [
            equivalence.tost(difference, fixed, skewness_guard=True).p < 0.05,
            equivalence.tost(difference, estimated, skewness_guard=True).p < 0.05,
            equivalence.tost(-difference, fixed, skewness_guard=True).p < 0.05,
        ]
    assert np.all(declared / STUDIES <= AT_MOST)
    # The boundary is tight: a test that never declares is no test.
    assert np.all(declared / STUDIES >= 0.02)


def test_an_estimated_margin_taken_for_known_declares_too_often():
    """What ``margins`` is for: well paired arms make the noise of the margin the larger one."""
    rng = np.random.default_rng(1)
    naive = sound = 0
    for _ in range(MANY):
        b = rng.normal(size=40)
        a = b + 0.2 + 0.1 * rng.normal(size=40)
        naive += equivalence.tost(a - b, 0.2 * standardiser.pooled(a, b).sd).p < 0.05
        sound += equivalence.tost(a - b, margins.standardised(b)).p < 0.05
    assert sound / MANY <= 0.06 + error(0.05, MANY)
    assert naive / MANY > 0.15


def test_the_guard_holds_where_students_t_declares_too_often():
    """A few prompts answer strongly: exponential effects, margin at their mean."""
    rng = np.random.default_rng(2)
    plain = guarded = 0
    for _ in range(MANY):
        # Mean 10 exactly, the margin; most prompts below it, a few far above.
        values = 9 + rng.exponential(size=40)
        plain += equivalence.tost(values, 10.0).p < 0.05
        guarded += equivalence.tost(values, 10.0, skewness_guard=True).p < 0.05
    assert plain / MANY > 0.09
    assert guarded / MANY < 0.07


@pytest.mark.parametrize(("sd", "n"), [(0.3, 20), in_full(0.3, 30), (0.5, 40)])
def test_power_under_no_difference_agrees_with_theory_within_three_points(sd, n):
    rng = np.random.default_rng([int(10 * sd), n])
    values = sd * rng.normal(size=(STUDIES, n))
    declared = np.mean([equivalence.tost(x, 0.2, skewness_guard=True).p < 0.05 for x in values])
    assert declared == pytest.approx(
        power.tost_power(sd, n, 0.2), abs=max(0.03, error(0.5, STUDIES))
    )


@pytest.mark.parametrize("n", [20, in_full(40), 100])
def test_ninety_percent_intervals_cover_88_to_92_percent(n):
    truth = true_difference(0.6)[0]
    rng = np.random.default_rng(n)
    inside, studies = 0, simulated(1500)
    for _ in range(studies):
        a, b = bounded_arms(rng, n, 3, 0.6)
        found = bootstrap.mean((a - b).mean(axis=1), level=0.9, n_boot=600, rng=rng)
        inside += found.low <= truth <= found.high
    assert inside / studies == pytest.approx(0.9, abs=max(0.02, error(0.9, studies)))


@pytest.mark.parametrize(
    ("prompts", "seeds", "sd_prompt", "sd_seed"), [in_full(20, 10, 0.5, 0.5), (40, 5, 0.2, 0.8)]
)
def test_crossed_intervals_cover_88_to_92_percent(prompts, seeds, sd_prompt, sd_seed):
    rng = np.random.default_rng([prompts, seeds])
    inside = prompts_only = 0
    studies = simulated(1000)
    for _ in range(studies):
        x = sd_prompt * rng.normal(size=(prompts, 1)) + sd_seed * rng.normal(size=(1, seeds))
        x = x + rng.normal(size=(prompts, seeds))
        found = bootstrap.crossed(x, level=0.9, n_boot=600, rng=rng)
        naive = bootstrap.mean(x.mean(axis=1), level=0.9, n_boot=100, rng=rng)
        inside += found.low <= 0 <= found.high
        prompts_only += naive.low <= 0 <= naive.high
    assert inside / studies == pytest.approx(0.9, abs=max(0.02, error(0.9, studies)))
    # What generalising over prompts alone would have claimed for other seeds.
    assert prompts_only / studies < 0.75


@pytest.mark.parametrize("n", [20, 40])
def test_intervals_of_efficacy_ratios_cover(n):
    rng = np.random.default_rng(n)
    inside, studies = 0, simulated(800)
    for _ in range(studies):
        reference = 1 + 0.6 * rng.normal(size=n)
        other = 0.8 * reference + 0.3 * rng.normal(size=n)
        found = bootstrap.ratio(other, reference, level=0.9, n_boot=600, rng=rng)
        inside += found.low <= 0.8 <= found.high
    assert inside / studies == pytest.approx(0.9, abs=max(0.03, error(0.9, studies)))


@pytest.mark.parametrize("n", [20, 100])
def test_difference_tests_hold_their_size(n):
    """No effect: skewed, bounded scores with common noise, exchangeable arms."""
    rng = np.random.default_rng(n)
    p = [
        equivalence.difference_p(np.subtract(*bounded_arms(rng, n, 3, 0.0)).mean(axis=1))
        for _ in range(STUDIES)
    ]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=2 * (AT_MOST - 0.05))


def test_holm_controls_the_family_at_five_percent():
    """Ten comparisons that share the reference arm, two of them with a real effect."""
    rng = np.random.default_rng(8)
    effect = np.r_[np.full(2, 1.0), np.zeros(8)]
    holm = plain = 0
    for _ in range(1000):
        reference = rng.normal(size=(30, 1))
        values = rng.normal(size=(30, 10)) + effect - reference * 0.7
        p = np.array([equivalence.difference_p(x) for x in values.T])
        holm += (multiplicity.holm(p)[2:] < 0.05).any()
        plain += (p[2:] < 0.05).any()
    assert holm / 1000 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1000)
    assert plain / 1000 > 0.15


def _verdict(v, other, none, rng):
    reference = compare.compare(v, none, margin=0.05, n_boot=500, rng=rng)
    margin = margins.relative((v - none).mean(axis=1))
    found = compare.compare(other, v, margin=margin, n_boot=500, rng=rng)
    grounds = verdict_rules.Grounds(
        p_difference_adjusted=found.p_difference,
        p_equivalence_adjusted=found.p_equivalence,
        margin=found.margin,
        reference_significant=reference.p_difference < 0.05,
        reference_least=max(0.0, reference.ci_low),
        scorer_auroc_low=0.9,
    )
    return verdict_rules.verdict(grounds, Interval(found.ci_low, found.ci_high)).value


@pytest.mark.parametrize(
    ("planted", "n", "v_effect", "other_effect"),
    [
        ("different", 60, 1.0, 0.2),
        ("equivalent", 60, 1.0, 1.0),
        ("untestable", 60, 0.0, 0.0),
        ("inconclusive", 3, 1.0, 1.0),
    ],
)
def test_planted_toys_come_out_as_planted(planted, n, v_effect, other_effect):
    """A linear toy: score = level + effect + shared noise; in at least 9 of 10 studies."""
    found = []
    for seed in range(simulated(60)):
        rng = np.random.default_rng([seed, n])
        level, noise = rng.normal(size=(n, 1)), rng.normal(size=(3, n, 4))
        noise = 0.8 * rng.normal(size=(n, 4)) + 0.3 * noise
        none, v, other = (
            level + e + x for e, x in zip((0, v_effect, other_effect), noise, strict=True)
        )
        found.append(_verdict(v, other, none, rng))
    assert found.count(planted) >= 0.9 * len(found)
