from __future__ import annotations

import pytest
import torch

from steer_assets.lm.decoding.sampling import Sampling
from steer_assets.lm.texts.vocabulary import FinalStates, Logits, in_parts, slopes, totals_and_means

from .conftest import HIDDEN, cached_build

T = 0.7
ALL = Sampling(1, temperature=T)


@pytest.mark.parametrize(
    ("name", "plain"), [("llama", True), ("gpt2", True), ("gemma2", False), ("granite", False)]
)
def test_a_head_that_caps_or_scales_gives_whole_logits(name, plain):
    assert in_parts(cached_build(name), ALL) is plain


def test_a_nucleus_is_found_in_whole_rows(llama):
    assert not in_parts(llama, Sampling(1, top_p=0.9))


@pytest.fixture
def narrow(monkeypatch):
    """The vocabulary in seven parts, the last one shorter than the others."""
    monkeypatch.setattr("steer_assets.lm.texts.vocabulary._width", lambda _n: 16)


def _states(lm, n, scale=8.0):
    generator = torch.Generator().manual_seed(2)
    states = scale * torch.randn((n, HIDDEN), generator=generator)
    return states, torch.nn.functional.linear(states, lm.layout.head.weight) / T


@pytest.mark.usefixtures("narrow")
def test_sums_by_parts_are_those_of_whole_rows(llama):
    """Two texts: of two tokens under three arms, and of one token under its own alone."""
    states, scores = _states(llama, 7)
    assert float(scores.max() - scores.min()) > 50  # so that the highest score moves between parts
    blocks = [(0, 2, 3), (6, 1, 1)]
    log_p = scores.double().log_softmax(dim=1)
    apart = scores.double() - scores.double()[[0, 1, 0, 1, 0, 1, 6]]
    expected = (log_p[[0, 1, 0, 1, 0, 1, 6]].exp() * apart).sum(dim=1)
    for source in (FinalStates(llama, states, T), Logits(T * scores, T)):
        total, mean = totals_and_means(source, blocks, 7, states.device)
        torch.testing.assert_close(total, scores.double().logsumexp(dim=1), rtol=1e-6, atol=1e-5)
        torch.testing.assert_close(mean, expected, rtol=1e-5, atol=1e-5)
        targets = torch.arange(7)
        torch.testing.assert_close(
            source.at(targets), scores[targets, targets], rtol=1e-5, atol=1e-4
        )


@pytest.mark.usefixtures("narrow")
def test_the_slope_by_parts_is_that_of_automatic_differentiation(llama):
    states, _ = _states(llama, 5, scale=1.0)
    targets = torch.tensor([3, 99, 16, 15, 0])
    leaf = states.clone().requires_grad_()
    logits = torch.nn.functional.linear(leaf, llama.layout.head.weight) / T
    logits.log_softmax(dim=1).gather(1, targets[:, None]).sum().backward()
    torch.testing.assert_close(slopes(llama, states, targets, T), leaf.grad, rtol=1e-4, atol=1e-5)
