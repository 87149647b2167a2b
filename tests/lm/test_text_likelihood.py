from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.decoding.sampling import log_distribution
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods

from . import reference

ARMS = [
    (),
    (Addition(1, 0, 0.3),),
    (Addition(2, 1, 0.3),),
    (Addition(1, 0, 0.3), Addition(3, 2, 0.2)),
]
EVERY = tuple(range(len(ARMS)))
SAMPLING = Sampling(max_new_tokens=6, n_samples=1, seed=3)


def _texts(lm, prompts, vectors, sampling=SAMPLING, arms=ARMS):
    made = generate(lm, prompts, arms, vectors, sampling)
    return made, [
        SampledText(t.prompt, t.arm, tuple(t.token_ids), EVERY[: len(arms)]) for t in made
    ]


def _distributions(lm, prompt, text, arm, vectors, sampling):
    tokens = [*prompt, *text]
    logits, _ = reference.forward(lm, tokens, arm, vectors, len(prompt) - 1)
    at = range(len(prompt) - 1, len(tokens) - 1)
    return np.stack([reference.sampled_from(logits[i], sampling) for i in at])


def test_a_reading_is_that_of_the_whole_forward(heads, prompts, vectors):
    """Of every token under every arm: its log-probability, and its distribution's divergence."""
    _compare(heads, prompts, vectors, 1.0)


def test_so_it_is_in_the_nucleus(llama, prompts, vectors):
    """Where the nuclei of two arms differ, a divergence may be infinite."""
    found = _compare(llama, prompts, vectors, 0.8)
    assert any(np.isinf(reading.kl).any() for one in found for reading in one.values())


def _compare(tiny, prompts, vectors, top_p):
    mixed = [*prompts[:3], [7]]  # a one-token prompt has no prefix
    sampling = dataclasses.replace(SAMPLING, top_p=top_p)
    made, texts = _texts(tiny, mixed, vectors, sampling)
    found = text_likelihoods(tiny, mixed, texts, ARMS, vectors, sampling, batch_tokens=20)
    for text, own, readings in zip(texts[::3], made[::3], found[::3], strict=True):
        by_arm = [
            _distributions(tiny, mixed[text.prompt], text.ids, arm, vectors, sampling)
            for arm in ARMS
        ]
        p = by_arm[text.arm]
        for arm, q in enumerate(by_arm):
            with np.errstate(divide="ignore", invalid="ignore"):
                log_q = np.log(q[range(len(text.ids)), text.ids])
                kl = np.where(p > 0, p * np.log(p / q), 0.0).sum(axis=1)
            np.testing.assert_allclose(readings[arm].log_p, log_q, atol=2e-4)
            np.testing.assert_allclose(readings[arm].kl, kl, atol=2e-4, rtol=1e-4)
        assert readings[text.arm].log_p.sum() == pytest.approx(own.log_probability, abs=1e-3)
        assert (readings[text.arm].kl == 0).all()
    return found


def test_a_small_divergence_keeps_its_digits(llama, prompts, vectors):
    """Of second order in the step: a hundredth of the step, a ten-thousandth of the divergence."""
    arms = [(), (Addition(2, 0, 1e-2),), (Addition(2, 0, 1e-4),)]
    texts = [SampledText(0, 0, (5, 9, 11), (1, 2))]
    (found,) = text_likelihoods(llama, prompts, texts, arms, vectors, SAMPLING)
    assert (found[1].kl < 1e-3).all()
    np.testing.assert_allclose(found[2].kl / found[1].kl, 1e-4, rtol=0.1)


def test_the_order_and_the_batch_do_not_matter(llama, prompts, vectors):
    _, texts = _texts(llama, prompts, vectors)
    one = text_likelihoods(llama, prompts, texts, ARMS, vectors, SAMPLING, batch_tokens=1)
    other = text_likelihoods(llama, prompts, texts[::-1] * 2, ARMS, vectors, SAMPLING)
    for a, b, again in zip(one, other[: len(texts)][::-1], other[len(texts) :][::-1], strict=True):
        for arm in EVERY:
            np.testing.assert_allclose(a[arm].log_p, b[arm].log_p, atol=1e-4)
            np.testing.assert_array_equal(b[arm].log_p, again[arm].log_p)


def test_a_greedy_text_has_no_probability(llama, prompts, vectors):
    greedy = Sampling(max_new_tokens=2, temperature=0)
    with pytest.raises(ValueError, match="temperature 0"):
        text_likelihoods(llama, prompts, [], ARMS, vectors, greedy)
    with pytest.raises(ValueError, match="temperature 0"):
        log_distribution(torch.zeros(1, 5), 0.0, 1.0)
