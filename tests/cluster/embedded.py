"""The tiny model in a cluster, and what one process makes of two pairs, for comparison."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.automation.killing import versions
from tests.cluster.cluster import Cluster, cluster
from tests.tiny import MODEL, STUDY, living_in, make_world, write_model, write_scorer

TRAITS = ("formality", "sentiment")
PAIRS = tuple(f"{MODEL}|{trait}" for trait in TRAITS)
_RUN = f"""
from steer_assets.automation.runner import materialise
from steer_assets.catalog import catalog
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout
materialise(Layout(data_folder()), ["{MODEL}"], {list(TRAITS)}, catalog.study("{STUDY}"))
"""


def write_sources(root: Path) -> tuple[Path, Path]:
    """Folders of a model and a scorer, made once."""
    source, scorer = root / "source", root / "scorer"
    return (
        source if source.exists() else write_model(source),
        scorer if scorer.exists() else write_scorer(scorer),
    )


def make_embedded(root: Path, **settings: str) -> dict[str, str]:
    """Data versions of the embedded run: one process, SQLite; environment besides."""
    source, scorer = write_sources(root)
    world = make_world(root / "embedded", source=source, scorer=scorer)
    environment = {**os.environ, **world.environment, "MLFLOW_TRACKING_URI": "off", **settings}
    subprocess.run([sys.executable, "-c", _RUN], env=environment, check=True, timeout=600)
    with living_in(world):
        return versions(world)


@contextmanager
def tiny_cluster(root: Path, **options: Any) -> Iterator[Cluster]:
    """A cluster of a fresh world, which this process reaches; `options` are those of `cluster`."""
    source, scorer = write_sources(root)
    world = make_world(root / "world", source=source, scorer=scorer)
    with (
        living_in(world),
        pytest.MonkeyPatch.context() as patch,
        cluster(world, root, **options) as made,
    ):
        made.settle(patch)
        yield made
