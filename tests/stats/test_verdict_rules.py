import re

import numpy as np
import pytest

from steer_assets.stats.validation import Interval
from steer_assets.stats.verdicts.verdict_rules import Grounds, Seeds, Verdict, of_family, verdict

CLEAR = {
    "p_difference_adjusted": 0.5,
    "p_equivalence_adjusted": 0.5,
    "ci_low": -0.3,
    "ci_high": 0.3,
    "margin": 0.2,
    "reference_significant": True,
    "reference_least": 1.0,
    "scorer_auroc_low": 0.9,
}


def _said(**change: float) -> Verdict:
    numbers = {**CLEAR, **change}
    interval = Interval(numbers.pop("ci_low"), numbers.pop("ci_high"))
    return verdict(Grounds(**numbers), interval)


@pytest.mark.parametrize(
    ("change", "value", "words"),
    [
        ({}, "inconclusive", "neither a difference nor equivalence"),
        ({"p_equivalence_adjusted": 0.01}, "equivalent", "shown to be inside the margin"),
        (
            {"p_equivalence_adjusted": 0.01, "p_difference_adjusted": 0.01},
            "equivalent",
            "detectable .* but inside",
        ),
        ({"p_difference_adjusted": 0.01}, "different", "not inside the margin"),
        (
            {"p_difference_adjusted": 0.01, "ci_low": 0.01, "ci_high": 0.19},
            "inconclusive",
            "smaller than the margin by its interval but not by test",
        ),
        (
            {"p_difference_adjusted": 0.01, "ci_low": 0.01, "ci_high": 0.2},
            "different",
            "not inside the margin",
        ),
        ({"p_equivalence_adjusted": 0.05}, "inconclusive", "neither"),
        (
            {"p_equivalence_adjusted": 0.001, "reference_significant": False},
            "untestable",
            "base vector itself",
        ),
        (
            {"p_equivalence_adjusted": 0.001, "reference_least": 0.2},
            "untestable",
            "as small as 0.2 SD, no more than the margin.*shown to be inside the margin",
        ),
        ({"p_equivalence_adjusted": 0.001, "reference_least": 0.201}, "equivalent", "inside"),
        ({"p_difference_adjusted": 0.01, "reference_least": 0.0}, "different", "not inside"),
        ({"reference_least": 0.0}, "inconclusive", "neither"),
        ({"p_equivalence_adjusted": 0.001, "scorer_auroc_low": 0.69}, "untestable", "AUROC"),
        ({"p_equivalence_adjusted": 0.001, "scorer_auroc_low": 0.7}, "equivalent", "inside"),
        ({"p_equivalence_adjusted": 1.0, "margin": -0.1}, "inconclusive", "neither"),
    ],
)
def test_verdicts_of_section_9(change, value, words):
    found = _said(**change)
    assert found.value == value
    assert re.search(words, found.reason)


@pytest.mark.parametrize(
    "change",
    [
        {"p_difference_adjusted": np.nan},
        {"p_equivalence_adjusted": 1.5},
        {"scorer_auroc_low": np.nan},
        {"ci_low": 0.4},
        {"ci_low": np.nan},
        {"margin": np.nan},
        {"reference_least": np.nan},
        {"reference_least": -0.1},
    ],
)
def test_numbers_that_are_none_are_refused(change):
    with pytest.raises(ValueError, match=r"must|NaN"):
        _said(**change)


@pytest.mark.parametrize(
    ("p_difference", "p_equivalence", "n_different", "least", "value", "words"),
    [
        (0.5, 0.01, 0, 1.0, "equivalent", "every seed is shown .* p = 0.01; 3 of 4 inside"),
        (0.01, 0.5, 2, 1.0, "different", "of 4 seeds, 2 differ"),
        (0.01, 0.5, 0, 1.0, "inconclusive", "p = 0.5 and 0.01"),
        (0.5, 0.01, 0, 0.2, "untestable", "as small as 0.2 SD"),
    ],
)
def test_a_family_is_equivalent_where_every_seed_is(
    p_difference, p_equivalence, n_different, least, value, words
):
    grounds = Grounds(
        p_difference_adjusted=p_difference,
        p_equivalence_adjusted=p_equivalence,
        margin=0.2,
        reference_significant=True,
        reference_least=least,
        scorer_auroc_low=0.9,
    )
    found = of_family(grounds, Seeds(4, 3, n_different, 0.1, 0.15))
    assert found.value == value
    assert re.search(words, found.reason)
    with pytest.raises(ValueError, match="must have a seed"):
        of_family(grounds, Seeds(0, 0, 0, 0.1, 0.15))
