"""Models that cannot be divided over processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers as tf

from steer_assets.lm.errors import LanguageModelError
from steer_assets.lm.loading.loader import load
from tests.lm import architectures, conftest


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
