from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
import torch

from steer_assets.lm.decoding import decode, memory
from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.forward.stepping import prepare, start_rows


@pytest.fixture
def machine(monkeypatch):
    def set_to(total, free):
        monkeypatch.setattr(memory, "machine_memory", lambda _device: (total, free))

    return set_to


def test_a_row_counts_its_keys_values_and_logits(llama):
    # 2 (keys, values) x 4 layers x 2 heads x 8 dimensions x 4 bytes per token, 101 logits.
    assert memory.row_bytes(llama, 10, 20) == 2 * 4 * 2 * 8 * 4 * (10 + 2 * 20) + 16 * 101


def test_rows_depend_on_total_memory_until_free_memory_is_short(llama, machine):
    row = memory.row_bytes(llama, 10, 20)
    machine(total=400 * row, free=400 * row)
    assert memory.default_rows(llama, 10, 20) == 100
    machine(total=400 * row, free=200 * row)
    assert memory.default_rows(llama, 10, 20) == 100
    machine(total=400 * row, free=60 * row)
    assert memory.default_rows(llama, 10, 20) == 25
    machine(total=400 * row, free=0)
    assert memory.default_rows(llama, 10, 20) == 1
    machine(total=10**15, free=10**15)
    assert memory.default_rows(llama, 10, 20) == 256


def test_short_memory_changes_batches_and_not_tokens(llama, prompts, vectors, machine):
    sampling = Sampling(max_new_tokens=6, n_samples=2)
    whole = generate(llama, prompts, [()], vectors, sampling)
    machine(total=10**9, free=3 * memory.row_bytes(llama, 17, 6))
    _require_same_texts(generate(llama, prompts, [()], vectors, sampling), whole)


def test_a_batch_that_does_not_fit_is_split(llama, prompts, vectors, monkeypatch):
    sampling = Sampling(max_new_tokens=6, n_samples=4)
    reports = []
    whole = generate(llama, prompts, [()], vectors, sampling)
    run, sizes = decode.run_together, []

    def small(job, batches, meter):
        sizes.append(sum(map(len, batches)))
        if sizes[-1] > 3:
            meter.advance(1)
            raise torch.OutOfMemoryError
        return run(job, batches, meter)

    monkeypatch.setattr(decode, "run_together", small)
    found = generate(llama, prompts, [()], vectors, sampling, on_progress=reports.append)
    _require_same_texts(found, whole)
    assert max(sizes) > 3 >= min(sizes)
    assert reports[-1].done == reports[-1].total
    monkeypatch.setattr(decode, "run_together", lambda *_: _out_of_memory())
    with pytest.raises(torch.OutOfMemoryError):
        generate(llama, prompts[:1], [()], vectors, sampling)


def _require_same_texts(found, expected):
    """Every token equal; log-probabilities to the rounding of another batch shape."""
    rounded = ("log_probability", "least_token_log_probability")
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name in rounded:
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5)
        assert replace(one, **dict.fromkeys(rounded, 0)) == replace(
            other, **dict.fromkeys(rounded, 0)
        )


def _out_of_memory():
    raise torch.OutOfMemoryError


def test_the_machine_has_more_memory_than_is_free():
    total, free = memory.machine_memory(torch.device("cpu"))
    assert 0 < free <= total


def test_a_model_is_small_by_its_weights_and_the_machine(llama, machine):
    size = sum(parameter.nbytes for parameter in llama.model.parameters())
    machine(total=21 * size, free=0)
    assert memory.small(llama)
    machine(total=19 * size, free=0)
    assert not memory.small(llama)


def test_a_finished_batch_gives_its_keys_back_at_once(llama):
    gc.disable()
    try:
        rows = start_rows(llama, prepare(llama, [[3, 8, 1]]), torch.zeros(2, dtype=torch.int64), 2)
        with torch.inference_mode():
            rows.step(torch.tensor([1, 1]))
        cache = weakref.ref(rows._cache)
        del rows
        assert cache() is None
    finally:
        gc.enable()
