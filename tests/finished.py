"""A finished run of the tiny study, made once per session and copied for tests that change it.

Beside its own vectors it has an imported copy of v, so that one run serves the tests of both.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from steer_assets.assets import STAGES
from steer_assets.pipeline.stage import StageRun
from tests.tiny import (
    MODEL,
    STUDY,
    World,
    few_figures,
    living_in,
    make_world,
    write_model,
    write_scorer,
)

if TYPE_CHECKING:
    from steer_assets.automation.runner import Outcome

TRAIT = "formality"
KEY = {"model": MODEL, "trait": TRAIT}
LAYER = 1
BASE, COPY = f"L{LAYER}.base", f"L{LAYER}.external.copy"
_UP_TO_VECTORS = ("activation_caches", "covariance_matrices", "svd_spectra", "behavioral_spectra")


@contextmanager
def one_thread() -> Iterator[None]:
    """With several threads, barriers take longer than the computation of a tiny model."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def records_in_memory() -> Iterator[None]:
    """Dagster's runs and events in memory: on disk they take a quarter of a tiny run's time."""
    import dagster as dg

    from steer_assets.automation import runner

    quiet = {"telemetry": {"enabled": False}}
    with (
        dg.DagsterInstance.ephemeral(settings=quiet) as found,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(runner, "instance", lambda: nullcontext(found))
        yield


def run_tiny(world: World, *, force: bool = False) -> Outcome:
    """Run what is due."""
    from steer_assets.automation.runner import materialise
    from steer_assets.catalog import catalog

    with one_thread():
        return materialise(world.layout, [MODEL], [TRAIT], catalog.study(STUDY), force=force)


def materialise_one(stage: str) -> str:
    """Run one stage of the partition alone, as the UI does; returns why it failed, or nothing."""
    from steer_assets.automation.runner import MaterialisationError, instance, run_job
    from steer_assets.catalog import catalog

    with instance() as found, one_thread():
        try:
            run_job(found, ("model", "trait"), KEY, catalog.study(STUDY), [stage], force=True)
        except MaterialisationError as error:
            return str(error)
    return ""


@pytest.fixture(scope="session")
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The finished run; Dagster's records of it are on disk if a test of faults may read them."""
    root = tmp_path_factory.mktemp("finished")
    source, scorer = write_model(root / "source"), write_scorer(root / "scorer")
    world = make_world(root / "world", source=source, scorer=scorer)
    on_disk = any(item.get_closest_marker("faults") for item in request.session.items)
    with living_in(world), few_figures(), nullcontext() if on_disk else records_in_memory():
        _import_copy(world)
        run_tiny(world)
    return world


def _import_copy(world: World) -> None:
    """Make v, and import a copy of it as a user would."""
    from safetensors.numpy import load_file
    from typer.testing import CliRunner

    from steer_assets.automation import runner
    from steer_assets.catalog import catalog
    from steer_assets.cli import app
    from steer_assets.geometry.vector_files import NamedVector, write_safetensors

    study, first = catalog.study(STUDY), [*_UP_TO_VECTORS, "vector_families"]
    with one_thread():
        runner.materialise_inputs(world.layout, MODEL, TRAIT, study)
        with runner.instance() as found:
            runner.run_job(found, ("model", "trait"), KEY, study, first, force=False)
    stored = load_file(world.layout.pair_file("vectors", MODEL, TRAIT, ".safetensors"))
    file = world.root / "copy.safetensors"
    write_safetensors(file, [NamedVector(BASE, stored[BASE], LAYER)])
    where = ["--model", MODEL, "--trait", TRAIT, "--layer", str(LAYER)]
    done = CliRunner().invoke(app, ["vectors", "import", str(file), "--name", "copy", *where])
    assert done.exit_code == 0, done.output


def _own_artifacts(copy: World, original: World) -> None:
    """MLflow notes whole paths: what runs in a copy log would lie in the original."""
    there = (str(original.root), str(copy.root))
    with closing(sqlite3.connect(copy.layout.tracking_database)) as store, store:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            store.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", there)


@contextmanager
def copy_of(original: World, root: Path) -> Iterator[World]:
    """A copy of a finished world at `root`, with its environment set within the block."""
    world = World(shutil.copytree(original.root, root))
    _own_artifacts(world, original)
    with living_in(world), few_figures():
        yield world


@pytest.fixture
def finished(original: World, tmp_path: Path) -> Iterator[World]:
    with copy_of(original, tmp_path / "world") as world:
        yield world


def stored(world: World, stage: str) -> StageRun:
    """What a check of `stage` is handed."""
    import logging

    from steer_assets.catalog import catalog
    from steer_assets.resources.language_models import LanguageModels
    from steer_assets.storage.shards import Shards

    key = {name: KEY[name] for name in STAGES[stage].dimensions}
    return StageRun(
        stage,
        key,
        catalog.study(STUDY),
        world.layout,
        LanguageModels(),
        Shards(world.layout, stage, key, ""),
        logging.getLogger("test"),
    )
