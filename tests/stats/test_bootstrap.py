import numpy as np
import pytest
from scipy import stats

from steer_assets.stats.intervals import bootstrap, resampling
from steer_assets.stats.intervals.crossed import standard_error


def rng(*key):
    return np.random.default_rng(key)


@pytest.mark.parametrize("statistic", [np.mean, np.median, np.std])
def test_textbook_bca_is_that_of_scipy(statistic):
    x = rng(0).gamma(1.0, 1.0, size=35)
    ours = bootstrap.bca(x, statistic, n_boot=20_000, rng=rng(1), small_sample=False)
    theirs = stats.bootstrap(
        (x,), statistic, n_resamples=20_000, method="BCa", rng=rng(2)
    ).confidence_interval
    tolerance = 0.04 * (theirs.high - theirs.low)
    assert ours.low == pytest.approx(theirs.low, abs=tolerance)
    assert ours.high == pytest.approx(theirs.high, abs=tolerance)


def test_skew_moves_the_interval_of_a_mean_towards_the_tail():
    x = rng(3).exponential(size=30)
    found = bootstrap.mean(x, rng=rng(4))
    assert found.high - x.mean() > 1.1 * (x.mean() - found.low)


def test_vectorized_and_single_statistics_agree():
    x = rng(5).normal(size=(20, 3))
    single = bootstrap.bca(x, lambda s: s.mean(), rng=rng(6))
    batch = bootstrap.bca(x, lambda s: s.mean(axis=(1, 2)), rng=rng(6), vectorized=True)
    means = bootstrap.mean(x.mean(axis=1), rng=rng(6))
    assert (batch.low, batch.high) == pytest.approx((single.low, single.high))
    assert (means.low, means.high) == pytest.approx((single.low, single.high))


def test_the_same_generator_state_gives_the_same_bytes():
    x = rng(7).normal(size=(15, 4))
    for method in (lambda r: bootstrap.mean(x[:, 0], rng=r), lambda r: bootstrap.crossed(x, rng=r)):
        assert method(rng(8)) == method(rng(8))
        assert method(rng(8)) != method(rng(9))


def test_chunks_do_not_change_the_interval(monkeypatch):
    x = rng(10).normal(size=(25, 2))
    whole = bootstrap.bca(x, np.mean, rng=rng(11))
    monkeypatch.setattr(resampling, "_CHUNK", 100)
    assert bootstrap.bca(x, np.mean, rng=rng(11)) == whole


def test_a_constant_sample_has_an_interval_of_no_width():
    found = bootstrap.mean(np.full(8, 0.3), rng=rng(0))
    assert found.low == found.high == pytest.approx(0.3)
    found = bootstrap.crossed(np.full((8, 3), 0.3), rng=rng(0))
    assert found.low == found.high == pytest.approx(0.3)


def test_crossed_standard_error_is_unbiased_and_df_sensible():
    generator = rng(12)
    found = []
    for _ in range(3000):
        x = 0.7 * generator.normal(size=(12, 1)) + 0.5 * generator.normal(size=(1, 6))
        x = x + generator.normal(size=(12, 6))
        found.append((x.mean(), *standard_error(x)))
    means, se, df = np.array(found).T
    assert np.mean(se**2) == pytest.approx(means.var(), rel=0.08)
    assert df.min() >= 5
    assert df.max() <= 5 * 11 + 16


def test_crossed_does_not_depend_on_the_order_of_prompts_or_seeds():
    x = rng(13).normal(size=(9, 5))
    assert standard_error(x[::-1, ::-1]) == pytest.approx(standard_error(x))
    assert standard_error(x.T) == pytest.approx(standard_error(x))


def test_ratio_is_unbounded_where_the_denominator_may_be_zero():
    noise = rng(14).normal(size=20)
    found = bootstrap.ratio(np.ones(20) + noise, noise - noise.mean() + 0.1, rng=rng(0))
    assert (found.low, found.high) == (-np.inf, np.inf)
    found = bootstrap.ratio(np.ones(5), np.zeros(5), rng=rng(0))
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_ratio_of_a_vector_to_itself_is_one():
    x = 1 + 0.2 * rng(15).normal(size=20)
    found = bootstrap.ratio(x, x, rng=rng(0))
    assert (found.low, found.high) == pytest.approx((1.0, 1.0))


def test_ratio_of_negative_efficacies_is_that_of_positive_ones():
    top, bottom = rng(16).normal(size=(2, 30)) * 0.3 + 1
    one = bootstrap.ratio(top, bottom, rng=rng(1))
    other = bootstrap.ratio(-top, -bottom, rng=rng(1))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap.mean([1.0], rng=rng(0)), "at least 2"),
        (lambda: bootstrap.mean([1.0, np.nan], rng=rng(0)), "not finite"),
        (lambda: bootstrap.mean([1.0, 2.0], level=1.0, rng=rng(0)), "level must lie"),
        (lambda: bootstrap.mean([1.0, 2.0], n_boot=10, rng=rng(0)), "at least 100"),
        (lambda: bootstrap.bca([[1.0], [np.inf]], np.mean, rng=rng(0)), "not finite"),
        (lambda: bootstrap.bca([1.0, 2.0], lambda s: np.nan, rng=rng(0)), "statistic is nan"),
        (lambda: bootstrap.bca([1.0, 2.0], lambda s: s, rng=rng(0)), r"shape \(1, 2\)"),
        (lambda: bootstrap.crossed(np.ones((5, 1)), rng=rng(0)), "at least 2 of them, got 1"),
        (lambda: bootstrap.ratio([1.0, 2.0], [1.0, 2.0, 3.0], rng=rng(0)), "2 prompts, .* 3"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_statistic_that_is_undefined_too_often_is_refused():
    x = np.r_[np.zeros(30), 1.0]
    with (
        np.errstate(divide="ignore", invalid="ignore"),
        pytest.raises(ValueError, match="undefined"),
    ):
        bootstrap.bca(x, lambda s: s.mean() / s.std(), rng=rng(0))


def test_crossed_interval_has_the_width_of_its_standard_error():
    """Mostly unexplained rest, which resampling both factors counts about three times over."""
    x = rng(17).normal(size=(30, 20))
    found = bootstrap.crossed(x, level=0.9, n_boot=8000, rng=rng(18))
    se, df = standard_error(x)
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.95, df) * se, rel=0.05)


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_an_interval_on_fewer_than_ten_prompts_is_students(n):
    rng = np.random.default_rng(n)
    x = rng.normal(1.0, 2.0, n)
    expected = stats.t.interval(0.95, n - 1, loc=x.mean(), scale=x.std(ddof=1) / np.sqrt(n))
    for found in (
        bootstrap.mean(x, rng=rng),
        bootstrap.bca(x, lambda batch: batch.mean(axis=1), rng=rng, vectorized=True),
    ):
        assert (found.low, found.high) == pytest.approx(expected, rel=1e-9)


def test_a_ratio_on_few_prompts_is_fiellers():
    rng = np.random.default_rng(4)
    bottom = rng.normal(3.0, 1.0, 8)
    top = 0.5 * bottom + rng.normal(0.0, 0.5, 8)
    found = bootstrap.ratio(top, bottom, rng=rng)
    for end in (found.low, found.high):
        assert stats.ttest_1samp(top - end * bottom, 0).pvalue == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("n", [4, 9])
def test_intervals_on_few_prompts_cover(n):
    rng = np.random.default_rng(10 + n)
    covered = 0
    for _ in range(1000):
        found = bootstrap.mean(rng.normal(0.0, 1.0, n), n_boot=100, rng=rng)
        covered += found.low <= 0 <= found.high
    assert covered / 1000 == pytest.approx(0.95, abs=0.021)
