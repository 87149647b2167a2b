"""A model over two processes gives what it gives in one, and ends in a sentence if one is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from steer_assets.lm.chat import DEFAULT_DATE
from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.decoding.memory import default_rows
from steer_assets.lm.engines import on_model
from steer_assets.lm.errors import LanguageModelError, PromptError
from steer_assets.lm.loading import divided
from steer_assets.lm.loading.loader import load
from steer_assets.lm.measurements import backward, derivatives
from steer_assets.lm.measurements.capture import capture_last
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.opened import Opening
from steer_assets.lm.tensor_parallel import layers, ranks
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank
from steer_assets.parallel_processes import Processes
from tests.lm import architectures, conftest
from tests.lm.measured import ARMS, PROMPTS, TOLERANCE, VECTORS, equal, logits_of, saved

#: Architectures whose plans divide layers in different ways.
TRIED = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt_neox", "granite"]
TRIED += ["olmo2", "olmo3", "starcoder2", "cohere", "cohere2", "smollm3", "glm4", "exaone4"]
TRIED += ["mixtral", "qwen3_moe", "olmoe", "deepseek_v3", "jamba", "qwen3_next", "gemma4", "phi"]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(conftest.cached_build("llama"), tmp_path_factory.mktemp("ranks") / "origin")


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
    single = _counted(monkeypatch, backward, "_backward")
    batches = _counted(monkeypatch, derivatives, "batched_over_ranks")
    equal(one, two, few=True)
    assert set(two._packed_forwards) <= {two.layout.head}  # type: ignore[attr-defined]
    # All rows of a Jacobian run at once, as they do in one process.
    assert max(len(rows) for _, _, rows in batches) == conftest.HIDDEN
    n_of_one_process = len(single) - len(batches)
    assert n_of_one_process == len(batches)


def _counted(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> list[Any]:
    calls, own = [], getattr(module, name)

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return own(*args, **kwargs)

    monkeypatch.setattr(module, name, counting)
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
    folder = saved(own(name), tmp_path)
    equal(load(folder, device="cpu"), load(folder, device="cpu", tensor_parallel=2))


@pytest.mark.faults
def test_four_ranks_and_half_precision(tmp_path: Path) -> None:
    folder = saved(conftest.cached_build("gpt_neox"), tmp_path)
    equal(load(folder, device="cpu"), load(folder, device="cpu", tensor_parallel=4))
    for dtype in ("bfloat16", "float16"):
        one = load(folder, device="cpu", dtype=dtype)
        two = load(folder, device="cpu", dtype=dtype, tensor_parallel=4)
        for expected, found in zip(logits_of(one), logits_of(two), strict=True):
            assert np.abs(expected - found).max() < 0.05 * np.abs(expected).max()
