"""Fluency, agreement between scorers, and texts without their prompts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_assets.scoring.agreement import pairwise_agreement
from steer_assets.scoring.fluency import distinct_n, fluency, perplexity, words
from steer_assets.scoring.prompts import strip_prompt


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


def test_agreement_of_orders() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0])
    rows = pairwise_agreement({"b": np.exp(a), "a": a, "c": -a})
    assert [(row.scorer_a, row.scorer_b) for row in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [row.spearman for row in rows] == pytest.approx([1, -1, -1])
    assert [row.same_side for row in rows] == [1, 0, 0]


def test_agreement_errors() -> None:
    with pytest.raises(ValueError, match="scorer b gave all 3 texts"):
        pairwise_agreement({"a": np.arange(3.0), "b": np.ones(3)})
    with pytest.raises(ValueError, match="scorer a has 3 texts, scorer b has 4"):
        pairwise_agreement({"a": np.arange(3.0), "b": np.arange(4.0)})
    with pytest.raises(ValueError, match="2 texts, at least 3"):
        pairwise_agreement({"a": np.arange(2.0), "b": np.arange(2.0)})


def test_strip_prompt() -> None:
    assert strip_prompt("Write a note. Dear Sir", "Write a note. ") == "Dear Sir"
    assert strip_prompt("  Write a note.\nDear Sir\n", "\nWrite a note.") == "Dear Sir"
    assert strip_prompt("Dear Sir", "Write a note.") == "Dear Sir"
    assert strip_prompt("Dear Sir, write. Write.", "Write.") == "Dear Sir, write. Write."
    assert strip_prompt("Dear Sir", "") == "Dear Sir"
