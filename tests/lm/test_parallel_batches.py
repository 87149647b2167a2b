"""Batches side by side give the rows that one batch gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from steer_assets import parallel_batches
from steer_assets.lm.decoding import decode, memory
from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.forward.intervene import Addition, ArmTable, Steering
from tests.lm.conftest import cached_build
from tests.lm.reference import same_texts
from tests.sizes import in_full

ARMS = [(), (Addition(1, 0, 1.0),), (Addition(0, 1, -1.0), Addition(3, 2, 0.5))]
SAMPLED = Sampling(max_new_tokens=10, n_samples=3, temperature=0.8, seed=11)


@pytest.mark.parametrize("n_lanes", [in_full(2), 3])
@pytest.mark.parametrize("model", ["llama", *map(in_full, ("gemma3", "gpt2", "gpt_neox"))])
def test_lanes_do_not_change_tokens(model, prompts, vectors, monkeypatch, n_lanes):
    lm = cached_build(model)
    alone = generate(lm, prompts, ARMS, vectors, SAMPLED)
    started, pool = [], parallel_batches._pool
    monkeypatch.setattr(decode, "default_lanes", lambda *_: n_lanes)
    monkeypatch.setattr(parallel_batches, "_pool", lambda n: started.append(n) or pool(n))
    seen = []
    found = generate(lm, prompts, ARMS, vectors, SAMPLED, batch_rows=30, on_progress=seen.append)
    same_texts(found, alone)
    assert set(started) == {n_lanes}
    assert len(started) == 2 * n_lanes  # 45 rows, 30 at once
    assert seen[-1].done == seen[-1].total == 45 * 10
    assert [report.done for report in seen] == sorted(report.done for report in seen)


def test_an_accelerator_and_a_small_batch_have_one_lane(llama, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert [memory.default_lanes(llama, n) for n in (0, 1, 95, 96, 160, 1000)] == [1, 1, 1, 2, 3, 4]
    monkeypatch.setattr(llama, "torch_device", torch.device("cuda"))
    assert memory.default_lanes(llama, 1000) == 1


def test_a_thread_that_named_no_rows_is_not_steered(llama):
    steering = Steering(ArmTable(llama, [(Addition(1, 0, 1.0),)], np.ones((1, 32))))
    edit = steering.edits()[1]
    steering.set_rows(torch.tensor([0]))
    hidden = torch.zeros(1, 1, 32)
    assert torch.equal(edit(hidden), torch.ones(1, 1, 32))
    assert parallel_batches.side_by_side([lambda: edit(hidden), lambda: edit(hidden)]) == [
        None,
        None,
    ]
