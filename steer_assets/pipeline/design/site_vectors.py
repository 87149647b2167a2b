"""Vectors and activations of a site, as `protocol_vectors` stores them."""

import numpy as np
import polars as pl

from steer_assets.catalog.protocols import Protocol, variants
from steer_assets.pipeline.design import protocol_sites
from steer_assets.pipeline.design.arms import Arm
from steer_assets.pipeline.design.protocol_sites import Site
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.files.hdf5 import read_array
from steer_assets.storage.files.tensors import read_vectors

#: Folder of these files within the data folder.
ROOM = "protocols"


class NotMadeError(ValueError):
    """A vector that does not exist at a site; the message gives the reason."""


def made_arms(run: StageRun, protocol: Protocol, name: str, layer: int) -> list[Arm]:
    """The arms of the text set `name` at one block whose vectors exist at its site."""
    site = protocol_sites.site_of(variants(protocol)[name])
    rows = run.rows("protocol_vectors")
    made = set(rows.filter((pl.col("site") == site.name) & (pl.col("reason") == ""))["vector_id"])
    arms = protocol_sites.arms(run.study, protocol, name, layer)
    return [arm for arm in arms if arm.vector_id in made]


def read_site(run: StageRun, site: Site, ids: list[str]) -> np.ndarray:
    """The named vectors [n, d] of a site, in the given order.

    Raises:
        NotMadeError: one of them could not be made there.
    """
    path = run.layout.pair_file(ROOM, run.model, run.trait, ".safetensors")
    stored = read_vectors(path)
    if not ids:
        return np.empty((0, run.model_facts()["hidden_size"]))
    if absent := [one for one in ids if f"{site.name}/{one}" not in stored]:
        rows = run.rows("protocol_vectors").filter(
            (pl.col("site") == site.name) & (pl.col("reason") != "")
        )
        of = dict(rows.select("vector_id", "reason").iter_rows())
        reason = of.get(absent[0]) or "; ".join(dict.fromkeys(of.values())) or "it was not made"
        raise NotMadeError(f"{absent[0]} at {site.name}: {reason}")
    return np.stack([stored[f"{site.name}/{vector_id}"] for vector_id in ids])


def read_contrast(run: StageRun, site: Site, layer: int) -> np.ndarray:
    """Activations float32 [n, d] of the contrast prompts where the site reads v for `layer`."""
    path = run.layout.pair_file(ROOM, run.model, run.trait, ".h5")
    return read_array(path, f"{'raw' if site.raw else 'chat'}/{site.read_layer(layer)}")
