"""Vectors and activations of a site, as `protocol_vectors` stores them."""

import numpy as np

from steer_assets.pipeline.design.protocol_sites import Site
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.files.hdf5 import read_array
from steer_assets.storage.files.tensors import read_vectors

#: Folder of these files within the data folder.
ROOM = "protocols"


def read_site(run: StageRun, site: Site, ids: list[str]) -> np.ndarray:
    """The named vectors [n, d] of a site, in the given order."""
    path = run.layout.pair_file(ROOM, run.model, run.trait, ".safetensors")
    stored = read_vectors(path)
    return np.stack([stored[f"{site.name}/{vector_id}"] for vector_id in ids])


def read_contrast(run: StageRun, site: Site, layer: int) -> np.ndarray:
    """Activations float32 [n, d] of the contrast prompts where the site reads v for `layer`."""
    path = run.layout.pair_file(ROOM, run.model, run.trait, ".h5")
    return read_array(path, f"{'raw' if site.raw else 'chat'}/{site.read_layer(layer)}")
