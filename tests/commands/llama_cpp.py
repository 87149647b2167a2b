"""llama.cpp itself, from the libraries of a package: its reader of control vectors and its logits.

The calls are those of `llama-server --control-vector FILE`: `common_control_vector_load`, then
`llama_set_adapter_cvec` for blocks 1 to the last. Structures of parameters are passed as they are
returned; `_OPAQUE` is larger than any of them.
"""

import ctypes as c
import os
from pathlib import Path
from typing import Any

import gguf
import numpy as np

_OPAQUE = 4096
_LOAD = "_Z26common_control_vector_loadRKSt6vectorI31common_control_vector_load_infoSaIS0_EE"
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "model.layers": "blk",
    "self_attn.o_proj": "attn_output",
    "self_attn.": "attn_",
    "mlp.": "ffn_",
    "_proj": "",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


class _Parameters(c.Structure):
    _fields_ = [("bytes", c.c_char * _OPAQUE), ("aligned", c.c_uint64 * 0)]


class _String(c.Structure):
    """`std::string` of libstdc++, whose text is elsewhere."""

    _fields_ = [("text", c.c_char_p), ("length", c.c_size_t), ("rest", c.c_size_t * 2)]


class _Wanted(c.Structure):
    _fields_ = [("strength", c.c_float), ("file", _String)]


class _Vector(c.Structure):
    """`std::vector`: first, end, end of the memory."""

    _fields_ = [("first", c.c_void_p), ("end", c.c_void_p), ("last", c.c_void_p)]


class _Loaded(c.Structure):
    _fields_ = [("width", c.c_int), ("data", _Vector)]


_silent = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)(lambda *_: None)


class LlamaCpp:
    """A model of a GGUF file, and its logits under a control vector."""

    def __init__(self, libraries: Path, model: Path) -> None:
        order = ("libggml-base.so", "libggml.", "libllama.", "libllama-common.so")
        named = [
            next(p for p in sorted(libraries.iterdir()) if p.name.startswith(n)) for n in order
        ]
        _, ggml, self._llama, self._common = (c.CDLL(str(p), c.RTLD_GLOBAL) for p in named)
        self._call("llama_log_set", None, c.c_void_p, c.c_void_p)(_silent, None)
        ggml.ggml_backend_load_all_from_path(os.fsencode(libraries))
        made = self._call("llama_model_default_params", _Parameters)()
        load = self._call("llama_model_load_from_file", c.c_void_p, c.c_char_p, _Parameters)
        self._model = load(os.fsencode(model), made)
        assert self._model, f"llama.cpp did not load {model}"
        vocabulary = self._call("llama_model_get_vocab", c.c_void_p, c.c_void_p)(self._model)
        self._n_vocab = self._call("llama_vocab_n_tokens", c.c_int, c.c_void_p)(vocabulary)
        self._n_layer = self._call("llama_model_n_layer", c.c_int, c.c_void_p)(self._model)

    def _call(self, name: str, result: Any, *arguments: Any) -> Any:
        found = getattr(self._llama, name)
        found.restype, found.argtypes = result, list(arguments)
        return found

    def logits(self, tokens: list[int], control: Path | None, strength: float) -> np.ndarray:
        """After the last token, steered at every token, float32 [v]."""
        made = self._call("llama_context_default_params", _Parameters)()
        start = self._call("llama_init_from_model", c.c_void_p, c.c_void_p, _Parameters)
        context = start(self._model, made)
        threads = self._call("llama_set_n_threads", None, c.c_void_p, c.c_int32, c.c_int32)
        threads(context, 1, 1)
        if control is not None:
            self._steer(context, control, strength)
        ids = (c.c_int32 * len(tokens))(*tokens)
        one = self._call("llama_batch_get_one", _Parameters, c.c_void_p, c.c_int32)(
            ids, len(tokens)
        )
        decode = self._call("llama_decode", c.c_int32, c.c_void_p, _Parameters)
        assert decode(context, one) == 0
        get = self._call("llama_get_logits_ith", c.POINTER(c.c_float), c.c_void_p, c.c_int32)
        logits = np.array(np.ctypeslib.as_array(get(context, -1), (self._n_vocab,)))
        self._call("llama_free", None, c.c_void_p)(context)
        return logits

    def _steer(self, context: int, control: Path, strength: float) -> None:
        width, rows = self.read(control, strength)
        apply = self._call(
            "llama_set_adapter_cvec",
            c.c_int32,
            *(c.c_void_p, c.c_void_p, c.c_size_t, c.c_int32, c.c_int32, c.c_int32),
        )
        flat = np.ascontiguousarray(rows)
        done = apply(context, flat.ctypes.data, flat.size, width, 1, self._n_layer)
        assert done == 0

    def read(self, control: Path, strength: float) -> tuple[int, np.ndarray]:
        """Width, and the vectors [block - 1, width] of blocks 1 on, as llama.cpp reads the file."""
        text = os.fsencode(control)
        wanted = _Wanted(strength, _String(text, len(text), (c.c_size_t * 2)(len(text), 0)))
        first = c.addressof(wanted)
        end = first + c.sizeof(_Wanted)
        mangled = (
            "_Z26common_control_vector_loadRKSt6vectorI31common_control_vector_load_infoSaIS0_EE"
        )
        load = getattr(self._common, mangled)
        load.restype, load.argtypes = _Loaded, [c.POINTER(_Vector)]
        found = load(c.byref(_Vector(first, end, end)))
        assert found.width > 0, f"llama.cpp did not read {control}"
        count = (found.data.end - found.data.first) // 4
        values = (c.c_float * count).from_address(found.data.first)
        return found.width, np.array(values, dtype=np.float32).reshape(-1, found.width)


def write_gguf(path: Path, model: Any) -> None:
    """The weights of a transformers llama without a tokenizer, float32."""
    config = model.config
    width = config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(width)
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(config.vocab_size)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":  # that of the embedding
            continue
        values = tensor.float().numpy()
        if "q_proj" in name or "k_proj" in name:
            values = _interleaved(values, width)
        writer.add_tensor(_name(name), np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _interleaved(values: np.ndarray, width: int) -> np.ndarray:
    """Rows of each head in the order of llama.cpp, which rotates neighbours instead of halves."""
    halves = values.reshape(-1, 2, width // 2, values.shape[1])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _name(name: str) -> str:
    for ours, theirs in _NAMES.items():
        name = name.replace(ours, theirs)
    return name
