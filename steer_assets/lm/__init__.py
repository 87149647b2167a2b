"""The language-model engine: load, intervene, capture, decode, differentiate; numpy interfaces."""

# Submodules are imported on use, because some take seconds.
__all__ = [
    "chat",
    "context",
    "decoding",
    "engines",
    "errors",
    "forward",
    "layout",
    "loading",
    "loading_report",
    "machine",
    "measurements",
    "model",
    "opened",
    "progress",
    "prompts",
    "self_test",
    "tensor_parallel",
    "texts",
    "thinking",
    "tokenizers",
]
