"""A model over two processes gives what it gives in one, and ends in a sentence if one is lost."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import transformers as tf

from steer_assets.lm.chat import DEFAULT_DATE
from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.decoding.memory import default_rows
from steer_assets.lm.engines import on_model
from steer_assets.lm.errors import LanguageModelError, PromptError
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.forward.scope import Scope
from steer_assets.lm.loading import divided
from steer_assets.lm.loading.loader import load
from steer_assets.lm.measurements import derivatives
from steer_assets.lm.measurements.capture import capture, capture_last
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.lm.measurements.likelihood import log_probabilities
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.lm.measurements.prepared import PreparedPrompts
from steer_assets.lm.measurements.pushforward import fisher_along
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.opened import Opening
from steer_assets.lm.tensor_parallel import layers, ranks
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank
from steer_assets.lm.texts.gradients import GradientText, text_gradients
from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods
from steer_assets.parallel_processes import Processes
from tests.lm import architectures, conftest

TOLERANCE = 1e-4
PROMPTS = [[1, 5, 9, 8, 40, 7], [1, 5, 9, 3], [1, 5, 9, 60, 61, 62, 63, 64, 65, 3]]
VECTORS = 3.0 * np.random.default_rng(1).normal(size=(3, conftest.HIDDEN))
ARMS = [(), (Addition(1, 0, 0.5),), (Addition(2, 1, 1.0), Addition(3, 2, -0.5))]
WHOLE = Scope(whole_prompt=True)
SAMPLING = Sampling(max_new_tokens=6, seed=3)
TEXTS = [[4, 8, 15, 16], [23, 42], [9]]


def _captured(lm: LanguageModel) -> list[np.ndarray]:
    every = capture(lm, PROMPTS, [0, 3], positions="all")
    whole = [np.concatenate(found[layer]) for found in every for layer in (0, 3)]
    arm = {"arm": ARMS[2], "vectors": VECTORS}
    steered = capture_last(lm, PROMPTS, [1, 3], **arm)
    return [*whole, *capture_last(lm, PROMPTS, [1, 2]).values(), *steered.values()]


def _logits(lm: LanguageModel) -> list[np.ndarray]:
    found = [logits for _, logits in next_token_logits(lm, PROMPTS, ARMS, VECTORS)]
    return found + [x for _, x in next_token_logits(lm, PROMPTS, ARMS, VECTORS, scope=WHOLE)]


def _prepared(lm: LanguageModel) -> list[np.ndarray]:
    prompts = PreparedPrompts(lm, PROMPTS, [1])
    steered = {(i, arm): x for i, arm, x in prompts.steered([ARMS[1]], VECTORS)}
    return [prompts.unsteered, *(steered[key] for key in sorted(steered))]


def _likelihoods(lm: LanguageModel) -> list[np.ndarray]:
    return log_probabilities(lm, PROMPTS, list(enumerate(TEXTS)))


def _text_likelihoods(lm: LanguageModel) -> list[np.ndarray]:
    texts = [SampledText(i, i, tuple(ids), (0, 1, 2)) for i, ids in enumerate(TEXTS)]
    found = [
        text_likelihoods(lm, PROMPTS, texts, ARMS, VECTORS, SAMPLING, scope=scope)
        for scope in (Scope(), WHOLE)
    ]
    readings = [own[arm] for texts in found for own in texts for arm in sorted(own)]
    # A divergence is a small difference of large numbers; its size is that of the probabilities.
    return [x.log_p for x in readings] + [np.concatenate([x.kl for x in readings])]


def _text_gradients(lm: LanguageModel) -> list[np.ndarray]:
    texts = [GradientText(i, i % 2, tuple(ids)) for i, ids in enumerate(TEXTS)]
    points = [(1, ARMS[1]), (0, ARMS[2])]
    return [
        text_gradients(lm, PROMPTS, texts, points, SAMPLING, scope=scope, vectors=VECTORS)
        for scope in (Scope(), WHOLE)
    ]


def _forms(lm: LanguageModel, **others: Any) -> list[np.ndarray]:
    found = prompt_forms(lm, PROMPTS[:2], [0, 2], **others)
    return [form for one in found for form in (*one.jacobian_gram.values(), *one.fisher.values())]


def _forms_elsewhere(lm: LanguageModel) -> list[np.ndarray]:
    steered = _forms(lm, arm=ARMS[1], vectors=VECTORS, row_chunk=20)
    return steered + _forms(lm, scope=WHOLE)


def _along(lm: LanguageModel) -> list[np.ndarray]:
    last = [x for _, x in fisher_along(lm, PROMPTS, 1, VECTORS, offset=VECTORS[0])]
    return last + [x for _, x in fisher_along(lm, PROMPTS, 1, VECTORS, scope=WHOLE)]


MEASURED: dict[str, Callable[[LanguageModel], list[np.ndarray]]] = {
    "activations": _captured,
    "next-token logits": _logits,
    "prepared prompts": _prepared,
    "likelihoods": _likelihoods,
    "text likelihoods": _text_likelihoods,
    "text gradients": _text_gradients,
    "Jacobian and Fisher forms": _forms,
    "forms, steered and over whole prompts": _forms_elsewhere,
    "Fisher form along steps": _along,
}


#: Architectures whose plans divide layers in different ways.
TRIED = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt_neox", "granite"]
TRIED += ["olmo2", "olmo3", "starcoder2", "cohere", "cohere2", "smollm3", "glm4", "exaone4"]
TRIED += ["mixtral", "qwen3_moe", "olmoe", "deepseek_v3", "jamba", "qwen3_next", "gemma4", "phi"]

#: What the test of `make test` leaves to `make faults`.
LONG = ("likelihoods", "prepared prompts", "forms, steered and over whole prompts")


def _written(lm: LanguageModel, *, few: bool) -> list[tuple[list[int], float]]:
    many = Sampling(max_new_tokens=8, n_samples=2, seed=3)
    first = generate(lm, PROMPTS, ARMS, VECTORS, many, batch_rows=9)
    if few:
        return [(one.token_ids, one.log_probability) for one in first]
    nucleus = Sampling(max_new_tokens=8, temperature=1.0, top_p=0.8, seed=4)
    greedy = Sampling(max_new_tokens=8, temperature=0.0)
    made = [
        *first,
        *generate(lm, PROMPTS, ARMS, VECTORS, nucleus),
        *generate(lm, PROMPTS, ARMS, VECTORS, greedy, scope=WHOLE),
        *generate(lm, PROMPTS, ARMS, VECTORS, many, scope=Scope(first=2)),
    ]
    return [(one.token_ids, one.log_probability) for one in made]


def _saved(lm: LanguageModel, folder: Path) -> Path:
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _saved(conftest.cached_build("llama"), tmp_path_factory.mktemp("ranks") / "origin")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    for one in ranks._leaders:
        one.end()
    ranks._leaders.clear()


def _equal(one: LanguageModel, two: LanguageModel, *, few: bool = False) -> None:
    for name, measure in MEASURED.items():
        if few and name in LONG:
            continue
        for expected, found in zip(measure(one), measure(two), strict=True):
            off = np.abs(expected - found).max() / np.abs(expected).max()
            assert off < TOLERANCE, f"{name}: {off}"
    for (ids, log_p), (own, own_log_p) in zip(
        _written(one, few=few), _written(two, few=few), strict=True
    ):
        assert ids == own
        assert log_p == pytest.approx(own_log_p, rel=TOLERANCE)


def test_two_ranks_measure_and_write_what_one_process_does(
    origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = load(origin, device="cpu"), load(origin, device="cpu", tensor_parallel=2)
    assert two.ranks is not None
    assert two.ranks.n == 2
    # A rank holds half of what is divided, and all of embedding and unembedding.
    sizes = [sum(p.numel() for p in lm.model.parameters()) for lm in (one, two)]
    whole = one.layout.head.weight.numel() + (2 * one.n_layers + 1) * one.hidden_size
    assert sizes[1] - whole == (sizes[0] - whole) // 2
    single, batches = (
        _counted(monkeypatch, "_backward"),
        _counted(monkeypatch, "_batched_over_ranks"),
    )
    _equal(one, two, few=True)
    assert set(two._packed_forwards) <= {two.layout.head}  # type: ignore[attr-defined]
    # All rows of a Jacobian run at once, as they do in one process.
    assert max(len(rows) for _, _, rows in batches) == conftest.HIDDEN
    n_of_one_process = len(single) - len(batches)
    assert n_of_one_process == len(batches)


def _counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    calls, own = [], getattr(derivatives, name)

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return own(*args, **kwargs)

    monkeypatch.setattr(derivatives, name, counting)
    return calls


def test_an_error_of_the_caller_ends_no_rank(origin: Path) -> None:
    two = load(origin, device="cpu", tensor_parallel=2)
    for _ in range(2):
        with pytest.raises(PromptError, match="prompt 1 has no tokens"):
            capture_last(two, [[1, 5], []], [1])
        with pytest.raises(RuntimeError, match="only within functions of lm"):
            two.model(input_ids=torch.tensor([[1, 5]]))
    # A generator that is left, and one within which other functions run.
    first = next(iter(next_token_logits(two, PROMPTS, ARMS, VECTORS)))[1]
    for index, logits in next_token_logits(two, PROMPTS[:2], ARMS, VECTORS, batch_rows=3):
        assert capture_last(two, PROMPTS, [1])[1].shape == (3, conftest.HIDDEN)
        if index == 0:
            np.testing.assert_allclose(logits, first, rtol=1e-4, atol=1e-5)
    assert default_rows(two, 5, 5) > 0


@pytest.mark.faults
def test_a_killed_rank_ends_the_run_in_one_sentence(origin: Path) -> None:
    two = load(origin, device="cpu", tensor_parallel=2)
    (follower,) = _followers()
    long = Sampling(max_new_tokens=100, n_samples=50, temperature=5.0)
    seen: list[int] = []

    def kill(_progress: Any) -> None:
        if not seen:
            follower.kill()
        seen.append(1)

    start = time.monotonic()
    with pytest.raises(ranks.RankError, match=r"rank 1 of 2 .* has ended \(exit code -9\)"):
        generate(two, PROMPTS, ARMS, VECTORS, long, on_progress=kill)
    assert time.monotonic() - start < 20
    with pytest.raises(ranks.RankError, match="has ended"):
        capture_last(two, PROMPTS, [1])
    again = load(origin, device="cpu", tensor_parallel=2)
    assert capture_last(again, PROMPTS, [1])[1].shape == (3, conftest.HIDDEN)
    # One that dies between two calls.
    _followers()[0].kill()
    with pytest.raises(ranks.RankError, match="has ended"):
        capture_last(again, PROMPTS, [1])
    assert not _followers()


@pytest.mark.faults
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_fails_alone_ends_the_run_in_one_sentence(origin: Path, rank: int) -> None:
    two = load(origin, device="cpu", tensor_parallel=2)
    start = time.monotonic()
    words = "at rank 0" if rank == 0 else "of the model failed: ArithmeticError: at rank 1"
    kind = ArithmeticError if rank == 0 else ranks.RankError
    with pytest.raises(kind, match=words):
        failing(two, rank)
    assert time.monotonic() - start < 20
    assert not _followers()


@on_every_rank
def failing(lm: LanguageModel, rank: int) -> None:
    """Fails at one rank, while the others wait for it in an exchange."""
    if torch.distributed.get_rank() == rank:
        raise ArithmeticError(f"at rank {rank}")
    capture_last(lm, PROMPTS, [1])


@pytest.mark.faults
def test_a_plan_that_leaves_gradients_partial_is_refused(origin: Path) -> None:
    two = load(origin, device="cpu", tensor_parallel=2)
    with pytest.raises(LanguageModelError, match="llama has other derivatives when it is divided"):
        with_partial_gradients(two)
    assert capture_last(two, PROMPTS, [1])[1].shape == (3, conftest.HIDDEN)


@on_every_rank
def with_partial_gradients(lm: LanguageModel) -> None:
    """Try the model with a plan that forgets to sum gradients before divided layers."""
    own = layers.Columns.forward
    layers.Columns.forward = lambda part, x: torch.nn.functional.linear(x, part.weight)
    try:
        divided.require_same_gradients(lm, "llama")
    finally:
        layers.Columns.forward = own


@pytest.mark.faults
def test_an_engine_has_ranks_of_its_own_which_end_with_it(origin: Path) -> None:
    opening = Opening(
        origin, ("weights", "tokenizer"), DEFAULT_DATE, "cpu", "float32", tensor_parallel=2
    )
    engines = Processes(1)
    try:
        piece = on_model(opening, 1, capture_last, {"prompts": PROMPTS, "layers": [1]})
        ((_, found),) = engines.run([piece])
        expected = capture_last(load(origin, device="cpu"), PROMPTS, [1])
        np.testing.assert_allclose(found[1], expected[1], rtol=TOLERANCE, atol=1e-5)
        (engine,) = [p for p in _followers() if p.children()]
        rank = [p for p in engine.children() if any("spawn_main" in word for word in p.cmdline())]
        assert len(rank) == 1
        engine.kill()
        assert psutil.wait_procs(rank, timeout=20)[0] == rank
    finally:
        engines.close()


def _followers() -> list[psutil.Process]:
    spawned = [p for p in psutil.Process(os.getpid()).children() if p.status() != "zombie"]
    return [p for p in spawned if any("spawn_main" in word for word in p.cmdline())]


@pytest.mark.faults
@pytest.mark.parametrize("name", TRIED)
def test_other_architectures_are_the_same_over_two_ranks(tmp_path: Path, name: str) -> None:
    own = conftest.cached_build if name in conftest.CONFIGS else architectures.build
    folder = _saved(own(name), tmp_path)
    _equal(load(folder, device="cpu"), load(folder, device="cpu", tensor_parallel=2))


@pytest.mark.faults
def test_four_ranks_and_half_precision(tmp_path: Path) -> None:
    folder = _saved(conftest.cached_build("gpt_neox"), tmp_path)
    _equal(load(folder, device="cpu"), load(folder, device="cpu", tensor_parallel=4))
    for dtype in ("bfloat16", "float16"):
        one = load(folder, device="cpu", dtype=dtype)
        two = load(folder, device="cpu", dtype=dtype, tensor_parallel=4)
        for expected, found in zip(_logits(one), _logits(two), strict=True):
            assert np.abs(expected - found).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpt2", "no plan by which GPT2LMHeadModel is divided"),
        ("lfm2", "no plan by which Lfm2ForCausalLM is divided"),
        ("heads", "has 3 heads, which are not divided evenly among 2"),
        ("key heads", "has 1 key heads, which are not divided evenly among 2"),
        ("quantised", "quantised weights"),
        ("device", "set numerics.device of the study to auto"),
    ],
)
def test_what_cannot_be_divided_is_refused_in_one_sentence(
    tmp_path: Path, name: str, words: str
) -> None:
    heads = {"heads": (3, 3), "key heads": (4, 1)}.get(name, (4, 2))
    config = tf.LlamaConfig(
        **{**conftest._COMMON, "hidden_size": 24, "num_attention_heads": heads[0]},
        intermediate_size=48,
        num_key_value_heads=heads[1],
    )
    config = conftest.CONFIGS["gpt2"]() if name == "gpt2" else config
    if name == "lfm2":  # a plan for the unembedding alone
        kind, sizes = architectures.CONFIGS[name]
        config = getattr(tf, kind)(**sizes)
    if name == "quantised":
        config.quantization_config = {"quant_method": "fp8", "weight_block_size": [8, 8]}
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    (tmp_path / "model.safetensors").write_bytes(b"")  # refused before weights are read
    with pytest.raises(LanguageModelError, match=words) as refused:
        load(tmp_path, device="cuda" if name == "device" else "cpu", tensor_parallel=2)
    assert "\n" not in str(refused.value)
