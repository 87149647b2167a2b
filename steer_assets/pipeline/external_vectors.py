"""User-supplied vectors, which are tested in the same way as all others, as family `external`.

One safetensors file per vector under `external/<model>/<trait>/<name>.safetensors`, with a tensor
`layer_<l>`, unscaled, for each block the vector is meant for. The requested scale is stored as
text, because it may depend on v, which is not known at import time.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from steer_assets.catalog.studies import Study
from steer_assets.paths import data_folder
from steer_assets.storage.files.hashing import hash_file
from steer_assets.storage.files.tensors import read_described, write_vectors
from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.storage.slugs import validate_slug

#: The scale that gives a vector the length of the model's own v at that block.
LENGTH_OF_V = "v"


@dataclass(frozen=True, eq=False)
class Brought:
    """A user's vector [d] for one block, and its requested scale: a number, or `v`."""

    values: Float[np.ndarray, " d"]
    scale: str = "1"

    def scaled(self, v: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        """The scaled vector, given the model's own vector `v`."""
        if self.scale == LENGTH_OF_V:
            return self.values * float(np.linalg.norm(v) / np.linalg.norm(self.values))
        return self.values * float(self.scale)


def parse_scale(text: str) -> str:
    """The text, if it is `v` or a finite non-zero number; raises ValueError otherwise."""
    if text == LENGTH_OF_V:
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number == 0:
        raise ValueError(f"the scale {text!r} is neither a number other than 0 nor v")
    return text


def _folder(layout: Layout, model: str, trait: str) -> Path:
    return layout.pair_file("external", model, trait, "")


def _files(layout: Layout, model: str, trait: str) -> Iterator[Path]:
    folder = _folder(layout, model, trait)
    yield from sorted(folder.glob("*.safetensors")) if folder.is_dir() else ()


def sources(key: PartitionKey, study: Study) -> dict[str, str]:
    """Content hashes of the user's vectors, keyed as in lineage."""
    files = _files(Layout(data_folder()), key["model"], key["trait"])
    return {f"external/{path.stem}": hash_file(path) for path in files}


def read(layout: Layout, model: str, trait: str, layer: int) -> dict[str, Brought]:
    """The user's vectors for one block, by name."""
    found = {}
    for path in _files(layout, model, trait):
        vectors, about = read_described(path)
        if f"layer_{layer}" in vectors:
            values = vectors[f"layer_{layer}"].astype(np.float64)
            found[path.stem] = Brought(values, _scales(about).get(str(layer), "1"))
    return found


def _scales(about: dict[str, str]) -> dict[str, str]:
    """Scale by block, where it differs from 1."""
    return dict(json.loads(about.get("scales", "{}")))


def add(
    layout: Layout,
    model: str,
    trait: str,
    name: str,
    vectors: dict[int, np.ndarray],
    scale: str = "1",
) -> Path:
    """Store a user's vectors by block, with `scale`, for the next run; returns the path.

    Vectors of the same name for other blocks are kept; for the same block they are replaced.
    """
    path = _folder(layout, model, trait) / f"{validate_slug(name, 'vector')}.safetensors"
    named, about = read_described(path) if path.exists() else ({}, {})
    named |= {f"layer_{layer}": values for layer, values in vectors.items()}
    scales = _scales(about) | {str(layer): scale for layer in vectors}
    about = {"model": model, "trait": trait, "scales": json.dumps(scales, sort_keys=True)}
    write_vectors(path, named, about)
    return path
