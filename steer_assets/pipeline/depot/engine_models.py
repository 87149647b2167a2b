"""The model of an engine, brought from the depot to a host that may not have it.

An engine of Ray runs on any host of the cluster, and with a depot every host has its own disk.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from steer_assets.parallel_processes import Piece
from steer_assets.paths import data_folder
from steer_assets.storage.depot.depot import configured
from steer_assets.storage.depot.mirror import Mirror
from steer_assets.storage.depot.records import Artifact
from steer_assets.storage.layout import Layout

SNAPSHOT = "model_snapshot"


def with_model(piece: Piece, model: str, weights: str) -> Piece:
    """A piece that first brings the model to the host that it runs on.

    Args:
        piece: opens the model's snapshot in the data folder.
        model: its partition.
        weights: content hash of the weights, so that a snapshot made anew is brought again.
    """
    return Piece(_run, {"piece": piece, "model": model, "weights": weights})


def _run(piece: Piece, model: str, weights: str) -> Any:
    _bring(model, weights)
    return piece()


@cache
def _bring(model: str, weights: str) -> None:
    """Once per process and snapshot, because every look asks the depot."""
    if depot := configured():
        artifact = Artifact.of(SNAPSHOT, {"model": model})
        Mirror(depot, Layout(data_folder())).bring(artifact, lambda _: True)
