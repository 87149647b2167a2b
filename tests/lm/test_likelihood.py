from __future__ import annotations

import numpy as np
import pytest
import torch

from steer_assets.lm.errors import PromptError
from steer_assets.lm.measurements.likelihood import log_probabilities, text_ids

from . import reference

TEXTS = [(0, [5, 9, 11]), (1, [7]), (0, [4]), (3, [8, 8, 30, 2, 6, 12, 40, 9]), (5, [3, 4])]


def _expected(lm, prompt, text):
    tokens = [*prompt, *text]
    logits, _ = reference.forward(lm, tokens, (), np.empty((0, lm.hidden_size)), 0)
    log_p = torch.log_softmax(logits.double(), dim=-1)
    return [float(log_p[len(prompt) - 1 + i, t]) for i, t in enumerate(text)]


def _is_the_plain_forward(lm, prompts, batch_tokens):
    # A one-token prompt has no prefix at all.
    mixed = [*prompts, [7]]
    found = log_probabilities(lm, mixed, TEXTS, batch_tokens=batch_tokens)
    for (prompt, text), values in zip(TEXTS, found, strict=True):
        np.testing.assert_allclose(values, _expected(lm, mixed[prompt], text), atol=2e-4)
        assert (values < 0).all()


def test_it_is_the_plain_forward(tiny, prompts):
    _is_the_plain_forward(tiny, prompts, 6)


@pytest.mark.parametrize("batch_tokens", [1, 1024])
def test_batches_do_not_matter(few, prompts, batch_tokens):
    _is_the_plain_forward(few, prompts, batch_tokens)


def test_an_empty_text_ends_at_once(llama):
    assert text_ids(llama, "") == [2]
    assert text_ids(llama, "w5 w9") == [5, 9]


def test_no_tokens_are_refused(llama, prompts):
    with pytest.raises(PromptError):
        log_probabilities(llama, prompts, [(0, [])])
