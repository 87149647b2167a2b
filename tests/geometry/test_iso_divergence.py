"""The dose of equal divergence: found on known curves, and said where there is none."""

from collections.abc import Callable

import numpy as np
import pytest

from steer_assets.geometry import kl
from steer_assets.geometry.errors import GeometryError
from steer_assets.geometry.iso_divergence import IsoDose, iso_doses


def found(*curves: Callable[[float], float], **options: float) -> tuple[list[IsoDose], int]:
    """Answers, and how many rounds they took."""
    rounds = 0

    def measure(asked: list[tuple[int, float]]) -> list[float]:
        nonlocal rounds
        rounds += 1
        return [curves[i](dose) for i, dose in asked]

    starts = [options.pop("start", 1.0)] * len(curves)
    return iso_doses(measure, starts, options.pop("target", 1.0), **options), rounds  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [0.02, 1.0, 37.0])
@pytest.mark.parametrize("target", [0.1, 1.0])
def test_saturating_curves_of_different_scale_are_found_together(
    start: float, target: float
) -> None:
    """KL grows as the square at first and levels off, as that of a softmax does."""
    scales = (0.05, 0.7, 12.0)
    curves = [lambda dose, s=s: 4 * (1 - np.exp(-((dose / s) ** 2) / 4)) for s in scales]
    answers, rounds = found(*curves, start=start, target=target)
    for answer, scale in zip(answers, scales, strict=True):
        exact = scale * np.sqrt(-4 * np.log(1 - target / 4))
        assert answer.reached
        assert answer.dose == pytest.approx(exact, rel=0.01)
        assert answer.divergence == pytest.approx(target, rel=0.015)
    assert rounds <= 6


def test_a_good_guess_takes_three_rounds() -> None:
    _, rounds = found(lambda dose: 0.5 * dose**1.7, start=1.5)
    assert rounds <= 3


def test_a_softmax_is_found_by_its_own_divergence() -> None:
    rng = np.random.default_rng(3)
    logits, step = rng.normal(size=40), rng.normal(size=40)

    def divergence(dose: float) -> float:
        return float(kl.kl_from((logits + dose * step)[None], logits)[0])

    (answer,), _ = found(divergence)
    moved = kl.distances((logits + answer.dose * step)[None], logits)["kl"][0]
    assert moved == pytest.approx(1.0, rel=0.02)


def test_it_is_the_first_crossing() -> None:
    (answer,), _ = found(lambda dose: 2 * dose if dose < 1 else 0.1 + (dose / 8) ** 2)
    assert answer.dose == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        (lambda _dose: 0.0, "stays below 1 up to a dose of 4096"),
        (lambda _dose: 5.0, "is above 1 even at a dose"),
        (lambda dose: 0.1 if dose < 0.3 else np.inf, "not found between doses of 0.2"),
    ],
)
def test_where_there_is_no_dose_it_is_said(curve: Callable[[float], float], words: str) -> None:
    (answer,), rounds = found(curve)
    assert not answer.reached
    assert words in answer.reason
    assert rounds <= 8


def test_a_divergence_that_is_none_is_refused() -> None:
    with pytest.raises(GeometryError, match="negative"):
        found(lambda _dose: -1.0)
    with pytest.raises(GeometryError, match="must be positive"):
        found(lambda dose: dose, target=0.0)


def test_kl_alone_is_that_of_the_distances() -> None:
    rng = np.random.default_rng(5)
    logits, reference = rng.normal(size=(6, 30)).astype(np.float32), rng.normal(size=30)
    assert kl.kl_from(logits, reference).tolist() == kl.distances(logits, reference)["kl"].tolist()
    logits[2, 4] = np.inf
    assert np.isinf(kl.kl_from(logits, reference)[2])
