"""The conversion of the embedded model, and the library on what the run has stored of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors import safe_open

from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.decoding.noise import NoiseKey
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.loading.loader import facts, load
from steer_assets.lm.measurements.capture import capture_last
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.lm.measurements.likelihood import log_probabilities
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.lm.tokenizers import read_tokenizer
from tests.e2e.conftest import BLOCKS, MODEL, name_in_run
from tests.lm import reference

pytestmark = pytest.mark.slow
EARLY, MIDDLE, LATE = (len(BLOCKS) * share // 6 for share in (2, 3, 4))
TEXTS = ["Tell me about the sea.", "Write a short, polite email to a colleague.", "Why?"]


@pytest.fixture(scope="module")
def embedded(world):
    return load(world.layout.model(MODEL), device="cpu")


@pytest.fixture(scope="module")
def tokens(embedded):
    return embedded.encode(TEXTS)


@pytest.fixture(scope="module")
def table(embedded, tokens):
    states = capture_last(embedded, tokens, [MIDDLE])[MIDDLE]
    return np.stack([states[0] - states[1], states[2] - states[1]])


ARMS = [(), (Addition(MIDDLE, 0, 1.0),), (Addition(EARLY, 1, 0.5), Addition(LATE, 0, -0.5))]


def test_facts_of_the_conversion(whole):
    found = facts(whole)
    assert (found.n_layers, found.hidden_size, found.vocab_size) == (30, 576, 49152)
    assert (found.n_parameters, found.dtype) == (134_515_008, "float32")
    assert "quantization_config" not in (whole / "config.json").read_text()
    assert read_tokenizer(whole).chat_template


def test_the_run_is_on_blocks_of_the_model(whole, world):
    """All of them in full; each tensor of the run's model is one of the whole model's."""
    folder = world.layout.model(MODEL)
    assert facts(folder).n_layers == len(BLOCKS)
    with (
        safe_open(whole / "model.safetensors", "pt") as all_of_it,
        safe_open(folder / "model.safetensors", "pt") as own,
    ):
        named = {name_in_run(name): name for name in all_of_it.keys()}  # noqa: SIM118
        assert set(own.keys()) == named.keys() - {""}
        for name in own.keys():  # noqa: SIM118
            assert torch.equal(own.get_tensor(name), all_of_it.get_tensor(named[name])), name


def test_capture_equals_output_hidden_states(embedded, tokens):
    layers = [0, MIDDLE, len(BLOCKS) - 2]
    found = capture_last(embedded, tokens, layers)
    for row, prompt in enumerate(tokens):
        with torch.no_grad():
            hidden = embedded.model(torch.tensor([prompt]), output_hidden_states=True).hidden_states
        for layer in layers:
            expected = hidden[layer + 1][0, -1].numpy()
            # Residual norms reach thousands at late blocks; the bound is relative to them.
            assert np.abs(found[layer][row] - expected).max() < 1e-5 * np.abs(expected).max() + 1e-4


def test_logits_equal_the_plain_forward(embedded, tokens, table):
    for index, found in next_token_logits(embedded, tokens[1:], ARMS, table):
        for arm, logits in zip(ARMS, found, strict=True):
            expected = reference.last_logits(embedded, tokens[1:][index], arm, table)
            assert np.abs(logits - expected).max() < 2e-4


def test_sampled_tokens_equal_whole_forwards(embedded, tokens, table):
    sampling = Sampling(max_new_tokens=5, n_samples=1, seed=4)
    rows = generate(embedded, tokens, ARMS, table, sampling, prompt_keys=TEXTS)
    for row in rows[1::5]:
        key = NoiseKey.of(4, TEXTS[row.prompt], row.sample)
        prompt, text = tokens[row.prompt], row.token_ids
        expected = reference.drawn(embedded, prompt, text, ARMS[row.arm], table, sampling, key)
        assert text == expected


def test_log_probabilities_are_those_of_teacher_forcing(embedded, tokens, table):
    for sampling in (Sampling(6, seed=4), Sampling(6, temperature=1.2, top_p=0.9, seed=4)):
        rows = generate(embedded, tokens, ARMS, table, sampling, prompt_keys=TEXTS)
        for row in rows[::4]:
            each = reference.token_log_probabilities(
                embedded, tokens[row.prompt], row.token_ids, ARMS[row.arm], table, sampling
            )
            assert row.log_probability == pytest.approx(sum(each), abs=1e-3)
            assert row.least_token_log_probability == pytest.approx(min(each), abs=1e-3)


def test_log_probabilities_agree_with_likelihood(embedded, tokens, table):
    rows = generate(embedded, tokens, [()], table, Sampling(16, 1, 1.0, seed=4))
    texts = [(row.prompt, row.token_ids) for row in rows]
    for row, each in zip(rows, log_probabilities(embedded, tokens, texts), strict=True):
        assert row.log_probability == pytest.approx(each.sum(), abs=1e-3)


def test_greedy_equals_transformers_generate(embedded, tokens, table):
    (row,) = generate(embedded, tokens[:1], [()], table, Sampling(12, temperature=0.0))
    prompt = torch.tensor(tokens[:1])
    ids = embedded.model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False
    )
    assert row.token_ids == ids[0, prompt.shape[1] :].tolist()
    assert row.text == embedded.tokenizer.decode(row.token_ids, skip_special_tokens=True)


def test_forms_equal_finite_differences_and_the_measured_kl(embedded, tokens, table):
    """Along one direction, in float64 arithmetic of the float32 weights."""
    (forms,) = prompt_forms(embedded, tokens[:1], [MIDDLE])
    direction = table[0] / np.linalg.norm(table[0])
    embedded.model.double()
    try:
        move = direction[None].astype(np.float64)
        with reference.AllDouble():
            plus, minus, plain = (
                reference.last_logits(embedded, tokens[0], (Addition(MIDDLE, 0, step),), move)
                for step in (1e-3, -1e-3, 0.0)
            )
    finally:
        embedded.model.float()
    squared = float(np.square((plus - minus) / 2e-3).sum())
    assert direction @ forms.jacobian_gram[MIDDLE] @ direction == pytest.approx(squared, rel=1e-4)
    log_p, log_q = (x - np.logaddexp.reduce(x) for x in (plain, plus))
    kl = float(np.sum(np.exp(log_p) * (log_p - log_q)))
    assert 0.5e-6 * direction @ forms.fisher[MIDDLE] @ direction == pytest.approx(kl, rel=1e-2)
