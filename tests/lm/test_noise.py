from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from steer_assets.lm.decoding.noise import NoiseKey, exponentials
from steer_assets.lm.decoding.sampling import greedy, nucleus, race
from tests.sizes import FULL

#: Where float32 draws of NumPy's ziggurat, with which noise was once made, are exactly 0.
ZEROS_OF_THE_ZIGGURAT = [(20, 48764), (28, 148596), (112, 63718), (202, 82511)]
VOCABULARY = 152_000


def test_noise_depends_on_its_key_and_step_only():
    keys = [NoiseKey.of(0, "a", 0), NoiseKey.of(0, "b", 0), NoiseKey.of(0, "a", 1)]
    together = exponentials(keys, 5, 1000)
    for row, key in enumerate(keys):
        assert np.array_equal(exponentials([key], 5, 1000)[0], together[row])
        assert not np.array_equal(exponentials([key], 6, 1000)[0], together[row])
    assert len({row.tobytes() for row in together}) == 3


def test_noise_is_standard_exponential_and_independent_over_steps():
    key = NoiseKey.of(3, "prompt", 0)
    first, second = exponentials([key], 0, 50_000)[0], exponentials([key], 1, 50_000)[0]
    assert stats.kstest(first, "expon").pvalue > 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


def _ziggurat(key: NoiseKey, step: int) -> np.ndarray:
    counter = np.array([0, 0, 0, step], dtype=np.uint64)
    bits = np.random.Philox(key=np.array(key.words, dtype=np.uint64), counter=counter)
    return np.random.Generator(bits).standard_exponential(VOCABULARY, dtype=np.float32)


@pytest.mark.parametrize(("step", "token"), ZEROS_OF_THE_ZIGGURAT)
def test_no_token_is_forced_where_the_ziggurat_gives_0(step, token):
    """A token at minus 200 nats, at the step at which noise from a ziggurat would write it."""
    key = NoiseKey.of(0, "prompt", 0)
    logits = torch.zeros(1, VOCABULARY)
    logits[0, token] = -200.0
    with np.errstate(divide="ignore"):
        forced = torch.from_numpy(-np.log(_ziggurat(key, step)))[None]
    assert race(logits, forced, torch.tensor([0]), 1.0, 1.0).tokens.item() == token
    noise = exponentials([key], step, VOCABULARY)
    assert (noise > 0).all()
    drawn = race(logits, torch.from_numpy(-np.log(noise)), torch.tensor([0]), 1.0, 1.0)
    assert drawn.tokens.item() != token
    assert drawn.log_p.item() == pytest.approx(-np.log(VOCABULARY), abs=1e-5)


def test_noise_is_never_0_and_exponential_far_down_its_lower_tail():
    """Counts in octaves of the lower tail, from E < 2^-8 to the smallest that so many draws reach.

    A lattice of step 2^-23, or an atom at 0, shows in the octaves below 2^-20.
    """
    n = 10**8 if FULL else 4 * 10**6
    edges = 2.0 ** -np.arange(60, 7, -1)
    counts, smallest, done = np.zeros(len(edges) - 1), np.inf, 0
    for step in range(-(-n // 10**6)):
        draws = exponentials([NoiseKey.of(1, "tail", 0)], step, 10**6)[0]
        counts += np.histogram(draws, edges)[0]
        smallest = min(smallest, float(draws.min()))
        assert np.isfinite(draws).all()
        done += len(draws)
    assert smallest > 0
    expected = done * np.diff(-np.expm1(-edges))
    many = expected >= 5
    observed = np.append(counts[many], counts[~many].sum())
    expected = np.append(expected[many], expected[~many].sum())
    assert 2.0 ** -(np.log2(done) + 6) < smallest < 2.0 ** -(np.log2(done) - 6)
    assert stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(observed)) > 1e-3
    # Finer than powers of two: within the octaves, by the fraction that is not 0.
    low = draws[draws < 2.0**-9]
    assert stats.kstest(low, stats.truncexpon(2.0**-9).cdf).pvalue > 1e-3


class _Bits:
    """A generator of random bits that are all one number."""

    def __init__(self, bits: int) -> None:
        self._bits = bits

    def integers(self, low: int, high: int, size: int, dtype: type) -> np.ndarray:
        return np.full(size, self._bits, dtype=dtype)

    def random(self, size: int) -> np.ndarray:
        return np.zeros(size)


@pytest.mark.parametrize("bits", [0, 1, 4095, 4096, 2**31, 2**32 - 1])
def test_the_most_extreme_bits_give_positive_finite_noise(bits, monkeypatch):
    monkeypatch.setattr("steer_assets.lm.decoding.noise._stream", lambda *_: _Bits(bits))
    noise = exponentials([NoiseKey.of(0, "a", 0)], 0, 33)
    assert (noise > 0).all()
    assert np.isfinite(noise).all()
    assert np.isfinite(np.log(noise)).all()
    exact = -np.log1p(-np.longdouble(bits + (0.5 if bits >= 4096 else 2.0**-54)) / 2**32)
    np.testing.assert_allclose(noise.astype(float), min(float(exact), 24 * np.log(2)), rtol=1e-6)


def test_the_race_draws_from_the_softmax():
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0])
    n = 40_000 if FULL else 10_000
    noise = np.random.default_rng(0).standard_exponential((n, 4)).astype(np.float32)
    drawn = race(logits.expand(n, 4), torch.from_numpy(-np.log(noise)), torch.arange(n), 0.7, 1.0)
    log_p = torch.log_softmax(logits.double() / 0.7, 0)
    counts = np.bincount(drawn.tokens.numpy(), minlength=4)
    assert stats.chisquare(counts, n * log_p.exp().numpy()).pvalue > 1e-3
    np.testing.assert_allclose(drawn.log_p, log_p[drawn.tokens], atol=1e-6)


@pytest.mark.parametrize("p", [1e-4, 1e-6])
def test_rare_tokens_win_as_often_as_their_probability_says(p):
    """One likely token before thousands of the same small probability: they win n V p times."""
    size, n = 50_000, 10_000 if FULL else 500
    rare = min(size - 1, int(0.2 / p))
    logits = torch.full((1, size), -1e9)
    logits[0, :rare], logits[0, -1] = np.log(p), np.log1p(-rare * p)
    won, at = 0, torch.tensor([0])
    for step in range(n):
        noise = exponentials([NoiseKey.of(2, "rare", 0)], step, size)
        token = race(logits, torch.from_numpy(-np.log(noise)), at, 1.0, 1.0).tokens.item()
        assert token < rare or token == size - 1
        won += token < rare
    assert stats.binomtest(won, n, rare * p).pvalue > 1e-3


def test_is_a_sampled_text_language():
    """A peaked vocabulary of 152k: no token under e^-25, which noise that is 0 would write.

    By noise from a ziggurat 1.8 % of the steps would be such tokens.
    """
    n = 20_000 if FULL else 300
    logits = torch.full((1, VOCABULARY), -40.0)
    logits[0, :20] = -0.5 * torch.arange(20)
    log_p = torch.log_softmax(logits.double(), -1)[0]
    assert log_p[20:].exp().sum() < 1e-11
    at, counts = torch.tensor([0]), np.zeros(VOCABULARY, dtype=int)
    for step in range(n):
        noise = exponentials([NoiseKey.of(4, "language", 0)], step, VOCABULARY)
        drawn = race(logits, torch.from_numpy(-np.log(noise)), at, 1.0, 1.0)
        counts[drawn.tokens.item()] += 1
        assert drawn.log_p.item() >= -25
    assert counts[20:].sum() == 0
    expected = n * log_p.exp().numpy()
    likely = expected >= 5
    assert stats.chisquare(
        np.append(counts[likely], counts[~likely].sum()),
        np.append(expected[likely], expected[~likely].sum()),
    ).pvalue > 1e-3  # fmt: skip


ADVERSARIAL = {
    "plus infinity outside": np.inf,
    "minus infinity everywhere": -np.inf,
    "huge outside": 1e30,
}


@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.9])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("noise", ADVERSARIAL)
def test_outside_a_nucleus_nothing_wins(noise, temperature, top_p):
    logits = torch.from_numpy(np.random.default_rng(5).normal(size=(4, 700), scale=2)).float()
    index, inside = nucleus(logits, temperature, top_p)
    kept = torch.zeros_like(logits, dtype=torch.bool).scatter(1, index, inside)
    assert inside[:, 0].all()
    gumbel = torch.where(kept, min(ADVERSARIAL[noise], 0.0), ADVERSARIAL[noise])
    drawn = race(logits, gumbel, torch.arange(4), temperature, top_p)
    assert kept[torch.arange(4), drawn.tokens].all()
    # Its probability within the nucleus.
    log_p = torch.where(kept, logits.double() / temperature, -torch.inf).log_softmax(1)
    np.testing.assert_allclose(drawn.log_p, log_p[torch.arange(4), drawn.tokens], atol=1e-5)


def test_a_greedy_token_has_its_probability_under_the_model():
    logits = torch.tensor([[0.0, 2.0, 2.0, -1.0], [5.0, 0.0, 0.0, 0.0]])
    drawn = greedy(logits)
    assert drawn.tokens.tolist() == [1, 0]  # of equal ones the first
    np.testing.assert_allclose(
        drawn.log_p, logits.double().log_softmax(1)[[0, 1], [1, 0]], atol=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_log_probabilities_are_those_of_the_logits_as_they_are(dtype):
    rng = np.random.default_rng(6)
    logits = torch.from_numpy(rng.normal(size=(3, 5000), scale=4) + 40).to(dtype)
    gumbel = torch.from_numpy(-np.log(rng.exponential(size=(2, 5000)))).float()
    drawn = race(logits, gumbel, torch.tensor([0, 1, 1]), 0.8, 1.0)
    log_p = (logits.double() / 0.8).log_softmax(1)
    np.testing.assert_allclose(drawn.log_p, log_p[torch.arange(3), drawn.tokens], atol=1e-5)


def test_the_nucleus_is_the_smallest_set_that_holds_top_p():
    rng = np.random.default_rng(1)
    # Near-uniform rows need more tokens than the first partial sort holds.
    logits = torch.from_numpy(rng.normal(size=(6, 900)) * np.array([[0.01], [1], [3]] * 2))
    for top_p in (0.3, 0.9, 0.999):
        p = torch.softmax(logits / 0.8, -1)
        index, inside = nucleus(logits, 0.8, top_p)
        kept = torch.zeros_like(p, dtype=torch.bool).scatter(1, index, inside)
        for row in range(6):
            ordered = p[row].sort(descending=True).values
            size = int(kept[row].sum())
            assert ordered[: size - 1].sum() < top_p <= ordered[:size].sum() + 1e-12
            assert p[row][kept[row]].min() >= ordered[size - 1]
