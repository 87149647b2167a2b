"""Weights that are stored quantised: some are read as plain ones, others are refused by name.

Formats that transformers turns into plain weights without further packages (8-bit floats in blocks,
4-bit floats with shared exponents) are read as the numbers that they stand for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steer_assets.lm.errors import QuantisedWeightsError

#: `quant_method` of a configuration, and the class in transformers that reads it.
_READ = {"fp8": "FineGrainedFP8Config", "mxfp4": "Mxfp4Config"}


def check(folder: Path, declared: dict[str, Any]) -> None:
    """Raise QuantisedWeightsError for a format that is not read. declared: the configuration."""
    for part in [declared, *(part for part in declared.values() if isinstance(part, dict))]:
        for found in _formats(part):
            if found.get("quant_method") in _READ:
                continue
            method = found.get("quant_method") or found.get("format") or "an unnamed method"
            bits = next((n for n in (4, 8) if found.get(f"load_in_{n}bit")), found.get("bits"))
            how = f"{method}, {bits} bits" if bits else str(method)
            raise QuantisedWeightsError(
                f"{folder} is quantised ({how}); take the plain weights of the same model"
            )


def _formats(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    found = part.get("quantization_config") or part.get("compression_config")
    if isinstance(found, dict):
        yield found


def as_plain(config: Any) -> dict[str, Any]:
    """Arguments of `from_pretrained` that make quantised weights plain; none for plain ones."""
    import transformers

    found = getattr(config, "quantization_config", None)
    method = found.get("quant_method") if isinstance(found, dict) else None
    if method not in _READ:
        return {}
    return {"quantization_config": getattr(transformers, _READ[method])(dequantize=True)}
