"""The published logit test: the contributions of the model and of geometry to its number."""

from types import SimpleNamespace

import numpy as np
import pytest

from steer_assets.assets.protocols import _logits
from steer_assets.pipeline.design.protocol_settings import Setting, settings
from steer_assets.stats.validation import Estimate
from tests.assets.planted import LAYER, planted_study

D, PROMPTS, DOSE = 48, 6, 1.0
STUDY = planted_study(n_prompts=12, seeds=3)
(REFERENCE,) = STUDY.switched_protocols


def reductions(
    monkeypatch: pytest.MonkeyPatch, gain_along_v: float
) -> dict[str, tuple[Estimate, float]]:
    """By setting: reduction of the distance, in a model whose logits move by `gain_along_v` times
    as much along v as along any other direction."""
    rng = np.random.default_rng(5)
    v = rng.standard_normal(D)
    unit = v / np.linalg.norm(v)
    perpendicular = {}
    for seed in STUDY.vectors.orthogonal_seeds:
        u = rng.standard_normal(D)
        u -= u @ unit * unit
        perpendicular[seed] = u * np.linalg.norm(v) / np.linalg.norm(u)

    def read_site(_run: object, _site: object, ids: list[str]) -> np.ndarray:
        found = []
        for name in ids:
            _, family, *seed = name.split(".")
            plus = v + perpendicular[int(seed[0][1:])] if seed else v
            matched = family.endswith("matched")
            found.append(plus / np.sqrt(2) if matched else plus)
        return np.array(found)

    def measured(
        _run: object, _layer: int, _site: object, vectors: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        states = np.concatenate([np.zeros((1, D)), vectors]) - vectors[0]
        states += (gain_along_v - 1) * np.multiply.outer(states @ unit, unit)
        l2 = np.linalg.norm(states, axis=1) * (1 + rng.random((PROMPTS, 1)))
        return 0.5 * l2**2, l2

    monkeypatch.setattr(_logits, "read_site", read_site)
    monkeypatch.setattr(_logits, "_measured", measured)
    run = SimpleNamespace(study=STUDY, model="toy", trait="sentiment")
    divergences = _logits.divergences(run, LAYER)  # type: ignore[arg-type]
    asked = ("logit_equivalence", "distance_reduction")

    def named(setting: Setting) -> str:
        return setting.switch or setting.name

    found = {}
    for setting in settings(REFERENCE, *asked, "sentiment"):
        measured = _logits.reduction(run, divergences, setting)  # type: ignore[arg-type]
        assert measured.number is not None
        assert measured.by_itself is not None
        found[named(setting)] = measured.number, measured.by_itself
    return found


def test_an_isotropic_model_gives_the_published_control_29_per_cent_and_the_matched_one_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = reductions(monkeypatch, gain_along_v=1.0)
    published, by_length = found["as_published"]
    assert published.value == pytest.approx(1 - 1 / np.sqrt(2), rel=1e-9)
    assert by_length == pytest.approx(published.value, rel=1e-9)
    for name in ("replaced_control", "controlled"):
        number, by_length = found[name]
        assert number.value == pytest.approx(0.0, abs=1e-12)
        assert by_length == 0.0
    # v + v_perp rescaled to v's length is nearer still, by geometry again.
    matched, by_length = found["unmatched_norm"]
    assert matched.value == pytest.approx(1 - np.sqrt(2 - np.sqrt(2)) / np.sqrt(2))
    assert by_length == pytest.approx(matched.value)


def test_a_model_that_answers_to_v_more_than_to_others_shows_it_at_equal_lengths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = reductions(monkeypatch, gain_along_v=4.0)
    published, by_length = found["as_published"]
    assert published.value > by_length + 0.1
    # Half of the control's step goes back along v: sqrt((16 + 1) / 2) times as far, at one length.
    number, _ = found["replaced_control"]
    assert number.value == pytest.approx(1 - 1 / np.sqrt(17 / 2), rel=1e-9)
    assert number.low <= number.value <= number.high


def test_control_steps_keep_their_direction_and_take_the_other_length() -> None:
    rng = np.random.default_rng(6)
    steps, replaced = rng.standard_normal((2, 4, 9))
    same, reach = _logits.control_steps(steps, replaced)
    lengths = np.linalg.norm(steps, axis=1)
    assert np.allclose(np.linalg.norm(same, axis=1), lengths)
    assert np.allclose((same * replaced).sum(axis=1), lengths * np.linalg.norm(replaced, axis=1))
    assert reach == pytest.approx((lengths / np.linalg.norm(replaced, axis=1)).mean())
