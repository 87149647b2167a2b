"""Tiny random models of many block kinds, beside the plain ones of ``conftest``."""

from __future__ import annotations

from functools import cache
from typing import Any

import transformers as tf

from steer_assets.lm.model import LanguageModel

from .conftest import _COMMON, _GATED, HIDDEN, LAYERS, VOCAB, WINDOW, word_tokenizer

_IDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_OLD = {"vocab_size": VOCAB, "initializer_range": 0.25, **_IDS}
_HEADS16 = {**_GATED, "head_dim": 16}
_STATE: dict[str, Any] = {**_OLD, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS}
_MAMBA2 = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_expand": 2,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_LINEAR = {
    "linear_key_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"] * 2,
}
_ALTERNATING = ["sliding_attention", "full_attention"] * 2

#: Name of the configuration class, and what makes it tiny.
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    # Plain attention of other makes.
    "bloom": ("BloomConfig", {**_OLD, "hidden_size": HIDDEN, "n_layer": LAYERS, "n_head": 4}),
    "falcon": ("FalconConfig", {**_COMMON, "alibi": False, "new_decoder_architecture": False}),
    "falcon_alibi": ("FalconConfig", {**_COMMON, "alibi": True}),
    "gptj": (
        "GPTJConfig",
        {**_OLD, "n_embd": HIDDEN, "n_layer": LAYERS, "n_head": 4, "rotary_dim": 8},
    ),
    "gpt_neo": (
        "GPTNeoConfig",
        {
            **_OLD,
            "hidden_size": HIDDEN,
            "num_layers": LAYERS,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 2]],
            "window_size": WINDOW,
            "max_position_embeddings": 128,
        },
    ),
    "phi": ("PhiConfig", {**_COMMON, "intermediate_size": 48}),
    "olmo2": ("Olmo2Config", _GATED),
    "olmo3": ("Olmo3Config", {**_GATED, "sliding_window": WINDOW, "layer_types": _ALTERNATING}),
    "starcoder2": ("Starcoder2Config", {**_GATED, "sliding_window": WINDOW}),
    "cohere": ("CohereConfig", _GATED),
    "cohere2": ("Cohere2Config", {**_GATED, "sliding_window": WINDOW, "layer_types": _ALTERNATING}),
    "smollm3": ("SmolLM3Config", {**_GATED, "no_rope_layers": [1, 1, 1, 0]}),
    "glm4": ("Glm4Config", {**_HEADS16}),
    "exaone4": ("Exaone4Config", {**_GATED, "sliding_window": WINDOW, "layer_types": _ALTERNATING}),
    "nemotron": ("NemotronConfig", _GATED),
    # Mixtures of experts, sinks, compressed keys.
    "mixtral": ("MixtralConfig", {**_GATED, "num_local_experts": 4}),
    "qwen3_moe": ("Qwen3MoeConfig", {**_HEADS16, **_EXPERTS, "moe_intermediate_size": 16}),
    "olmoe": ("OlmoeConfig", {**_GATED, **_EXPERTS}),
    "gpt_oss": (
        "GptOssConfig",
        {**_HEADS16, "num_local_experts": 4, "sliding_window": WINDOW, "layer_types": _ALTERNATING},
    ),
    "deepseek_v3": (
        "DeepseekV3Config",
        {
            **_GATED,
            "num_key_value_heads": 4,
            "moe_intermediate_size": 16,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_group": 2,
            "topk_group": 1,
            "kv_lora_rank": 8,
            "q_lora_rank": 8,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 8,
            "first_k_dense_replace": 1,
        },
    ),
    # State-space and recurrent.
    "mamba": ("MambaConfig", {**_STATE, "state_size": 8}),
    "mamba2": (
        "Mamba2Config",
        {
            **_STATE,
            "state_size": 8,
            "num_heads": 8,
            "head_dim": 8,
            "expand": 2,
            "n_groups": 1,
            "chunk_size": 8,
        },
    ),
    "falcon_mamba": ("FalconMambaConfig", {**_STATE, "state_size": 8}),
    "rwkv": ("RwkvConfig", {**_STATE, "attention_hidden_size": HIDDEN, "context_length": 128}),
    "recurrent_gemma": (
        "RecurrentGemmaConfig",
        {
            **_GATED,
            "head_dim": 8,
            "lru_width": HIDDEN,
            "attention_window_size": 64,
            "block_types": ["recurrent", "recurrent", "attention"],
        },
    ),
    # Hybrids.
    "jamba": (
        "JambaConfig",
        {
            **_GATED,
            **_EXPERTS,
            "mamba_d_state": 8,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "use_mamba_kernels": False,
        },
    ),
    "zamba2": (
        "Zamba2Config",
        {
            **_GATED,
            **{k: v for k, v in _MAMBA2.items() if k != "mamba_n_heads" and k != "mamba_d_head"},
            "n_mamba_heads": 8,
            "mamba_ngroups": 1,
            "num_mem_blocks": 1,
            "hybrid_layer_ids": [1, 3],
            "layers_block_type": ["mamba", "hybrid"] * 2,
        },
    ),
    "bamba": ("BambaConfig", {**_GATED, **_MAMBA2, "attn_layer_indices": [1, 3]}),
    "granitemoehybrid": (
        "GraniteMoeHybridConfig",
        {
            **_GATED,
            **_MAMBA2,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 16,
            "layer_types": ["mamba", "attention"] * 2,
        },
    ),
    "falcon_h1": ("FalconH1Config", {**_GATED, **_MAMBA2, "mamba_d_ssm": 64}),
    "lfm2": (
        "Lfm2Config",
        {**_GATED, "layer_types": ["conv", "full_attention"] * 2, "block_multiple_of": 8},
    ),
    "qwen3_next": (
        "Qwen3NextConfig",
        {
            **_HEADS16,
            **_LINEAR,
            **_EXPERTS,
            "moe_intermediate_size": 16,
            "shared_expert_intermediate_size": 16,
        },
    ),
    "qwen3_5": ("Qwen3_5TextConfig", {**_HEADS16, **_LINEAR}),
    # Head sizes that differ, shared keys and values, several streams.
    "gemma4": (
        "Gemma4TextConfig",
        {
            **_GATED,
            "head_dim": 8,
            "global_head_dim": 16,
            "sliding_window": WINDOW,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": VOCAB,
            "layer_types": _ALTERNATING,
            "num_kv_shared_layers": 0,
        },
    ),
    "gemma4_shared": (
        "Gemma4TextConfig",
        {
            **_GATED,
            "head_dim": 8,
            "global_head_dim": 16,
            "sliding_window": WINDOW,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": VOCAB,
            "layer_types": _ALTERNATING,
            "num_kv_shared_layers": 2,
        },
    ),
    "gemma3n": (
        "Gemma3nTextConfig",
        {
            **_GATED,
            "head_dim": 8,
            "sliding_window": WINDOW,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": VOCAB,
            "layer_types": _ALTERNATING,
            "num_kv_shared_layers": 2,
            "laurel_rank": 4,
            "activation_sparsity_pattern": [0.0] * 4,
        },
    ),
}

#: Kinds that are refused, and the block that the refusal names.
REFUSED = {"gemma3n": "Gemma3nTextDecoderLayer"}


@cache
def build(name: str) -> LanguageModel:
    kind, settings = CONFIGS[name]
    tf.set_seed(3)
    return LanguageModel(
        tf.AutoModelForCausalLM.from_config(getattr(tf, kind)(**settings)), word_tokenizer()
    )
