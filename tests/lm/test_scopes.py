"""Each scope is a plain hook at its positions: sampling, likelihoods, gradients, next tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.decoding.noise import NoiseKey, exponentials
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.forward.scope import Scope
from steer_assets.lm.forward.stepping import SHARED, STATES, WHOLE
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
