"""The Fisher form along directions, against the form itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from steer_assets.lm.errors import InterventionError, PrecisionError
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.lm.measurements.pushforward import fisher_along
from tests.sizes import in_full

from .conftest import HIDDEN, LAYERS, build


def _along(forms, steps, layer):
    return np.stack([np.einsum("md,de,me->m", steps, f.fisher[layer], steps) for f in forms])


@pytest.mark.parametrize("layer", [in_full(0), 2])
def test_it_is_the_form_of_each_prompt_along_each_step(heads_double, prompts, vectors, layer):
    forms = prompt_forms(heads_double, prompts, [layer])
    found = list(fisher_along(heads_double, prompts, layer, vectors, batch_rows=7))
    assert [index for index, _ in found] == list(range(len(prompts)))
    expected = _along(forms, vectors, layer)
    assert np.abs(np.stack([e for _, e in found]) / expected - 1).max() < 1e-8


def test_at_the_steered_point(heads_double, prompts, vectors):
    arm = (Addition(2, 0, 0.4),)
    forms = prompt_forms(heads_double, prompts, [2], arm=arm, vectors=vectors)
    expected = _along(forms, vectors, 2)
    found = fisher_along(heads_double, prompts, 2, vectors, offset=0.4 * vectors[0])
    assert np.abs(np.stack([e for _, e in found]) / expected - 1).max() < 1e-8


def test_it_is_quadratic_and_chunks_change_nothing(llama, prompts, vectors):
    once = np.stack([e for _, e in fisher_along(llama, prompts, 1, vectors)])
    chunked = np.stack([e for _, e in fisher_along(llama, prompts, 1, vectors, batch_rows=2)])
    small = np.stack([e for _, e in fisher_along(llama, prompts, 1, 1e-6 * vectors)])
    assert np.allclose(chunked, once, rtol=1e-4)
    assert np.allclose(small, 1e-12 * once, rtol=1e-4)
    assert (once > 0).all()


def test_a_zero_step_predicts_nothing(llama, prompts):
    found = np.stack([e for _, e in fisher_along(llama, prompts, 1, np.zeros((1, HIDDEN)))])
    assert (found == 0).all()


def test_what_is_not_the_models_is_refused(llama, prompts, vectors):
    with pytest.raises(InterventionError, match=f"0 to {LAYERS - 1}"):
        next(fisher_along(llama, prompts, LAYERS, vectors))
    with pytest.raises(InterventionError, match=f"{HIDDEN}"):
        next(fisher_along(llama, prompts, 1, vectors[:, :5]))
    with pytest.raises(InterventionError, match="NaN"):
        next(fisher_along(llama, prompts, 1, vectors, offset=np.full(HIDDEN, np.nan)))
    half = build("llama")
    half.torch_dtype = torch.bfloat16
    with pytest.raises(PrecisionError, match="float32"):
        next(fisher_along(half, prompts, 1, vectors))
