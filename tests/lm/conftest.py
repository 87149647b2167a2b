"""Tiny random models of every architecture, built with no hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers as tf
from tokenizers import Tokenizer, models, pre_tokenizers

from steer_assets.lm.model import LanguageModel
from tests.sizes import in_full

from .reference import AllDouble

VOCAB = 101
LAYERS = 4
HIDDEN = 32
WINDOW = 6

_COMMON: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "initializer_range": 0.25,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_GATED = {**_COMMON, "intermediate_size": 48, "num_key_value_heads": 2}

CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: tf.LlamaConfig(**_GATED, tie_word_embeddings=True),
    "mistral": lambda: tf.MistralConfig(**_GATED, sliding_window=WINDOW),
    "qwen2": lambda: tf.Qwen2Config(**_GATED),
    "qwen3": lambda: tf.Qwen3Config(**_GATED, head_dim=16),
    "gemma2": lambda: tf.Gemma2Config(
        **_GATED,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=WINDOW,
        attn_logit_softcapping=5.0,
        final_logit_softcapping=4.0,
    ),
    "gemma3": lambda: tf.Gemma3TextConfig(
        **_GATED,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=WINDOW,
        layer_types=["sliding_attention"] * 3 + ["full_attention"],
    ),
    "phi3": lambda: tf.Phi3Config(**_GATED, sliding_window=WINDOW),
    "gpt2": lambda: tf.GPT2Config(
        vocab_size=VOCAB,
        n_embd=HIDDEN,
        n_layer=LAYERS,
        n_head=4,
        n_positions=128,
        initializer_range=0.25,
        bos_token_id=1,
        eos_token_id=2,
    ),
    "gpt_neox": lambda: tf.GPTNeoXConfig(**_COMMON, intermediate_size=64),
    "opt": lambda: tf.OPTConfig(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        ffn_dim=64,
        word_embed_proj_dim=16,
        max_position_embeddings=128,
        init_std=0.25,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    ),
    # Logit scaling: the slope of logits by scores is not one.
    "granite": lambda: tf.GraniteConfig(**_GATED, logits_scaling=3.0, residual_multiplier=0.7),
}

#: Plain attention, a sliding window with normalised queries, learned positions, parallel branches.
#: On all of them, `make test` compares sampling, next tokens and the self-test with plain forwards;
#: the rest is tried on these, and on all of them by `make faults`.
_FEW = ("llama", "gemma3", "gpt2", "gpt_neox")
_FEW_TRIED = [name if name in _FEW else in_full(name) for name in CONFIGS]
#: For what is computed from logits, also those whose head is not linear or has another scale.
_HEADS = (*_FEW, "gemma2", "granite")
_HEADS_TRIED = [name if name in _HEADS else in_full(name) for name in CONFIGS]


def word_tokenizer() -> Any:
    words = {"<pad>": 0, "<bos>": 1, "<eos>": 2} | {f"w{i}": i for i in range(3, VOCAB)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    )


def build(name: str, *, double: bool = False) -> LanguageModel:
    tf.set_seed(3)
    model = tf.AutoModelForCausalLM.from_config(CONFIGS[name]())
    return LanguageModel(model.double() if double else model, word_tokenizer())


cached_build = cache(build)


@pytest.fixture(params=list(CONFIGS))
def tiny(request: pytest.FixtureRequest) -> LanguageModel:
    return cached_build(request.param)


@pytest.fixture(params=_FEW_TRIED)
def few(request: pytest.FixtureRequest) -> LanguageModel:
    return cached_build(request.param)


@pytest.fixture(params=_HEADS_TRIED)
def heads(request: pytest.FixtureRequest) -> LanguageModel:
    return cached_build(request.param)


@pytest.fixture(params=_HEADS_TRIED)
def heads_double(request: pytest.FixtureRequest) -> Iterator[LanguageModel]:
    lm = cached_build(request.param, double=True)
    with AllDouble():
        yield lm


@pytest.fixture(scope="session")
def llama() -> LanguageModel:
    return cached_build("llama")


@pytest.fixture
def folder(tmp_path: Path, llama: LanguageModel) -> Path:
    """A hub-like folder of a tiny model."""
    path = tmp_path / "origin"
    llama.model.save_pretrained(path)
    llama.tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def prompts() -> list[list[int]]:
    rng = np.random.default_rng(0)
    shared = [1, 5, 9]
    return [shared + rng.integers(3, VOCAB, size=n).tolist() for n in (9, 1, 4, 9, 14)]


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    return 3.0 * np.random.default_rng(1).normal(size=(5, HIDDEN))
