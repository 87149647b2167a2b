"""A last look that is larger than planned: how large, and its test."""

import numpy as np
import pytest
from scipy import special

from steer_assets.stats.sequential import further


@pytest.mark.parametrize(
    ("samples", "extra", "saved", "cost", "expected"),
    [
        (2, 1.5, 10_000, 1, 2),  # 0.6 + 0.4 x 4 / 2 = 1.4; five samples would be 1.6
        (2, 1.6, 10_000, 1, 3),
        (3, 1.5, 10_000, 1, 3),
        (2, 1.5, 199, 100, 1),
        (2, 1.5, 99, 100, 0),
        (2, 1.0, 10_000, 1, 0),
        (2, 1.5, 10_000, 0, 0),  # nothing is open
    ],
)
def test_further_samples_keep_to_what_was_saved_and_to_the_greatest_size(
    samples: int, extra: float, saved: int, cost: int, expected: int
) -> None:
    assert further.further_samples(samples, 0.6, extra, saved, cost) == expected


@pytest.mark.parametrize(
    "given", [(0, 0.6, 1.5, 1, 1), (2, 1.0, 1.5, 1, 1), (2, 0.6, 0.9, 1, 1), (2, 0.6, 1.5, -1, 1)]
)
def test_impossible_sizes_are_refused(given: tuple[int, float, float, int, int]) -> None:
    with pytest.raises(ValueError, match="samples"):
        further.further_samples(*given)


def test_without_further_samples_the_statistic_is_that_of_all_prompts() -> None:
    """Known variance: the sum over all prompts is the weighted sum of both parts."""
    values = np.random.default_rng(1).normal(0.1, 1.0, 100)
    parts = values[:60], values[60:]
    p = [float(special.ndtr(-part.sum() / np.sqrt(len(part)))) for part in parts]
    whole = float(special.ndtr(-values.sum() / 10))
    assert further.one_sided(p[0], p[1], 0.6) == pytest.approx(whole)
    twice = [(2 * min(one, 1 - one), 0.5 - one) for one in p]
    found, sign = further.two_sided(twice[0], twice[1], 0.6)
    assert (found, sign) == (pytest.approx(2 * min(whole, 1 - whole)), np.sign(values.sum()))


def test_parts_in_opposite_directions_cancel() -> None:
    p, sign = further.two_sided((0.01, 1.0), (0.01, -1.0), 0.5)
    assert (p, sign) == (pytest.approx(1.0), 0.0)
    p, sign = further.two_sided((0.01, 1.0), (0.01, -1.0), 0.6)
    assert p < 1
    assert sign == 1


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_p_values_at_their_limits_are_finite(p: float) -> None:
    assert 0 <= further.one_sided(p, 1 - p, 0.6) <= 1
    assert 0 <= further.two_sided((p, 1.0), (0.5, -1.0), 0.6)[0] <= 1


def test_what_is_no_p_value_or_fraction_is_refused() -> None:
    for given in ((1.5, 0.5, 0.6), (0.5, -0.1, 0.6), (0.5, 0.5, 0.0), (0.5, 0.5, 1.0)):
        with pytest.raises(ValueError, match=r"p-value lies|fraction in"):
            further.one_sided(*given)
