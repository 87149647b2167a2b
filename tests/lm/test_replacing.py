"""Contexts that change a model leave it as it was, in the order in which they nest."""

import torch
from torch import nn

from steer_assets.lm.forward.packing import packed_weights
from steer_assets.lm.forward.replacing import forwards_replaced, own_forward
from steer_assets.lm.forward.resuming import resuming


def test_the_outer_forward_comes_back_and_then_the_models_own() -> None:
    layer, x = nn.Linear(2, 2), torch.ones(1, 2)
    plain = layer(x)
    with forwards_replaced({layer: lambda _x: "outer"}):
        with forwards_replaced({layer: lambda _x: "inner"}):
            assert layer(x) == "inner"
        assert layer(x) == "outer"
    assert own_forward(layer) is None
    assert torch.equal(layer(x), plain)


def test_no_module_keeps_a_replaced_forward(llama) -> None:
    modules = list(llama.model.modules())
    with torch.inference_mode(), packed_weights(llama) as n_outer:
        hidden = torch.zeros(1, 1, llama.hidden_size)
        with resuming(llama, 1, hidden), packed_weights(llama) as n_inner:
            assert n_inner == n_outer
        assert all(own_forward(block) is None for block in llama.layout.blocks)
        assert sum(own_forward(module) is not None for module in modules) == n_outer
    assert not any(own_forward(module) for module in modules)
