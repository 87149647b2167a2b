"""Scopes of a next token: a whole prompt that is steered, and those that do not move it."""

from __future__ import annotations

import numpy as np
import pytest

from steer_assets.lm.decoding.decode import generate
from steer_assets.lm.errors import InterventionError
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.forward.scope import Reach, Scope
from steer_assets.lm.forward.stepping import SHARED, STATES, WHOLE
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.lm.measurements.prepared import PreparedPrompts
from steer_assets.lm.measurements.pushforward import fisher_along
from tests.sizes import in_full

from . import reference
from .conftest import build
from .test_scopes import ARMS, SAMPLING, SCOPES


@pytest.mark.parametrize("way", [SHARED, in_full(STATES), WHOLE])
def test_the_next_token_is_that_of_a_hook_on_the_whole_prompt(prompts, vectors, way):
    """Of several arms at once, and in a search over doses."""
    lm = build("llama")
    lm._way = way
    mixed = [*prompts[:3], [7]]
    whole = Scope(whole_prompt=True)
    found = dict(next_token_logits(lm, mixed, ARMS, vectors, scope=whole))
    expected = np.array(
        [[reference.forward(lm, p, arm, vectors, 0)[0][-1].numpy() for arm in ARMS] for p in mixed]
    )
    np.testing.assert_allclose(np.stack([found[i] for i in range(4)]), expected, atol=1e-4)
    prepared = PreparedPrompts(lm, mixed, [1], scope=whole)
    for prompt, _, logits in prepared.steered([ARMS[1]], vectors):
        np.testing.assert_allclose(logits, expected[prompt, 1], atol=1e-4)
    np.testing.assert_allclose(prepared.unsteered, expected[:, 0], atol=1e-4)


def test_its_fisher_form_is_the_curvature_of_the_divergence(prompts, vectors):
    """Of steps at every prompt token around an arm; in full, and along directions."""
    lm = build("llama", double=True)
    whole, arm = Scope(whole_prompt=True), (Addition(1, 0, 0.1),)
    steps, chosen = vectors[1:3], prompts[:2]
    with reference.AllDouble():
        forms = list(prompt_forms(lm, chosen, [1, 2], scope=whole, arm=arm, vectors=vectors))
        offset = 0.1 * vectors[0]
        along = dict(fisher_along(lm, chosen, 1, steps, scope=whole, offset=offset, batch_rows=3))
        for at, prompt in enumerate(chosen):
            for layer in (1, 2):
                for row, e in enumerate(steps):
                    curvature = _curvature(lm, prompt, layer, arm, vectors, e)
                    assert e @ forms[at].fisher[layer] @ e == pytest.approx(curvature, rel=1e-4)
                    if layer == 1:
                        assert along[at][row] == pytest.approx(curvature, rel=1e-4)


def _curvature(lm, prompt, layer, arm, vectors, e) -> float:
    """Second difference of KL(p || p moved by h e), whose gradient at 0 is zero."""
    h, moved = 1e-3, np.concatenate([vectors, e[None]])
    logits = [
        reference.forward(lm, prompt, (*arm, Addition(layer, 5, x)), moved, 0)[0][-1].numpy()
        for x in (0.0, h, -h)
    ]
    p, up, down = (z - np.logaddexp.reduce(z) for z in logits)
    return float(np.exp(p) @ (2 * p - up - down)) / h**2


@pytest.mark.parametrize("name", ["generated", "first_k", "after_thinking"])
def test_a_next_token_that_does_not_move_is_refused(llama, prompts, vectors, name):
    scope = SCOPES[name][0]
    said = "next token after the prompt is that of the unsteered model"
    for ask in (
        lambda: next(next_token_logits(llama, prompts, ARMS, vectors, scope=scope)),
        lambda: PreparedPrompts(llama, prompts, [1], scope=scope),
        lambda: next(fisher_along(llama, prompts, 1, vectors, scope=scope)),
        lambda: next(prompt_forms(llama, prompts, [1], scope=scope)),
    ):
        with pytest.raises(InterventionError, match=said):
            ask()


def test_the_default_scope_gives_what_no_scope_gives(llama, prompts, vectors):
    """To the bit: no position is selected."""
    plain = generate(llama, prompts, ARMS, vectors, SAMPLING)
    assert generate(llama, prompts, ARMS, vectors, SAMPLING, scope=Scope()) == plain
    assert Reach(Scope(), prompts).at([0, 1], [[], []]) is None


def test_a_scope_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match="first 0 tokens"):
        Scope(first=0)
    with pytest.raises(ValueError, match="whole prompt"):
        Scope(whole_prompt=True, last_prompt=False)
