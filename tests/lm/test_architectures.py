"""Every block kind: a complete pass that equals plain forwards, or one sentence that names it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.decoding.noise import NoiseKey
from steer_assets.lm.errors import UnknownLayoutError
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.forward.stepping import way_of
from steer_assets.lm.measurements.capture import capture_last
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.lm.measurements.likelihood import log_probabilities
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.lm.measurements.pushforward import fisher_along
from steer_assets.lm.model import LanguageModel
from tests.sizes import in_full

from . import reference
from .architectures import CONFIGS, REFUSED, build
from .conftest import HIDDEN

ARMS = [(), (Addition(1, 0, 1.0),), (Addition(0, 1, -1.0), Addition(3, 2, 0.5))]
SAMPLED = Sampling(max_new_tokens=5, temperature=0.8, seed=11)


#: Seconds each; other hybrids of the same blocks are tried by `make test`.
SLOW = {"zamba2", "bamba", "falcon_h1", "granitemoehybrid"}
TRIED = [in_full(name) if name in SLOW else name for name in CONFIGS if name not in REFUSED]
#: One of every way to mix tokens; `make test` compares next tokens and states of all others too.
KINDS = {
    *("bloom", "gptj", "gpt_neo", "olmo2", "cohere2", "smollm3", "gpt_oss", "deepseek_v3"),
    *("mamba", "mamba2", "rwkv", "recurrent_gemma", "jamba", "lfm2", "qwen3_next"),
    *("gemma4", "gemma4_shared"),
}


@pytest.fixture(params=TRIED)
def every(request: pytest.FixtureRequest) -> LanguageModel:
    return build(request.param)


@pytest.fixture(params=[n if n in KINDS else in_full(n) for n in CONFIGS if n not in REFUSED])
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return build(request.param)


@pytest.mark.parametrize(("name", "block"), REFUSED.items())
def test_a_block_kind_that_cannot_run_is_named_in_one_sentence(name, block):
    with pytest.raises(UnknownLayoutError, match=block) as refusal:
        build(name)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_texts_equal_those_of_plain_forwards(lm, prompts, vectors):
    mixed = [*prompts[:3], [7]]
    keys = [f"prompt {i}" for i in range(len(mixed))]
    found = generate(lm, mixed, ARMS, vectors, SAMPLED, prompt_keys=keys)
    for row in (*found[::4], found[-1]):
        key = NoiseKey.of(SAMPLED.seed, keys[row.prompt], row.sample)
        arm = ARMS[row.arm]
        assert row.token_ids == reference.drawn(
            lm, mixed[row.prompt], row.token_ids, arm, vectors, SAMPLED, key
        )


def test_logits_and_states_equal_those_of_plain_forwards(every, prompts, vectors):
    mixed = [*prompts[:2], [7]]
    found = [logits for _, logits in next_token_logits(every, mixed, ARMS, vectors)]
    expected = [[reference.last_logits(every, p, arm, vectors) for arm in ARMS] for p in mixed]
    scale = 1 + np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=2e-4 * scale)
    states = capture_last(every, mixed, [0, 2, 3])
    for index, prompt in enumerate(mixed):
        outputs = reference.forward(every, prompt, (), vectors, 0)[1]
        for layer, values in states.items():
            own = outputs[layer][-1].numpy()
            np.testing.assert_allclose(values[index], own, atol=2e-4 * (1 + np.abs(own).max()))


def test_likelihood_equals_that_of_plain_forwards(lm, prompts, vectors):
    texts = [(0, [5, 9, 3]), (0, [4]), (1, [8, 8])]
    found = log_probabilities(lm, prompts, texts)
    for (prompt, ids), values in zip(texts, found, strict=True):
        whole = reference.forward(lm, [*prompts[prompt], *ids], (), vectors, 0)[0]
        at = torch.log_softmax(whole.double(), dim=-1)[len(prompts[prompt]) - 1 : -1]
        np.testing.assert_allclose(values, at[range(len(ids)), ids].numpy(), atol=1e-3)


def test_fisher_form_is_the_curvature_of_the_divergence(lm, prompts):
    """Forward mode, backward mode and the measured KL of a small step agree."""
    layer, prompt = 2, prompts[1]
    step = np.random.default_rng(5).normal(size=(1, HIDDEN))
    (form,) = prompt_forms(lm, [prompt], [layer])
    quadratic = float(step[0] @ form.fisher[layer] @ step[0])
    ((_, along),) = fisher_along(lm, [prompt], layer, step)
    assert along[0] == pytest.approx(quadratic, rel=2e-3)
    size = np.sqrt(1e-4 / quadratic)  # so small that the third order does not count
    arms = [(), (Addition(layer, 0, size),), (Addition(layer, 0, -size),)]
    logits = [reference.last_logits(lm, prompt, arm, step) for arm in arms]
    p, *moved = (torch.log_softmax(torch.from_numpy(z).double(), dim=-1) for z in logits)
    kl = np.mean([float((p.exp() * (p - q)).sum()) for q in moved])
    assert kl == pytest.approx(0.5 * quadratic * size**2, rel=0.05)


def test_the_way_is_no_accident():
    """Fast where attention is plain; states where a cache is kept; whole where modules keep it."""
    found = {name: way_of(build(name)) for name in ("olmo2", "gemma4", "mamba", "recurrent_gemma")}
    assert found == {
        "olmo2": "shared",
        "gemma4": "shared",
        "mamba": "states",
        "recurrent_gemma": "whole",
    }
