"""Several runs at once, of real stages, while an analyst holds the database open for writing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from steer_assets.automation.runner import instance, materialise
from steer_assets.catalog import catalog
from steer_assets.paths import REPOSITORY
from steer_assets.pipeline import freshness
from steer_assets.storage.database import syncing, warehouse
from tests.finished import one_thread
from tests.sizes import FULL
from tests.storage.processes import database_open, holding
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

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

TRAITS = ["formality", "sentiment", "politeness", "truthfulness"][: 4 if FULL else 2]
#: All of them begin with the same model, whose folder none has made yet.
RUN = """
import sys
import torch
from steer_assets.automation.runner import materialise
from steer_assets.catalog import catalog
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout
from tests.tiny import MODEL, STUDY, few_figures

torch.set_num_threads(1)
with few_figures():
    materialise(Layout(data_folder()), [MODEL], [sys.argv[1]], catalog.study(STUDY))
"""


def begin(world: World, trait: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, trait],
        cwd=REPOSITORY,
        env={**os.environ, **world.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_no_run_fails_and_nothing_is_lost(tmp_path: Path) -> None:
    source, scorer = write_model(tmp_path / "source"), write_scorer(tmp_path / "scorer")
    world = make_world(tmp_path / "world", source=source, scorer=scorer)
    layout = world.layout
    with living_in(world):
        syncing.sync(layout)
        with holding(database_open(read_only=False), layout.database):
            runs = {trait: begin(world, trait) for trait in TRAITS}
            said = {trait: run.communicate(timeout=1500)[0] for trait, run in runs.items()}
            for trait, run in runs.items():
                assert run.returncode == 0, (trait, said[trait][-4000:])
            assert syncing.sync(layout).deferred
        result = syncing.sync(layout, expected_inputs=freshness.expected_frame(layout), wait_s=30)
        assert not result.deferred
        assert not result.damaged
        rows = warehouse.query(
            layout,
            "SELECT trait, count(*) AS n, count(DISTINCT (protocol, generation_id)) AS d "
            "FROM generations GROUP BY trait",
        )
        assert set(rows["trait"]) == set(TRAITS)
        assert rows["n"].to_list() == rows["d"].to_list()
        assert rows["n"].n_unique() == 1
        with instance() as found:
            assert {run.status for run in found.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
        with one_thread(), few_figures():
            again = materialise(layout, [MODEL], TRAITS, catalog.study(STUDY))
        # Each run made a summary of the reports that it saw; the last may not have seen all.
        assert {stage for stage, _ in again.made} <= {
            "identifiability_summary",
            "changes_since_last",
        }
