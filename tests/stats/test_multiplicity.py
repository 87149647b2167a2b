import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from steer_assets.stats.verdicts import multiplicity


@settings(deadline=None, max_examples=15)
@given(st.lists(st.sampled_from([0.0, 1e-9, 0.004, 0.01, 0.03, 0.2, 0.7, 1.0]), min_size=1))
def test_holm_is_that_of_statsmodels(p):
    holm = multiplicity.holm(p)
    np.testing.assert_allclose(holm, multipletests(p, method="holm")[1], rtol=1e-14)


def test_adjusted_values_keep_the_order_given():
    np.testing.assert_allclose(multiplicity.holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])


def test_an_empty_family_stays_empty():
    assert multiplicity.holm([]).shape == (0,)


@pytest.mark.parametrize("bad", [[0.1, np.nan], [-0.1], [1.1]])
def test_what_is_no_p_value_is_refused(bad):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        multiplicity.holm(bad)
