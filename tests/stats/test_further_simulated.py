"""Studies in which open families have what stopped ones save: level, gain and size, by simulation.

Families of a study share v and its noise, so that what others save depends on a family's own data.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import expit

from steer_assets.stats.sequential import further, stopping
from steer_assets.stats.verdicts import equivalence
from steer_assets.stats.verdicts.multiplicity import holm
from tests.sizes import in_full
from tests.stats.simulate import error
from tests.stats.test_looks_simulated import LEVEL, LOOKS, SHARED, margin

__all__ = ["margin"]

#: Planned samples of a prompt, and most of them at the last look.
SAMPLES, MOST = 2, 4
EXTRA = 1.5
STUDIES = [150, in_full(2000)]


@dataclass(frozen=True)
class Rates:
    """Of the family of interest: shares of studies by decision. Of all: decided, and mean texts.

    largest: texts of the study that made most, in shares of the fixed study.
    """

    equivalent: float
    different: float
    decided: float
    texts: float
    largest: float


def _scores(rng: np.random.Generator, n: int, shifts: np.ndarray) -> np.ndarray:
    """Differences from v [families, seeds, n, MOST]; skewed, bounded, clustered by prompt."""
    level = rng.gamma(1.5, 1.0, size=(n, 1)) - 2.0
    common = rng.normal(size=(n, MOST))
    v = expit(level + SHARED * common + np.sqrt(1 - SHARED**2) * rng.normal(size=(n, MOST)))
    answer = shifts[..., None, None] * (1 + 0.3 * rng.normal(size=(*shifts.shape, n, 1)))
    return expit(level + answer + common) - v


def _p(values: np.ndarray, margin: float) -> tuple[float, float, float, float]:
    found = equivalence.tost(values, margin, skewness_guard=True)
    return found.p_lower, found.p_upper, equivalence.difference_p(values), float(values.mean())


def _study(
    scores: np.ndarray, margin: float, extra: float, futility: bool
) -> tuple[list[str], float]:
    """Decisions of all families, and texts in shares of the fixed study."""
    n_families, seeds, n, _ = scores.shape
    decisions, used = ["open"] * n_families, np.ones(n_families)
    more = 0
    tests = np.ones((n_families, seeds, len(LOOKS), 4))
    for k, share in enumerate(LOOKS):
        end, last = round(share * n), k == len(LOOKS) - 1
        still = [f for f in range(n_families) if decisions[f] == "open"]
        if last:
            saved = round(n * SAMPLES * seeds * float((1 - used).sum()))
            new = n - round(LOOKS[-2] * n)
            more = further.further_samples(
                SAMPLES, LOOKS[-2], extra, saved, (len(still) * seeds + 1) * new
            )
        for f in still:
            for seed, own in enumerate(scores[f]):
                tests[f, seed, k] = _p(own[:end, :SAMPLES].mean(axis=1), margin)
                if more:
                    before = tests[f, seed, k - 1]
                    since = _p(own[-new:, : SAMPLES + more].mean(axis=1), margin)
                    t = LOOKS[k - 1]
                    sides = [further.one_sided(before[i], since[i], t) for i in (0, 1)]
                    differs = further.two_sided((before[2], before[3]), (since[2], since[3]), t)
                    tests[f, seed, k] = (*sides, *differs)
            decisions[f] = _decision(tests[f, :, : k + 1], seeds, futility, last)
            if decisions[f] != "open":
                used[f] = share
    texts = float(used.mean())
    if more:
        texts += (len(still) * seeds + 1) * new * more / (n * SAMPLES * seeds * n_families)
    return decisions, texts


def _decision(tests: np.ndarray, seeds: int, futility: bool, last: bool) -> str:
    found = stopping.SeedTests(tests[..., :2].max(axis=-1), tests[..., 2], tests[..., 3])
    p_same, p_differs = stopping.sequential(found, LOOKS)
    powers = stopping.powers(found, LOOKS, equivalence=LEVEL, difference=LEVEL / seeds)
    standing = stopping.Standing(
        equivalence_shown=bool(p_same.max() < LEVEL),
        difference_shown=bool(holm(p_differs).min() < LEVEL),
        inside=bool(found.p_equivalence[found.p_difference[:, -1].argmin(), -1] < LEVEL / 2),
        v_acts=True,
        v_exceeds=True,
        power_equivalence=powers[0] if futility else 1.0,
        power_difference=powers[1],
    )
    return stopping.decide(standing, last=last)


def _rates(
    studies: int,
    margin: float,
    shifts: np.ndarray,
    n: int,
    *,
    extra: float = EXTRA,
    futility: bool = True,
) -> Rates:
    """shifts [families, seeds]; the first family is the one of interest."""
    rng = np.random.default_rng([29, n])
    found = [_study(_scores(rng, n, shifts), margin, extra, futility) for _ in range(studies)]
    own = [decisions[0] for decisions, _ in found]
    texts = [texts for _, texts in found]
    return Rates(
        float(np.mean([one == "equivalent" for one in own])),
        float(np.mean([one == "different" for one in own])),
        float(np.mean([one in ("equivalent", "different") for all_, _ in found for one in all_])),
        float(np.mean(texts)),
        float(np.max(texts)),
    )


@pytest.mark.parametrize("studies", STUDIES)
def test_at_the_margin_equivalence_is_declared_in_at_most_five_percent(margin, studies):
    """Beside a family that is decided at once, and one that is so only sometimes."""
    shift, size = margin
    shifts = np.array([[shift], [4 * shift], [1.5 * shift]])
    found = _rates(studies, size, shifts, 40, futility=False)
    assert found.equivalent <= LEVEL + error(LEVEL, studies)
    assert found.equivalent >= 0.02 - 2 * np.sqrt(0.02 / studies)
    assert found.texts > _rates(studies, size, shifts, 40, extra=1, futility=False).texts


@pytest.mark.parametrize("studies", STUDIES)
@pytest.mark.parametrize("seeds", [1, 3])
def test_a_difference_that_is_none_is_claimed_in_at_most_five_percent(margin, studies, seeds):
    """By a margin too small for equivalence, which would come first."""
    shifts = np.array([[0.0] * seeds, [6 * margin[0]] * seeds])
    found = _rates(studies, 0.05 * margin[1], shifts, 60, futility=False)
    assert found.equivalent == 0
    assert found.different <= LEVEL + error(LEVEL, studies)
    assert found.different >= 0.02 - 2 * np.sqrt(0.02 / studies)


@pytest.mark.parametrize("studies", [100, in_full(2000)])
def test_more_families_are_decided_and_no_study_is_larger_than_the_fixed_one(margin, studies):
    """A third of the families like v, a third at 0.3 margins, a third far from it."""
    shifts = np.repeat(np.array([0.0, 0.3, 4.0]) * margin[0], 2)[:, None] * np.ones((1, 3))
    found = _rates(studies, margin[1], shifts, 80)
    before = _rates(studies, margin[1], shifts, 80, extra=1)
    assert found.decided >= before.decided + 0.02
    assert found.texts > before.texts
    assert found.largest <= 1 + 1e-9
