from __future__ import annotations

import numpy as np
import pytest
import torch

from steer_assets.lm.decoding import batch
from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.decoding.noise import NoiseKey, exponentials
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.measurements.likelihood import log_probabilities
from tests.sizes import FULL, in_full

from . import reference

ARMS = [(), (Addition(1, 0, 1.0),), (Addition(0, 1, -1.0), Addition(3, 2, 0.5))]
N_TOKENS = 10 if FULL else 6
SAMPLED = Sampling(max_new_tokens=N_TOKENS, n_samples=2, temperature=0.8, seed=11)


def _key(row):
    return row.prompt, row.arm, row.sample


def test_a_row_of_a_mixed_batch_equals_the_row_alone(tiny, prompts, vectors):
    """Sampled tokens equal those of a whole forward, one row at a time, and a float64 race."""
    keys = [f"prompt {i}" for i in range(len(prompts))]
    found = generate(tiny, prompts, ARMS, vectors, SAMPLED, prompt_keys=keys)
    assert [_key(row) for row in found] == sorted(_key(row) for row in found)
    for row in found[::5]:
        key = NoiseKey.of(SAMPLED.seed, keys[row.prompt], row.sample)
        assert row.token_ids == reference.drawn(
            tiny, prompts[row.prompt], row.token_ids, ARMS[row.arm], vectors, SAMPLED, key
        )
        assert row.seed == key.seed


def test_greedy_equals_transformers_generate(few, prompts, vectors):
    greedy = Sampling(max_new_tokens=8, temperature=0.0)
    for row in generate(few, prompts, [()], vectors, greedy):
        prompt = torch.tensor([prompts[row.prompt]])
        ids = few.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=sorted(few.stop_ids),
            pad_token_id=0,
        )
        assert row.token_ids == ids[0, prompt.shape[1] :].tolist()


@pytest.mark.parametrize(
    ("temperature", "top_p"),
    [(0.8, 1.0), in_full(1.0, 1.0), (1.7, 0.9), in_full(0.6, 0.3), (0.0, 1.0)],
)
def test_log_probabilities_are_those_of_teacher_forcing(few, prompts, vectors, temperature, top_p):
    """The sampler's distribution, by whole forwards over prompt and text, each token in float64."""
    sampling = Sampling(max_new_tokens=N_TOKENS, temperature=temperature, top_p=top_p, seed=5)
    for row in generate(few, prompts, ARMS, vectors, sampling):
        each = reference.token_log_probabilities(
            few, prompts[row.prompt], row.token_ids, ARMS[row.arm], vectors, sampling
        )
        assert row.log_probability == pytest.approx(sum(each), abs=1e-3)
        assert row.least_token_log_probability == pytest.approx(min(each), abs=1e-3)
        assert each[row.least_token] == pytest.approx(min(each), abs=1e-3)


def test_noise_that_is_0_shows_in_the_least_likely_token(llama, prompts, vectors, monkeypatch):
    """Where probabilities are peaked, one 0 among the noise writes a token that says so itself."""
    peaked = Sampling(max_new_tokens=6, temperature=0.02, seed=5)
    sound = generate(llama, prompts, ARMS, vectors, peaked)
    assert min(row.least_token_log_probability for row in sound) >= -25

    def with_a_zero(keys, step, size):
        noise = exponentials(keys, step, size)
        if step == 3:
            noise[:, 7] = 0.0
        return noise

    monkeypatch.setattr(batch, "exponentials", with_a_zero)
    forced = generate(llama, prompts, ARMS, vectors, peaked)
    seen = [row for row in forced if len(row.token_ids) > 3]
    assert all(row.token_ids[3] == 7 for row in seen)
    below = [row for row in seen if row.least_token_log_probability < -25]
    assert len(below) > len(seen) / 2
    assert {row.least_token for row in below} == {3}


def test_log_probabilities_agree_with_likelihood(few, prompts, vectors):
    """Unsteered at temperature 1 they are what `likelihood` says of the same tokens."""
    for sampling in (Sampling(12, 2, 1.0, seed=3), Sampling(12, temperature=0.0)):
        rows = generate(few, prompts, [()], vectors, sampling)
        texts = [(row.prompt, row.token_ids) for row in rows]
        for row, each in zip(rows, log_probabilities(few, prompts, texts), strict=True):
            assert row.log_probability == pytest.approx(each.sum(), abs=1e-3)
            assert row.least_token_log_probability == pytest.approx(each.min(), abs=1e-3)
            assert len(each) == len(row.token_ids)


@pytest.mark.parametrize("batch_rows", [in_full(4), 7])
def test_batches_do_not_change_tokens(few, prompts, vectors, batch_rows):
    whole = generate(few, prompts, ARMS, vectors, SAMPLED)
    reference.same_texts(
        generate(few, prompts, ARMS, vectors, SAMPLED, batch_rows=batch_rows), whole
    )


@pytest.mark.parametrize("way", ["states", "whole"])
def test_every_way_of_running_rows_gives_the_same_tokens(few, prompts, vectors, monkeypatch, way):
    shared = generate(few, prompts, ARMS, vectors, SAMPLED)
    monkeypatch.setattr(few, "_way", way, raising=False)
    reference.same_texts(generate(few, prompts, ARMS, vectors, SAMPLED), shared)


def test_arms_of_a_prompt_and_sample_share_their_noise(llama, prompts, vectors):
    twice = [(Addition(1, 0, 1.0),), (Addition(1, 0, 1.0),)]
    rows = generate(llama, prompts, twice, vectors, SAMPLED)
    by_arm = [[r for r in rows if r.arm == arm] for arm in (0, 1)]
    assert [r.token_ids for r in by_arm[0]] == [r.token_ids for r in by_arm[1]]
    assert [r.seed for r in by_arm[0]] == [r.seed for r in by_arm[1]]
    assert len({r.seed for r in rows}) == len(prompts) * SAMPLED.n_samples
    assert len({tuple(r.token_ids) for r in rows if r.prompt == 0}) > 1


def test_a_prompt_keeps_its_noise_in_other_company(llama, prompts, vectors):
    whole = generate(llama, prompts, ARMS, vectors, SAMPLED)
    alone = generate(llama, prompts[2:3], ARMS[2:], vectors, SAMPLED)
    assert [r.token_ids for r in alone] == [
        r.token_ids for r in whole if (r.prompt, r.arm) == (2, 2)
    ]


def test_pairs_limit_the_rows(llama, prompts, vectors):
    pairs = [(3, 2), (0, 1), (3, 2)]
    whole = {_key(r): r for r in generate(llama, prompts, ARMS, vectors, SAMPLED)}
    rows = generate(llama, prompts, ARMS, vectors, SAMPLED, pairs=pairs)
    assert [_key(r) for r in rows] == [(0, 1, 0), (0, 1, 1), (3, 2, 0), (3, 2, 1)]
    reference.same_texts(rows, [whole[_key(r)] for r in rows])


def test_rows_stop_at_the_stop_token(llama, prompts, vectors, monkeypatch):
    free = generate(llama, prompts, ARMS, vectors, SAMPLED)
    common = max(range(101), key=lambda t: sum(t in r.token_ids[:-1] for r in free))
    monkeypatch.setattr(llama, "stop_ids", llama.stop_ids | {common})
    rows = generate(llama, prompts, ARMS, vectors, SAMPLED)
    stopped = [r for r in rows if r.finish_reason == "stop"]
    assert stopped
    assert len(stopped) < len(rows)
    for row, whole in zip(rows, free, strict=True):
        if common in whole.token_ids:
            end = whole.token_ids.index(common) + 1
            assert (row.token_ids, row.finish_reason) == (whole.token_ids[:end], "stop")
            assert row.text.split() == [f"w{t}" for t in whole.token_ids[: end - 1] if t > 2]
        else:
            reference.same_texts([row], [whole])


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95])
def test_nucleus_sampling_equals_a_sorted_one(llama, prompts, vectors, top_p):
    sampling = Sampling(max_new_tokens=6, temperature=1.3, top_p=top_p, seed=2)
    keys = [str(i) for i in range(len(prompts))]
    for row in generate(llama, prompts, ARMS, vectors, sampling, prompt_keys=keys):
        key = NoiseKey.of(2, keys[row.prompt], 0)
        assert row.token_ids == reference.drawn(
            llama, prompts[row.prompt], row.token_ids, ARMS[row.arm], vectors, sampling, key
        )


def test_the_same_call_gives_the_same_rows_and_another_seed_others(llama, prompts, vectors):
    once = generate(llama, prompts, ARMS, vectors, SAMPLED)
    assert once == generate(llama, prompts, ARMS, vectors, SAMPLED)
    other = Sampling(max_new_tokens=N_TOKENS, n_samples=2, temperature=0.8, seed=12)
    assert [r.token_ids for r in once] != [
        r.token_ids for r in generate(llama, prompts, ARMS, vectors, other)
    ]


def test_half_precision_runs(llama, prompts, vectors):
    from .conftest import build

    for dtype in (torch.bfloat16, torch.float16):
        half = build("llama")
        half.__init__(half.model.to(dtype), half.tokenizer)
        rows = generate(half, prompts, ARMS, vectors, SAMPLED)
        assert len(rows) == len(prompts) * len(ARMS) * 2
        assert all(row.token_ids for row in rows)


def test_progress_ends_complete(llama, prompts, vectors):
    seen = []
    generate(llama, prompts, ARMS, vectors, SAMPLED, on_progress=seen.append, batch_rows=7)
    assert {report.unit for report in seen} == {"tokens"}
    assert seen[-1].done == seen[-1].total == len(prompts) * len(ARMS) * 2 * N_TOKENS
    assert [report.done for report in seen] == sorted(report.done for report in seen)
    assert seen[-1].tokens_per_second > 0


@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 0},
        {"max_new_tokens": 1, "temperature": -1.0},
        {"max_new_tokens": 1, "top_p": 0.0},
        {"max_new_tokens": 1, "seed": -1},
    ],
)
def test_bad_sampling_is_refused(options):
    with pytest.raises(ValueError, match="must be at least"):
        Sampling(**options)


def test_bad_pairs_and_keys_are_refused(llama, prompts, vectors):
    with pytest.raises(ValueError, match=r"pair \(9, 0\) is outside 5 prompts and 3 arms"):
        generate(llama, prompts, ARMS, vectors, SAMPLED, pairs=[(9, 0)])
    with pytest.raises(ValueError, match="1 prompt keys for 5 prompts"):
        generate(llama, prompts, ARMS, vectors, SAMPLED, prompt_keys=["a"])


def test_nothing_to_generate_gives_nothing(llama, vectors):
    assert generate(llama, [], ARMS, vectors, SAMPLED) == []
    assert generate(llama, [[3]], ARMS, np.zeros((3, 32)), SAMPLED, pairs=[]) == []
