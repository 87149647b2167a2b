"""Packed weights give the model's own products, only while decoding, and only where they may."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.forward import packing
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.forward.packing import packed_weights
from steer_assets.lm.model import LanguageModel

IDS = torch.tensor([[5, 9, 2, 7]])


def _logits(lm: LanguageModel) -> torch.Tensor:
    with torch.inference_mode():
        return lm.model(IDS).logits


def test_logits_are_the_models_own(llama: LanguageModel) -> None:
    plain = _logits(llama)
    with packed_weights(llama) as packed:
        assert torch.allclose(_logits(llama), plain, atol=1e-5)
    n_linear = sum(type(module) is nn.Linear for module in llama.model.modules())
    assert packed == n_linear > 0
    assert torch.equal(_logits(llama), plain)


def test_a_row_alone_gives_what_it_gives_in_a_batch(llama: LanguageModel) -> None:
    with packed_weights(llama), torch.inference_mode():
        together = llama.model(IDS.repeat(33, 1)).logits
        assert torch.allclose(llama.model(IDS).logits[0], together[17], atol=1e-5)


@pytest.mark.parametrize("memory", [1, 10**12])
def test_where_the_copy_would_take_too_much_memory_nothing_is_packed(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    monkeypatch.delattr(llama, "_packed_forwards", raising=False)
    monkeypatch.setattr(packing, "machine_memory", lambda _device: (memory, memory))
    with packed_weights(llama) as packed:
        assert bool(packed) == (memory > 1)
    monkeypatch.delattr(llama, "_packed_forwards", raising=False)


@pytest.mark.parametrize("wrong", ["every shape", "the head's shape"])
def test_a_kernel_that_computes_something_else_is_not_used(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    def packed_wrong(layer: nn.Linear) -> packing.Forward:
        fails = wrong == "every shape" or layer is llama.model.lm_head
        return lambda x: (
            (1.01 if fails else 1.0) * nn.functional.linear(x, layer.weight, layer.bias)
        )

    monkeypatch.delattr(llama, "_packed_forwards", raising=False)
    monkeypatch.setattr(packing, "_packed", packed_wrong)
    with packed_weights(llama) as packed:
        assert packed == 0
    monkeypatch.delattr(llama, "_packed_forwards", raising=False)


def test_sampled_texts_are_the_same_packed_or_not(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.random.default_rng(0).normal(size=(1, llama.hidden_size))
    run = lambda: [  # noqa: E731
        row.token_ids
        for row in generate(
            llama, [[3, 8, 1], [4, 4]], [(), (Addition(1, 0, 1.0),)], vectors, Sampling(6)
        )
    ]
    packed = run()
    monkeypatch.setattr(llama, "_packed_forwards", {}, raising=False)
    assert run() == packed
