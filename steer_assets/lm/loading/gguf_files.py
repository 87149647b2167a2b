"""Reads GGUF through transformers: all parts of a split file, and all tensors.

transformers opens one file and silently ignores tensors that it does not map. Here a reader joins
the parts, and an ignored tensor is an error.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
from transformers import modeling_gguf_pytorch_utils as conversion

from steer_assets.lm.errors import SourceError, WeightsError
from steer_assets.lm.loading.gguf_reader import Reader
from steer_assets.lm.loading.sources import parts_of

_SHOWN = 3


@contextmanager
def parsed_once() -> Iterator[None]:
    """Parse a GGUF's fields once instead of for configuration, weights and tokenizer each.

    Parsing a vocabulary takes seconds, and transformers creates a new reader for each of them. It
    also builds the map of tensor names anew for every module of the model.
    """
    faster = (
        (gguf, "GGUFReader", functools.cache(functools.partial(_joined, Reader))),
        (gguf, "get_tensor_name_map", functools.cache(gguf.get_tensor_name_map)),
        (conversion, "load_gguf_checkpoint", _fields_once(conversion.load_gguf_checkpoint)),
    )
    own = [vars(module)[name] for module, name, _ in faster]
    for module, name, replacement in faster:
        vars(module)[name] = replacement
    try:
        yield
    finally:
        for (module, name, _), before in zip(faster, own, strict=True):
            vars(module)[name] = before


def _fields_once(load: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """``load_gguf_checkpoint``, whose fields without tensors are kept by path."""
    found: dict[str, dict[str, Any]] = {}

    @functools.wraps(load)
    def read(path: str, return_tensors: bool = False, **options: Any) -> dict[str, Any]:
        if return_tensors:
            return load(path, return_tensors=True, **options)
        if str(path) not in found:
            found[str(path)] = load(path, return_tensors=False, **options)
        # The caller may change what it gets.
        return {k: dict(v) if isinstance(v, dict) else v for k, v in found[str(path)].items()}

    return read


def _joined(reader: Any, path: str | Path) -> Any:
    """The first part's fields with the tensors of all parts."""
    parts = parts_of(Path(path))
    whole = reader(parts[0])
    declared = _field(whole, "split.count") or 1
    if declared != len(parts) and declared > 1:
        raise SourceError(
            f"{path} is one of {declared} parts of a split GGUF; give it under the name it was "
            f"published with (NAME-00001-of-{declared:05d}.gguf), all parts in one folder"
        )
    whole.tensors = [*whole.tensors, *(t for part in parts[1:] for t in reader(part).tensors)]
    expected = _field(whole, "split.tensors.count")
    if expected and expected != len(whole.tensors):
        raise SourceError(
            f"the {len(parts)} parts of {parts[0]} hold {len(whole.tensors)} tensors where "
            f"{expected} are expected; fetch them again"
        )
    return whole


def _field(reader: Any, name: str) -> Any:
    field = reader.get_field(name)
    return None if field is None else field.contents()


def require_all_used(path: Path, model: Any) -> None:
    """Raise WeightsError if the file has tensors that were loaded into no weight of ``model``.

    A tensor is used if transformers maps its name to a weight, or splits it into several (experts),
    in which case the model has as many numbers as the file. Call it within ``parsed_once``.
    """
    reader = gguf.GGUFReader(str(path))
    architecture = _field(reader, "general.architecture")
    kind = conversion.TENSOR_PROCESSORS.get(architecture, conversion.TensorProcessor)
    processor = kind(config=model.config.to_dict())
    mapped = conversion.get_gguf_hf_weights_map(model, processor)
    unmapped = sorted(str(t.name) for t in reader.tensors if t.name not in mapped)
    held = sum(math.prod(map(int, t.shape)) for t in reader.tensors)
    if unmapped and held != _numbers(model):
        named = ", ".join(unmapped[:_SHOWN]) + (", ..." if len(unmapped) > _SHOWN else "")
        raise WeightsError(
            f"{path} holds {len(unmapped)} tensors that transformers has no place for ({named}), "
            "so that another model would be measured; take the safetensors of the same model"
        )


def _numbers(model: Any) -> int:
    """Number of elements of the model's weights, tied ones counted once."""
    distinct = {tensor.data_ptr(): tensor.numel() for tensor in model.state_dict().values()}
    return sum(distinct.values())
