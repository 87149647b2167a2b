from __future__ import annotations

import pytest
import torch
import transformers as tf
from torch import nn

from steer_assets.lm.errors import UnknownLayoutError
from steer_assets.lm.forward.stepping import shares_prefixes
from steer_assets.lm.layout import find_layout

from .conftest import HIDDEN, LAYERS, VOCAB


def test_blocks_are_found_by_structure(tiny):
    assert (tiny.n_layers, tiny.hidden_size, tiny.vocab_size) == (LAYERS, HIDDEN, VOCAB)
    assert (tiny.device, tiny.dtype) == ("cpu", "float32")


def test_shared_prefix_attention_reproduces_every_architecture(tiny):
    assert shares_prefixes(tiny)


def test_experts_inside_a_block_are_not_taken_for_blocks():
    config = tf.LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=0,
    )
    model = tf.LlamaForCausalLM(config)
    model.model.layers[0].experts = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
    assert find_layout(model).blocks == tuple(model.model.layers)


def test_two_lists_of_blocks_are_refused(llama):
    model = tf.LlamaForCausalLM(llama.model.config)
    model.model.twins = nn.ModuleList([nn.Identity() for _ in range(LAYERS)])
    with pytest.raises(UnknownLayoutError, match="2 module lists of 4 blocks"):
        find_layout(model)


def test_blocks_called_out_of_order_are_refused(llama):
    model = tf.LlamaForCausalLM(llama.model.config)
    layers = model.model.layers
    layers[0].forward, layers[1].forward = lambda h, **k: layers[1](h, **k), layers[1].forward
    with pytest.raises(UnknownLayoutError, match=r"order \[1, 0, 1, 2, 3\]"):
        find_layout(model)


def test_an_encoder_decoder_is_refused():
    config = tf.T5Config(vocab_size=11, d_model=8, d_ff=8, num_layers=1, num_heads=2, d_kv=4)
    with pytest.raises(UnknownLayoutError, match="encoder-decoder"):
        find_layout(tf.T5ForConditionalGeneration(config))


def test_a_model_without_unembedding_is_refused(llama):
    with pytest.raises(UnknownLayoutError, match="no linear unembedding"):
        find_layout(tf.LlamaModel(llama.model.config))


def test_the_probe_leaves_no_hook(llama):
    before = [len(block._forward_hooks) for block in llama.layout.blocks]
    find_layout(llama.model)
    assert [len(block._forward_hooks) for block in llama.layout.blocks] == before
    assert torch.is_grad_enabled()
