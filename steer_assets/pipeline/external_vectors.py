"""Vectors that a user brought: they go through the same evidence as family `external`.

One safetensors file per vector under `external/<model>/<trait>/<name>.safetensors`, with a tensor
`layer_<l>` for each block it is meant for.
"""

from pathlib import Path

import numpy as np

from steer_assets.catalog.studies import Study
from steer_assets.paths import data_folder
from steer_assets.storage.files.hashing import hash_file
from steer_assets.storage.files.tensors import read_vectors, write_vectors
from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.storage.slugs import validate_slug


def _folder(layout: Layout, model: str, trait: str) -> Path:
    return layout.pair_file("external", model, trait, "")


def sources(key: PartitionKey, study: Study) -> dict[str, str]:
    """Content hashes of the user's vectors, as lineage names them."""
    folder = _folder(Layout(data_folder()), key["model"], key["trait"])
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    return {f"external/{path.stem}": hash_file(path) for path in files}


def read(layout: Layout, model: str, trait: str, layer: int) -> dict[str, np.ndarray]:
    """The user's vectors for one block, by name."""
    folder = _folder(layout, model, trait)
    found = {}
    for path in sorted(folder.glob("*.safetensors")) if folder.is_dir() else ():
        vectors = read_vectors(path)
        if f"layer_{layer}" in vectors:
            found[path.stem] = vectors[f"layer_{layer}"].astype(np.float64)
    return found


def add(layout: Layout, model: str, trait: str, name: str, vectors: dict[int, np.ndarray]) -> Path:
    """Store a user's vector for the next run; returns its path.

    What the name holds for other blocks stays; for the same block it is replaced.
    """
    path = _folder(layout, model, trait) / f"{validate_slug(name, 'vector')}.safetensors"
    named = read_vectors(path) if path.exists() else {}
    named |= {f"layer_{layer}": values for layer, values in vectors.items()}
    write_vectors(path, named, {"model": model, "trait": trait})
    return path
