from __future__ import annotations

import numpy as np
import pytest
import torch

from steer_assets.lm.errors import InterventionError
from steer_assets.lm.measurements.capture import capture, capture_last

from . import reference
from .conftest import HIDDEN, LAYERS

ALL_LAYERS = list(range(LAYERS))


def _plain(lm, prompt):
    return [h.numpy() for h in reference.forward(lm, prompt, (), np.zeros((0, HIDDEN)), 0)[1]]


def test_capture_equals_output_hidden_states(few, prompts):
    found = capture_last(few, prompts, ALL_LAYERS)
    for row, prompt in enumerate(prompts):
        with torch.no_grad():
            hidden = few.model(torch.tensor([prompt]), output_hidden_states=True).hidden_states
        # transformers norms its last entry; ours is the last block's output, as all the others.
        for layer in ALL_LAYERS[:-1]:
            expected = hidden[layer + 1][0, -1].numpy()
            np.testing.assert_allclose(found[layer][row], expected, atol=1e-4)
        np.testing.assert_allclose(found[LAYERS - 1][row], _plain(few, prompt)[-1][-1], atol=1e-4)


def test_every_token_in_order_whatever_the_batch(few, prompts):
    seen = {}
    for captured in capture(few, prompts, [2, 0], positions="all", batch_tokens=30):
        for at, index in enumerate(captured.prompt_indices):
            seen[int(index)] = {layer: captured[layer][at] for layer in (0, 2)}
    assert sorted(seen) == list(range(len(prompts)))
    for index, prompt in enumerate(prompts):
        plain = _plain(few, prompt)
        for layer in (0, 2):
            assert seen[index][layer].shape == (len(prompt), HIDDEN)
            np.testing.assert_allclose(seen[index][layer], plain[layer], atol=1e-4)


def test_left_right_and_no_padding_agree(few, prompts):
    ours = capture_last(few, prompts, [2])[2]
    alone = np.concatenate([capture_last(few, [prompt], [2])[2] for prompt in prompts])
    np.testing.assert_allclose(ours, alone, atol=1e-4)
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    seen = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    positions = (seen.cumsum(1) - 1).clamp_min(0)
    with torch.no_grad():
        left = few.model(
            ids, attention_mask=seen, position_ids=positions, output_hidden_states=True
        )
    np.testing.assert_allclose(ours, left.hidden_states[3][:, -1].numpy(), atol=1e-4)


def test_upper_blocks_and_head_do_not_run(llama, prompts):
    ran = []
    handles = [
        module.register_forward_pre_hook(lambda *_args, name=name: ran.append(name))
        for name, module in [*enumerate(llama.layout.blocks), ("head", llama.layout.head)]
    ]
    capture_last(llama, prompts, [0, 1])
    for handle in handles:
        handle.remove()
    assert set(ran) == {0, 1}


def test_equal_prompts_share_all_but_their_last_token(llama):
    same = [[5, 6, 7]] * 3
    found = capture_last(llama, same, [1])[1]
    np.testing.assert_allclose(found, np.repeat(_plain(llama, same[0])[1][-1:], 3, 0), atol=1e-4)


def test_batches_stay_within_the_token_budget(llama, prompts):
    batches = [c.prompt_indices for c in capture(llama, prompts, [1], batch_tokens=25)]
    assert len(batches) > 1
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(len(prompts[i]) for i in batch) <= 25


def test_bad_requests_are_refused(llama, prompts):
    with pytest.raises(InterventionError, match="layer 9 is out of range: the model has 4"):
        capture_last(llama, prompts, [9])
    with pytest.raises(ValueError, match='"first"'):
        list(capture(llama, prompts, [0], positions="first"))


def test_progress_counts_prompts(llama, prompts):
    seen = []
    list(capture(llama, prompts, [1], on_progress=seen.append, batch_tokens=25))
    assert seen[-1].done == seen[-1].total == len(prompts)
    assert seen[-1].unit == "prompts"
