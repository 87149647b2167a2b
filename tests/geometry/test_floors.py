"""A floor is a lower bound: no average of forms lies below the one that its prompts force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steer_assets.geometry.errors import GeometryError, ShapeError, TooFewSamplesError
from steer_assets.geometry.null_spaces import ranks
from steer_assets.geometry.null_spaces.floors import ADDITIVE, Floors, form_eigenvalues, part_floors
from steer_assets.geometry.null_spaces.heldout import moment_energies
from steer_assets.geometry.null_spaces.moments import Moments
from steer_assets.geometry.null_spaces.ranks import null_spaces
from steer_assets.geometry.null_spaces.saturation import doubling_sizes, form_curve
from steer_assets.geometry.null_spaces.spectra import covariance_spectrum, form_spectrum
from tests.sizes import FULL

from .toys import orthonormal


def floors_of(forms: np.ndarray) -> Floors:
    return part_floors([form_eigenvalues(form) for form in forms], forms.shape[1])


def fractions_of(forms: np.ndarray) -> dict[str, float]:
    spaces = null_spaces(form_spectrum(forms.mean(axis=0), len(forms)))
    return {space.estimator: space.null_fraction for space in spaces}


@st.composite
def random_forms(draw: st.DrawFn) -> np.ndarray:
    """Forms [n, d, d] of every kind of decay and size, alike, unlike or at right angles."""
    d = draw(st.integers(2, 24))
    n = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shared = orthonormal(rng, d, d)
    forms = []
    for i in range(n):
        decay = draw(st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
        size = 10.0 ** draw(st.integers(-4, 4))
        values = size * (1.0 + np.arange(d)) ** -decay * np.exp(0.1 * rng.standard_normal(d))
        values[draw(st.integers(1, d)) :] = 0.0
        basis = {
            "same": shared,
            "shifted": np.roll(shared, -i * max(1, d // n), axis=1),
            "unrelated": orthonormal(rng, d, d),
        }[draw(st.sampled_from(["same", "shifted", "unrelated"]))]
        forms.append((basis * values) @ basis.T)
    return np.array(forms)


@settings(max_examples=400 if FULL else 100, deadline=None)
@given(random_forms())
def test_no_average_of_forms_lies_below_its_floor(forms: np.ndarray) -> None:
    floors, fractions = floors_of(forms), fractions_of(forms)
    assert floors.keys() == fractions.keys()
    for name, fraction in fractions.items():
        floor = floors[name]
        assert floor is None or 0 <= floor <= fraction + 1e-12, (name, floor, fraction)
    assert all(floors[name] is not None for name in ADDITIVE)


@pytest.mark.parametrize(
    ("ranks_99", "expected"), [((55, 60), 0.80), ((97, 99), 0.66), ((75, 80), 0.73)]
)
def test_the_floor_of_few_prompts_is_one_less_their_ranks_over_the_width(
    ranks_99: tuple[int, ...], expected: float
) -> None:
    # Two prompts in 576 dimensions whose own forms need so many axes for 99 % of their trace.
    parts = [np.repeat([1.0, 1e-6], [rank, 576 - rank]) for rank in ranks_99]
    parts = [part * (part > 0.5) + 0.009 * rank / (576 - rank) * (part < 0.5)
             for part, rank in zip(parts, ranks_99, strict=True)]  # fmt: skip
    own = [1 + int((np.cumsum(part) / part.sum() < 0.99).sum()) for part in parts]
    assert own == list(ranks_99)
    floor = part_floors(parts, 576)["variance_99"]
    assert floor == pytest.approx(1 - sum(ranks_99) / 576)
    assert floor == pytest.approx(expected, abs=0.005)


def test_forms_at_right_angles_attain_the_floor() -> None:
    d, basis = 60, orthonormal(np.random.default_rng(0), 60, 60)
    forms = np.array([basis[:, i : i + 10] @ basis[:, i : i + 10].T for i in (0, 10, 20)])
    floors, fractions = floors_of(forms), fractions_of(forms)
    for name in ("variance_99", "participation_ratio"):
        assert fractions[name] == floors[name] == pytest.approx(1 - 30 / d)


def test_few_prompts_of_a_population_of_full_rank_show_little_more_than_their_floor() -> None:
    # Each prompt sees 12 fresh directions of 240: the model has no null space at all.
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((40, 12, 240))
    forms = np.einsum("nrd,nre->nde", rows, rows)
    few, many = forms[:4], forms
    floor = floors_of(few)["variance_99"]
    assert floor is not None
    assert floor > 0.7
    assert floor <= fractions_of(few)["variance_99"] <= floor + 0.05
    assert floors_of(many)["variance_99"] == 0.0
    assert fractions_of(many)["variance_99"] < 0.2


def test_counts_above_a_fraction_do_not_add_up_and_their_floor_does_not_use_them() -> None:
    # Each form counts 1 above 1 %; their sum counts all of them, since what is small adds up.
    d, n = 12, 8
    forms = np.array([np.eye(d) * 0.9e-4 + np.diag(np.eye(d)[i]) for i in range(n)])
    spaces = [{a.estimator: a.rank for a in null_spaces(form_spectrum(f, 1))} for f in forms]
    assert [own["sigma_1pct"] for own in spaces] == [1] * n
    assert fractions_of(forms)["sigma_1pct"] == 0.0 < 1 - n / d
    assert floors_of(forms)["sigma_1pct"] is None


def test_a_bound_that_is_not_known_is_none_and_never_zero() -> None:
    rng = np.random.default_rng(2)
    flat = np.array([np.eye(30) + 0.01 * np.diag(rng.random(30)) for _ in range(3)])
    floors = floors_of(flat)
    assert [floors[n] for n in ("sigma_1pct", "sigma_5pct", "entropy_rank")] == [None] * 3
    assert [floors[n] for n in ADDITIVE] == [0.0] * 4


def test_one_prompt_has_its_own_null_fraction_for_a_floor() -> None:
    form = np.diag((1.0 + np.arange(20)) ** -2.0)[None]
    assert floors_of(form) == fractions_of(form)


def test_curves_have_the_floor_of_the_prompts_up_to_each_point() -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((8, 3, 60))
    forms = np.einsum("nrd,nre->nde", rows, rows)
    for point in form_curve(forms, doubling_sizes(8, smallest=1)):
        floors = floors_of(forms[: point.n_prompts])
        for space in point.null_spaces:
            assert space.sampling_floor == floors[space.estimator]
            assert space.sampling_floor is None or space.null_fraction >= space.sampling_floor
        assert floors["variance_99"] == pytest.approx(1 - 3 * point.n_prompts / 60)


def clustered(rng: np.random.Generator, n_prompts: int, d: int) -> list[np.ndarray]:
    """Tokens of prompts, each of which stays near a line of its own."""
    prompts = []
    for _ in range(n_prompts):
        line = rng.standard_normal(d)
        steps = rng.standard_normal((50, 1))
        prompts.append(rng.standard_normal(d) + steps * line + 1e-3 * rng.standard_normal((50, d)))
    return prompts


def test_tokens_of_few_prompts_have_the_floor_of_the_prompts() -> None:
    # 500 tokens in 200 dimensions, but of 10 prompts: all but 20 directions are empty.
    rng = np.random.default_rng(4)
    prompts = clustered(rng, 10, 200)
    moments = Moments(200)
    for tokens in prompts:
        moments.update(tokens)
    spectrum = covariance_spectrum(moments, n_prompts=10)
    assert (spectrum.n_samples, spectrum.noise_edge) == (10, None)
    within = [np.linalg.svd(t - t.mean(axis=0), compute_uv=False) ** 2 for t in prompts]
    means = np.array([tokens.mean(axis=0) - moments.mean for tokens in prompts])
    between = np.linalg.svd(np.sqrt(50) * means, compute_uv=False) ** 2
    floors = part_floors([*within, between], 200)
    spaces = {s.estimator: s for s in null_spaces(spectrum, floors)}
    assert not set(spaces) & set(ranks.NOISE_EDGES)
    assert floors["variance_99"] is not None
    assert 0.85 < floors["variance_99"] <= spaces["variance_99"].null_fraction
    # Counted as independent samples they would have none.
    assert ranks.covariance_floor(moments.n, 200) == 0.0
    parts = [(moments, np.concatenate(prompts)[:20])] * 2
    assert not set(moment_energies(parts)) & set(ranks.NOISE_EDGES)


def test_parts_that_are_none_are_refused_and_zero_parts_add_nothing() -> None:
    floors = part_floors([np.zeros(3), np.ones(3), np.ones(3)], 12)
    assert floors["variance_99"] == 0.5
    with pytest.raises(TooFewSamplesError, match="at least 1 prompt"):
        part_floors([np.zeros(3)], 12)
    with pytest.raises(ShapeError, match="4 eigenvalues in 3 dimensions"):
        part_floors([np.ones(4)], 3)
    with pytest.raises(GeometryError, match="eigenvalue -1"):
        part_floors([np.array([1.0, -1.0])], 3)
