"""Fluency."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_assets.scoring.fluency import distinct_n, fluency, perplexity, words


def test_words() -> None:
    assert words("Don't stop, NOW!") == ["don't", "stop", ",", "now", "!"]


def test_distinct_n_by_hand() -> None:
    tokens = list("ababa")
    assert [distinct_n(tokens, n) for n in (1, 2, 3, 6)] == [2 / 5, 2 / 4, 2 / 3, 1.0]
    with pytest.raises(ValueError, match="n is 0"):
        distinct_n(tokens, 0)


def test_repetition_tells_a_loop_from_language() -> None:
    loop = fluency("the cat the cat the cat the cat the cat the cat")
    plain = fluency("the cat sat on the mat and looked at the dog in the garden")
    assert loop.repetition > 0.9
    assert plain.repetition == 0
    assert plain.distinct_1 == pytest.approx(11 / 14)
    assert fluency("").repetition == 0
    assert fluency("").n_words == 0


@given(st.text(max_size=80))
def test_fluency_is_within_bounds(text: str) -> None:
    value = fluency(text)
    assert 0 <= value.repetition < 1
    assert 0 < min(value.distinct_1, value.distinct_2, value.distinct_3) <= 1


def test_perplexity_of_a_uniform_model_is_its_vocabulary() -> None:
    assert perplexity([math.log(1 / 50)] * 7) == pytest.approx(50)
    assert perplexity([0.0]) == 1.0


@pytest.mark.parametrize("values", [[], [math.nan], [-math.inf], [0.5]])
def test_perplexity_refuses(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no tokens|log-probabilities"):
        perplexity(values)
