import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steer_assets.catalog.layers import candidate_layers, check_layer, resolve_layer, resolve_layers


@pytest.mark.parametrize(
    ("name", "n_layers", "block"),
    [
        ("L/2", 30, 15),
        ("L/2", 31, 15),  # L // 2
        ("2L/3", 30, 20),
        ("L/4", 30, 7),
        ("3L/4", 30, 22),
        ("0L/4", 30, 0),
        ("L/2", 1, 0),
        (0, 30, 0),
        (29, 30, 29),
    ],
)
def test_layers_of_a_study_become_blocks(name, n_layers, block):
    assert resolve_layer(name, n_layers) == block


@settings(deadline=None)
@given(st.integers(0, 9), st.integers(1, 9), st.integers(1, 200))
def test_a_fraction_is_rounded_down_exactly(numerator, denominator, n_layers):
    name = f"{numerator}L/{denominator}"
    block = numerator * n_layers // denominator
    if block < n_layers:
        assert resolve_layer(name, n_layers) == block
    else:
        with pytest.raises(ValueError, match=f"block {block}, but the model has {n_layers} blocks"):
            resolve_layer(name, n_layers)


@pytest.mark.parametrize("name", [30, 31, "L", "L/1", "4L/3"])
def test_a_layer_out_of_range_is_answered_with_both_numbers(name):
    with pytest.raises(ValueError, match=r"block (3\d|40), but the model has 30 blocks, 0 to 29"):
        resolve_layer(name, 30)


@pytest.mark.parametrize(
    "name", ["", "L2", "l/2", "L/0", "L/", "/2", "L/2.5", "-L/2", "L / 2", "15", "L/2\n", "LL"]
)
def test_a_layer_that_is_no_layer_is_refused(name):
    with pytest.raises(ValueError, match="neither a number nor a fraction like L/2"):
        check_layer(name)


def test_a_negative_layer_is_refused():
    with pytest.raises(ValueError, match="layer -1 is negative"):
        check_layer(-1)


def test_layers_are_distinct_and_ascend():
    assert resolve_layers(("2L/3", 15, "L/2", 3), 30) == [3, 15, 20]


@pytest.mark.parametrize(
    ("n_layers", "expected"),
    [
        (30, [7, 11, 15, 18, 22, 26]),
        (4, [1, 2]),
        (2, [0]),
        (1, [0]),
        (80, [20, 30, 40, 50, 60, 70]),
    ],
)
def test_candidates_lie_in_the_middle_and_leave_a_block_above(n_layers, expected):
    assert candidate_layers(n_layers) == expected
