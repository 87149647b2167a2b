from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import transformers as tf

from steer_assets.lm.decoding.decode import Sampling
from steer_assets.lm.errors import InterventionError, PrecisionError
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.texts import gradients
from steer_assets.lm.texts.gradients import GradientText, text_gradients
from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods

from . import reference
from .conftest import _GATED, HIDDEN, VOCAB, cached_build, word_tokenizer

FEW = 20  # tokens of a vocabulary all of whose texts are listed

SAMPLING = Sampling(max_new_tokens=6)
ARM = (Addition(1, 0, 0.3), Addition(3, 1, 0.2))


def test_it_is_the_central_difference_of_the_whole_forward(heads_double, prompts, vectors):
    """By a vector at the last prompt token and every token, at an arm of two blocks."""
    rng = np.random.default_rng(0)
    mixed = [*prompts[:2], [7], prompts[0][::-1]]
    lengths = ((0, 5), (1, 3), (0, 2), (2, 4), (3, 2), (3, 4))  # texts after 0 and 3 share batches
    texts = [GradientText(p, 0, tuple(rng.integers(3, VOCAB, size=n).tolist())) for p, n in lengths]
    found = text_gradients(
        heads_double, mixed, texts, [(1, ARM)], SAMPLING, vectors=vectors, batch_tokens=15
    )
    direction, h = rng.normal(size=HIDDEN), 1e-4
    moved = np.concatenate([vectors, direction[None]])
    for text, gradient in zip(texts, found, strict=True):
        up, down = (
            sum(
                reference.token_log_probabilities(
                    heads_double, mixed[text.prompt], text.ids,
                    (*ARM, Addition(1, len(vectors), sign)), moved, SAMPLING,
                )
            )
            for sign in (h, -h)
        )  # fmt: skip
        assert gradient @ direction == pytest.approx((up - down) / (2 * h), rel=1e-5)


@pytest.fixture(scope="module")
def every_text():
    """All texts of two tokens after one prompt: their probability, gradient and likelihoods."""
    tf.set_seed(3)
    config = tf.LlamaConfig(**{**_GATED, "vocab_size": FEW})
    lm = LanguageModel(tf.AutoModelForCausalLM.from_config(config).double(), word_tokenizer())
    rng = np.random.default_rng(5)
    prompt, v = [1, 5, 9, 14], 0.5 * rng.normal(size=HIDDEN)
    e = rng.normal(size=HIDDEN)
    texts = [(a,) for a in lm.stop_ids] + [
        (a, b) for a in range(FEW) if a not in lm.stop_ids for b in range(FEW)
    ]
    steps = np.stack([v, v + 1e-3 * e, v - 1e-3 * e])
    arms = [(Addition(2, row, 1.0),) for row in range(3)]
    with reference.AllDouble():
        read = text_likelihoods(
            lm, [prompt], [SampledText(0, 0, text, (1, 2)) for text in texts], arms, steps, SAMPLING
        )
        gradients = text_gradients(
            lm, [prompt], [GradientText(0, 0, text) for text in texts], [(2, arms[0])], SAMPLING,
            vectors=steps, batch_tokens=4096,
        )  # fmt: skip
    log_p = np.array([[one[arm].log_p.sum() for arm in range(3)] for one in read])
    return log_p, gradients, e


def test_probabilities_of_all_texts_sum_to_one_and_gradients_to_nothing(every_text):
    log_p, gradients, _ = every_text
    np.testing.assert_allclose(np.exp(log_p).sum(axis=0), 1.0, atol=1e-5)
    mean = np.exp(log_p[:, 0]) @ gradients
    assert np.abs(mean).max() < 1e-5 * np.abs(gradients).max()


def test_the_gradient_of_an_expected_score_is_its_central_difference(every_text):
    log_p, gradients, e = every_text
    score = np.random.default_rng(1).normal(size=len(log_p))
    p, up, down = np.exp(log_p).T
    assert (p * score) @ (gradients @ e) == pytest.approx(score @ (up - down) / 2e-3, rel=1e-3)


def test_the_second_moment_is_the_hessian_of_the_divergence(every_text):
    """Of KL(p || p moved by e), by central differences; its gradient there is zero."""
    log_p, gradients, e = every_text
    p = np.exp(log_p[:, 0])
    kl = [p @ (log_p[:, 0] - log_p[:, arm]) for arm in (1, 2)]
    assert p @ (gradients @ e) ** 2 == pytest.approx(sum(kl) / 1e-6, rel=1e-2)


def test_what_cannot_be_differentiated_is_refused(llama, prompts, vectors):
    texts = [GradientText(0, 0, (5, 6))]
    with pytest.raises(InterventionError, match="below block 2"):
        text_gradients(llama, prompts, texts, [(2, ARM)], SAMPLING, vectors=vectors)
    with pytest.raises(ValueError, match="temperature 0"):
        text_gradients(llama, prompts, texts, [(2, ())], Sampling(2, temperature=0))
    half = cached_build("gpt2")
    before = half.torch_dtype
    try:
        half.torch_dtype = torch.float16
        with pytest.raises(PrecisionError):
            text_gradients(half, prompts, texts, [(2, ())], SAMPLING)
    finally:
        half.torch_dtype = before


def test_points_of_one_arm_share_a_pass_and_have_the_gradients_of_each_alone(
    llama, prompts, monkeypatch
):
    """Unsteered texts at two blocks, one text at one of them only, and one text twice."""
    rng = np.random.default_rng(2)
    ids = [tuple(rng.integers(3, VOCAB, size=n).tolist()) for n in (5, 3, 4)]
    asked = [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1), (0, 1, 2), (0, 0, 0)]
    texts = [GradientText(prompt, point, ids[text]) for prompt, point, text in asked]
    points = [(1, ()), (3, ())]
    passes = []
    own = gradients._gradients
    monkeypatch.setattr(gradients, "_gradients", lambda *args: passes.append(args[2]) or own(*args))
    found = text_gradients(llama, prompts, texts, points, SAMPLING)
    n_lengths = len({len(prompts[0]), len(prompts[1])})
    assert passes == [[1, 3]] * n_lengths
    for text, gradient in zip(texts, found, strict=True):
        alone = text_gradients(
            llama, prompts, [dataclasses.replace(text, point=0)], [points[text.point]], SAMPLING
        )
        np.testing.assert_allclose(gradient, alone[0], rtol=2e-4, atol=1e-6)
    assert np.array_equal(found[0], found[-1])
    assert not np.allclose(found[0], found[1])
