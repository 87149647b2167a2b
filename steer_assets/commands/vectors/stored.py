"""What a data folder holds about the vectors of a model and a trait."""

import json
from typing import Any

import numpy as np

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.files.tensors import read_vectors
from steer_assets.storage.layout import Layout


def facts(layout: Layout, model: str, trait: str) -> dict[str, Any]:
    """The row of `models`, which the first run of a model writes.

    Raises:
        CatalogError: no run of the model has been made.
    """
    catalog.model_entry(model)
    catalog.trait(trait)
    path = layout.part("models", {"model": model})
    if not path.exists():
        raise CatalogError(
            f"the width and the blocks of {model} are not known before its snapshot is made: "
            f"`steer run --model {model} --trait {trait}` first"
        )
    return read_part(path).row(0, named=True)


def stored(layout: Layout, model: str, trait: str) -> dict[str, np.ndarray]:
    """Vectors of the partition by id, float64 [d]; empty before its first run."""
    path = layout.pair_file("vectors", model, trait, ".safetensors")
    return read_vectors(path) if path.exists() else {}


def architecture(layout: Layout, model: str) -> str:
    """`model_type` of the model's configuration, such as `llama`."""
    return str(json.loads((layout.model(model) / "config.json").read_text())["model_type"])
