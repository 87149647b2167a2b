"""Each scope is a plain hook at its positions: sampling, likelihoods, gradients, next tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.decoding.noise import NoiseKey, exponentials
from steer_assets.lm.errors import InterventionError
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.forward.scope import Reach, Scope
from steer_assets.lm.forward.stepping import SHARED, STATES, WHOLE
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.lm.measurements.prepared import PreparedPrompts
from steer_assets.lm.measurements.pushforward import fisher_along
from steer_assets.lm.texts.gradients import GradientText, text_gradients
from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods
from tests.sizes import in_full

from . import reference
from .conftest import HIDDEN, build, cached_build

SAMPLING = Sampling(max_new_tokens=4, seed=3)
#: One block, two blocks, unsteered.
ARMS = [(), (Addition(1, 0, 0.3),), (Addition(1, 0, 0.2), Addition(3, 2, 0.2))]
END = 40, 41

#: The edited positions of a prompt of n tokens and its text, said apart from the code.
Where = Callable[[int, Sequence[int]], list[int]]
SCOPES: dict[str, tuple[Scope, Where]] = {
    "last_prompt_and_generated": (Scope(), lambda n, ids: [*range(n - 1, n + len(ids))]),
    "all_prompt_and_generated": (
        Scope(whole_prompt=True),
        lambda n, ids: [*range(n + len(ids))],
    ),
    "generated": (Scope(last_prompt=False), lambda n, ids: [*range(n, n + len(ids))]),
    "first_k": (
        Scope(last_prompt=False, first=2),
        lambda n, ids: [*range(n, n + min(2, len(ids)))],
    ),
    "last_prompt_and_first_k": (
        Scope(first=2),
        lambda n, ids: [*range(n - 1, n + min(2, len(ids)))],
    ),
    "after_thinking": (
        Scope(section_end=END),
        lambda n, ids: [n + i for i in range(len(ids)) if _ended(ids[: i + 1])],
    ),
}


def _ended(ids: Sequence[int]) -> bool:
    return any(tuple(ids[i : i + 2]) == END for i in range(len(ids)))


def _forward(lm, prompt, ids, arm, vectors, where):
    at = where(len(prompt), ids)
    return reference.forward(lm, [*prompt, *ids], arm, vectors, at)[0]


def _sample(lm, prompt, arm, vectors, where) -> tuple[list[int], list[float]]:
    """One row by whole forwards, token by token."""
    ids: list[int] = []
    log_p: list[float] = []
    key = NoiseKey.of(SAMPLING.seed, " ".join(map(str, prompt)), 0)
    for step in range(SAMPLING.max_new_tokens):
        p = reference.sampled_from(_forward(lm, prompt, ids, arm, vectors, where)[-1], SAMPLING)
        ids.append(int((exponentials([key], step, len(p))[0] / p).argmin()))
        log_p.append(float(np.log(p[ids[-1]])))
        if ids[-1] in lm.stop_ids:
            break
    return ids, log_p


def _prompts(prompts, scope: Scope) -> list[list[int]]:
    """Of several lengths, one of a single token, one that closes the section itself."""
    return [prompts[0], [7], prompts[2], [*prompts[2][:4], *END, 9]]


def _ending(lm, prompts, where) -> tuple[int, int]:
    """Tokens two and three of an unsteered text."""
    ids, _ = _sample(lm, prompts[0], (), None, where)
    return ids[1], ids[2]


_ALL, _AFTER = "all_prompt_and_generated", "after_thinking"
#: Every way of running rows; the default scope is that of all other tests.
_QUICK = {(SHARED, _ALL), (SHARED, "generated"), (SHARED, _AFTER), (STATES, "first_k")}
_QUICK |= {(STATES, _ALL), (WHOLE, _ALL), (WHOLE, _AFTER)}


@pytest.mark.parametrize(
    ("way", "name"),
    [
        (way, name) if (way, name) in _QUICK else in_full(way, name)
        for way in (SHARED, STATES, WHOLE)
        for name in SCOPES
    ],
)
def test_texts_are_those_of_plain_hooks(way, name, prompts, vectors, monkeypatch):
    """Token by token over whole sequences; the same probability at sampling and read afterwards."""
    lm = build("llama")
    lm._way = way
    _compare(lm, prompts, vectors, name, monkeypatch)


@pytest.mark.parametrize("name", SCOPES)
@pytest.mark.parametrize("model", [in_full(m) for m in ("gemma3", "gpt2", "gpt_neox", "qwen3")])
def test_so_they_are_in_other_architectures(model, prompts, vectors, name, monkeypatch):
    _compare(cached_build(model), prompts, vectors, name, monkeypatch)


def _compare(lm, prompts, vectors, name, monkeypatch) -> None:
    scope, where = SCOPES[name]
    if scope.section_end:
        end = _ending(lm, prompts, where)
        monkeypatch.setattr(f"{__name__}.END", end)
        scope = Scope(section_end=end)
    own, arms = _prompts(prompts, scope), ARMS[::2]
    # A prompt that closes the section: its last token and every token after.
    closed = SCOPES["last_prompt_and_generated"][1] if scope.section_end else where
    made = generate(lm, own, arms, vectors, SAMPLING, scope=scope)
    texts = [SampledText(t.prompt, t.arm, tuple(t.token_ids), (0, 1)) for t in made]
    read = text_likelihoods(lm, own, texts, arms, vectors, SAMPLING, scope=scope, batch_tokens=20)
    for text, readings in list(zip(made, read, strict=True))[1::2]:  # the steered ones
        prompt = own[text.prompt]
        at = closed if text.prompt == 3 else where
        ids, log_p = _sample(lm, prompt, arms[text.arm], vectors, at)
        assert text.token_ids == ids
        assert text.log_probability == pytest.approx(sum(log_p), abs=1e-3)
        assert readings[text.arm].log_p.sum() == pytest.approx(text.log_probability, abs=1e-3)
        for arm, reading in readings.items():
            logits = _forward(lm, prompt, ids, arms[arm], vectors, at)[len(prompt) - 1 : -1]
            expected = [
                np.log(reference.sampled_from(row, SAMPLING)[token])
                for row, token in zip(logits, ids, strict=True)
            ]
            np.testing.assert_allclose(reading.log_p, expected, atol=2e-4)


@pytest.mark.faults
def test_scopes_differ(llama, prompts, vectors):
    """The comparison above could not tell scopes apart whose texts are the same."""
    arms = [(Addition(1, 0, 2.0),)]
    found = {
        name: [
            text.token_ids
            for text in generate(llama, prompts, arms, vectors, SAMPLING, scope=scope)
        ]
        for name, (scope, _) in SCOPES.items()
    }
    assert len({repr(texts) for texts in found.values()}) == len(SCOPES)


@pytest.mark.parametrize(
    ("way", "name"),
    [
        (way, name) if way == SHARED and name in (_ALL, "generated", _AFTER) else in_full(way, name)
        for way in (SHARED, WHOLE)
        for name in SCOPES
    ],
)
def test_gradients_are_central_differences_of_plain_hooks(prompts, vectors, name, way):
    scope, where = SCOPES[name]
    lm = build("llama", double=True)
    lm._way = way
    rng = np.random.default_rng(0)
    texts = [(0, [*END, 9, 30]), (1, [9, *END]), (0, [5, *END, 8, 11])]
    arm = ARMS[2]
    direction, h = rng.normal(size=HIDDEN), 1e-4
    moved = np.concatenate([vectors, direction[None]])
    with reference.AllDouble():
        asked = [GradientText(prompt, 0, tuple(ids)) for prompt, ids in texts]
        found = text_gradients(
            lm, prompts, asked, [(1, arm)], SAMPLING, scope=scope, vectors=vectors
        )
        for (prompt, ids), gradient in zip(texts, found, strict=True):
            up, down = (
                _log_probability(lm, prompts[prompt], ids, (*arm, Addition(1, 5, s)), moved, where)
                for s in (h, -h)
            )
            assert gradient @ direction == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-7)


def _log_probability(lm, prompt, ids, arm, vectors, where) -> float:
    logits = _forward(lm, prompt, ids, arm, vectors, where)[len(prompt) - 1 : -1]
    p = [reference.sampled_from(row, SAMPLING)[i] for row, i in zip(logits, ids, strict=True)]
    return float(np.log(p).sum())


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
