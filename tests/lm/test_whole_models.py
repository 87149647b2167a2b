"""A model whose files do not match its config is rejected, with the names of the tensors."""

from __future__ import annotations

import json

import pytest
import torch

from steer_assets.lm import errors
from steer_assets.lm.loading.loader import Source, load, snapshot

from .conftest import HIDDEN, LAYERS, VOCAB, cached_build


def _rewritten(folder, change):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def _dropped(tensors, part):
    return {name: tensor for name, tensor in tensors.items() if part not in name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: _dropped(t, "layers.2."), "9 tensors are missing .*layers.2.input_layernorm"),
        (lambda t: {f"base.model.x.{k}": v for k, v in t.items()}, "missing .* belong to nothing"),
        (lambda t: t | {"model.extra": torch.zeros(3)}, r"1 tensor belongs to nothing \(.*extra\)"),
        (
            lambda t: t | {"model.norm.weight": torch.zeros(5)},
            r"1 tensor has another shape \(model.norm.weight 5 for 32\)",
        ),
    ],
)
def test_no_weight_is_ever_random(tmp_path, folder, change, message):
    _rewritten(folder, change)
    with pytest.raises(errors.WeightsError, match=message):
        snapshot(Source("folder", str(folder)), tmp_path / "copy")
    with pytest.raises(errors.WeightsError):
        load(folder)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"num_hidden_layers": LAYERS + 1}, errors.WeightsError, "missing"),
        ({"num_hidden_layers": LAYERS - 1}, errors.WeightsError, "belong to nothing"),
        (
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            errors.QuantisedWeightsError,
            r"quantised \(gptq, 4 bits\)",
        ),
        ({"is_encoder_decoder": True}, errors.SourceError, "encoder-decoder"),
    ],
)
def test_a_config_that_is_not_the_weights_own_is_refused(tmp_path, folder, change, error, message):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(error, match=message):
        snapshot(Source("folder", str(folder)), tmp_path / "copy")


def test_a_shard_that_the_index_names_and_nobody_has_is_refused(tmp_path, llama):
    llama.model.save_pretrained(tmp_path / "origin", max_shard_size="20KB")
    llama.tokenizer.save_pretrained(tmp_path / "origin")
    gone = sorted((tmp_path / "origin").glob("*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(errors.SourceError, match=f"lacks 1 of the files .*{gone.name}"):
        snapshot(Source("folder", str(tmp_path / "origin")), tmp_path / "copy")


def test_a_body_without_its_head_is_refused(tmp_path):
    lm = cached_build("qwen2")  # whose head is not tied to its embeddings
    lm.model.save_pretrained(tmp_path / "origin")
    lm.tokenizer.save_pretrained(tmp_path / "origin")
    _rewritten(tmp_path / "origin", lambda tensors: _dropped(tensors, "lm_head"))
    with pytest.raises(errors.WeightsError, match=r"1 tensor is missing \(lm_head.weight\)"):
        snapshot(Source("folder", str(tmp_path / "origin")), tmp_path / "copy")


def test_an_encoder_decoder_is_refused(tmp_path, folder):
    import transformers as tf

    config = tf.T5Config(
        vocab_size=VOCAB, d_model=HIDDEN, d_kv=8, d_ff=48, num_layers=2, num_heads=4
    )
    tf.T5ForConditionalGeneration(config).save_pretrained(folder)
    with pytest.raises(errors.SourceError, match=r"encoder-decoder \(t5\)"):
        snapshot(Source("folder", str(folder)), tmp_path / "copy")


def _llava(folder):
    import transformers as tf

    text = tf.LlamaConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=48, initializer_range=0.25,
    )  # fmt: skip
    vision = tf.CLIPVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        image_size=8, patch_size=4,
    )  # fmt: skip
    config = tf.LlavaConfig(vision_config=vision, text_config=text, image_token_index=VOCAB - 1)
    model = tf.LlavaForConditionalGeneration(config)
    model.save_pretrained(folder)
    return model.eval()


def test_the_text_part_of_a_wrapper_is_the_wrapper_on_text(tmp_path, folder):
    wrapper = _llava(folder)
    found = snapshot(Source("folder", str(folder)), tmp_path / "copy").facts
    assert (found.architecture, found.n_layers) == ("LlamaForCausalLM", 3)
    ids = torch.tensor([[5, 9, 14, 23]])
    with torch.no_grad():
        expected = wrapper(input_ids=ids).logits
        own = load(tmp_path / "copy", device="cpu").model(input_ids=ids).logits
    assert torch.equal(own, expected)


def test_a_wrapper_that_lacks_a_tensor_is_refused(tmp_path, folder):
    _llava(folder)
    _rewritten(folder, lambda tensors: _dropped(tensors, "layers.2.mlp"))
    with pytest.raises(errors.WeightsError, match=r"3 tensors are missing .*layers.2.mlp"):
        snapshot(Source("folder", str(folder)), tmp_path / "copy")


def test_an_encoder_is_refused(tmp_path, folder):
    import transformers as tf

    config = tf.BertConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, initializer_range=0.25,
    )  # fmt: skip
    tf.BertForMaskedLM(config).save_pretrained(folder)
    with pytest.raises(errors.SelfTestError, match="later tokens change earlier positions"):
        snapshot(Source("folder", str(folder)), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
