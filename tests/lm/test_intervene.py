from __future__ import annotations

import numpy as np
import pytest
import torch

from steer_assets.lm.errors import InterventionError, PromptError
from steer_assets.lm.forward.intervene import Addition, ArmTable, Steering, editing
from steer_assets.lm.forward.stepping import prepare, start_rows
from steer_assets.lm.measurements.logits import next_token_logits

from . import reference
from .conftest import HIDDEN, LAYERS

LAYER = 1
ARMS = [(), (Addition(LAYER, 0, 1.5),), (Addition(LAYER, 1, -0.5), Addition(LAYER, 2, 2.0))]


def _outputs(lm, prompt, arms, vectors):
    """Every block's output [rows, d] for one step of rows that differ in their arm."""
    seen = {}
    steering = Steering(ArmTable(lm, arms, vectors), torch.arange(len(arms)))

    def edit_of(layer):
        added = steering.edits().get(layer, lambda hidden: hidden)

        def edit(hidden):
            seen[layer] = (hidden[:, 0].clone(), added(hidden)[:, 0].clone())
            return added(hidden)

        return edit

    prefix = prepare(lm, [prompt])
    with torch.no_grad(), editing(lm, {layer: edit_of(layer) for layer in range(LAYERS)}):
        rows = start_rows(lm, prefix, torch.zeros(len(arms), dtype=torch.int64), 1)
        rows.step(torch.full((len(arms),), prompt[-1]))
    return seen


def test_the_block_output_changes_by_alpha_v_and_nothing_below_does(tiny, prompts, vectors):
    steered = _outputs(tiny, prompts[0], ARMS, vectors)
    plain = _outputs(tiny, prompts[0], [(), (), ()], vectors)
    for layer in range(LAYER):
        assert torch.equal(steered[layer][1], plain[layer][1])
    before, after = steered[LAYER]
    assert torch.equal(before, plain[LAYER][1])
    added = np.stack([np.zeros(HIDDEN), 1.5 * vectors[0], 2.0 * vectors[2] - 0.5 * vectors[1]])
    assert torch.equal(after, before + torch.from_numpy(added).float())
    for layer in range(LAYER + 1, LAYERS):  # the unsteered row of a mixed batch stays itself
        assert torch.equal(steered[layer][1][0], plain[layer][1][0])
        assert not torch.allclose(steered[layer][1][1], plain[layer][1][1], atol=1e-3)


def test_blocks_are_left_as_they_were(tiny, prompts, vectors):
    before = reference.last_logits(tiny, prompts[0], (), vectors)
    hooks = [len(block._forward_hooks) for block in tiny.layout.blocks]
    list(next_token_logits(tiny, prompts[:2], ARMS, vectors))
    assert np.array_equal(before, reference.last_logits(tiny, prompts[0], (), vectors))
    assert [len(block._forward_hooks) for block in tiny.layout.blocks] == hooks
    assert not any("forward" in vars(block) for block in tiny.layout.blocks)


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ((Addition(LAYERS, 0, 1.0),), f"layer {LAYERS} is out of range: the model has {LAYERS}"),
        ((Addition(-1, 0, 1.0),), "layer -1 is out of range"),
        ((Addition(0, 5, 1.0),), "names vector 5, but the table has 5"),
        ((Addition(0, 0, float("nan")),), "alpha nan"),
    ],
)
def test_bad_arms_are_refused(llama, prompts, vectors, arm, message):
    with pytest.raises(InterventionError, match=message):
        list(next_token_logits(llama, prompts, [arm], vectors))


def test_a_vector_of_another_hidden_size_is_refused(llama, prompts):
    with pytest.raises(InterventionError, match=rf"\(1, 7\).*{HIDDEN}"):
        list(next_token_logits(llama, prompts, [()], np.ones((1, 7))))


def test_a_vector_with_nan_is_refused(llama, prompts, vectors):
    bad = vectors.copy()
    bad[3, 0] = np.nan
    with pytest.raises(InterventionError, match="vector 3"):
        list(next_token_logits(llama, prompts, [()], bad))


@pytest.mark.parametrize(
    ("prompt", "message"), [([], "no tokens"), ([3, 101], "3 to 101.*0 to 100")]
)
def test_bad_prompts_are_refused(llama, vectors, prompt, message):
    with pytest.raises(PromptError, match=message):
        list(next_token_logits(llama, [prompt], [()], vectors))
