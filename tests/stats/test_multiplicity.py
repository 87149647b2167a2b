import numpy as np
import pytest

from steer_assets.stats.verdicts import multiplicity

from .frozen import HOLM


@pytest.mark.parametrize(("p", "adjusted"), HOLM)
def test_holm_is_that_of_statsmodels(p, adjusted):
    np.testing.assert_allclose(multiplicity.holm(p), adjusted, rtol=1e-14)


def test_adjusted_values_keep_the_order_given():
    np.testing.assert_allclose(multiplicity.holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])


def test_an_empty_family_stays_empty():
    assert multiplicity.holm([]).shape == (0,)


@pytest.mark.parametrize("bad", [[0.1, np.nan], [-0.1], [1.1]])
def test_what_is_no_p_value_is_refused(bad):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        multiplicity.holm(bad)
