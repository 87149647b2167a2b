"""Two hosts and an analyst with a depot between them, and a tiny model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from steer_assets.assets import STAGES
from steer_assets.automation import model_partitions, refresh, runner
from steer_assets.automation.retire import retire
from steer_assets.catalog import catalog
from steer_assets.cli import app
from steer_assets.pipeline import freshness
from steer_assets.pipeline.depot import carried_catalog, carrying
from steer_assets.storage import lineage
from steer_assets.storage.depot.depot import Depot, at, blob
from steer_assets.storage.depot.folder import FolderObjects
from steer_assets.storage.depot.objects import DepotError
from steer_assets.storage.depot.records import Artifact
from tests.automation.killing import versions
from tests.finished import KEY, copy_of, materialise_one, one_thread, records_in_memory
from tests.storage.rows import all_rows
from tests.tiny import STUDY, World, living_in

STAGE = "covariance_matrices"
ARTIFACT = Artifact.of(STAGE, KEY)
_PARTITIONS = [(("model",), {"model": KEY["model"]}), (("trait",), {"trait": KEY["trait"]})]
_PARTITIONS += [(("model", "trait"), KEY), ((), {})]


@pytest.fixture
def depot(address: str, monkeypatch: pytest.MonkeyPatch) -> Depot:
    """With sources told by their times, as without a depot: both hosts are this machine."""
    monkeypatch.setenv("STEER_DEPOT", address)
    for user in ("storage.files.hashing", "assets.inputs.model_snapshot"):
        monkeypatch.setattr(f"steer_assets.{user}.depot_address", lambda: "")
    return at(address)


@pytest.fixture
def a(original: World, tmp_path: Path, depot: Depot) -> Iterator[World]:
    """A host that made everything before there was a depot, and has pushed it."""
    with copy_of(original, tmp_path / "a") as world, records_in_memory():
        assert carried_catalog.carry(store=True).conflicts == []
        assert carrying.push(world.layout) == []
        yield world


@pytest.fixture
def b(a: World, tmp_path: Path) -> Iterator[World]:
    """A host that has nothing; what the test does is done there."""
    world = World(tmp_path / "b")
    world.layout.root.mkdir(parents=True)
    shutil.copy(a.layout.tracking_database, world.layout.tracking_database)
    with living_in(world):
        carried_catalog.bring()
        with runner.instance() as found:
            model_partitions.add(found, [KEY["model"]])
        yield world


def due(world: World) -> list[str]:
    """What a run would make."""
    found = []
    for dimensions, key in _PARTITIONS:
        carrying.bring_partition(world.layout, dimensions, key)
        found += refresh.selection(world.layout, dimensions, key, catalog.study(STUDY))
    return found


def run(stage: str) -> list[str]:
    """Run one stage unless it is up to date; what was made."""
    with runner.instance() as found, one_thread():
        return runner.run_job(
            found, ("model", "trait"), KEY, catalog.study(STUDY), [stage], force=False
        )


def refuse_writes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With credentials that may only read; of a folder, by refusing whatever writes."""
    if "s3" in request.node.name:
        for name, value in request.getfixturevalue("server").environment("reader").items():
            monkeypatch.setenv(name, value)
        at.cache_clear()
        with pytest.raises(DepotError, match="x in the depot"):
            at(os.environ["STEER_DEPOT"]).objects.put("x", b"")

    def refused(*_: object) -> None:
        raise AssertionError("the depot was written to")

    for name in ("create", "put", "put_file", "delete"):
        monkeypatch.setattr(FolderObjects, name, refused)


def test_a_second_host_computes_nothing_and_an_analyst_writes_nothing(
    a: World, b: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_writes(request, monkeypatch)
    assert due(b) == []
    assert versions(b) == versions(a)
    done = CliRunner().invoke(app, ["db", "sync"])
    assert done.exit_code == 0, done.output
    assert all_rows(b.layout) == all_rows(a.layout)
    assert (b.layout.root / "reports" / "index.html").exists()
    assert not (b.layout.root / "activations").exists()
    assert not list((b.layout.root / "models").rglob("*.safetensors"))


@pytest.mark.faults
def test_an_analyst_who_looks_again_loads_what_is_new(a: World, b: World, depot: Depot) -> None:
    sync = ["db", "sync"]
    assert CliRunner().invoke(app, sync).exit_code == 0
    assert "0 parts loaded, 0 removed" in CliRunner().invoke(app, sync).output
    with living_in(a):
        assert materialise_one(STAGE) == ""
    assert depot.newest(ARTIFACT) == 2
    assert "0 removed" in CliRunner().invoke(app, sync).output
    assert all_rows(b.layout) == all_rows(a.layout)


@pytest.mark.faults
def test_a_stage_that_another_host_made_is_reused(a: World, b: World) -> None:
    """Its checks look at its files, which are brought."""
    assert run(STAGE) == []
    made = freshness.record_of(b.layout, STAGES[STAGE], KEY)
    assert made is not None
    assert lineage.damaged_files(b.layout, made) == []
    assert all((b.layout.root / file.path).exists() for file in made.files)


@pytest.mark.faults
def test_what_the_second_host_makes_is_in_the_depot_before_it_is_in_its_lineage(
    a: World, b: World, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between files and record: nobody sees anything, and the next run completes it."""
    before = versions(a)

    def die(*_: object) -> bool:
        raise OSError("the host loses power")

    with monkeypatch.context() as patch:
        patch.setattr(type(depot.objects), "create", die)
        assert "loses power" in materialise_one(STAGE)
    assert depot.newest(ARTIFACT) == 1
    was = lineage.read_record(b.layout, STAGE, KEY)
    assert was == lineage.read_record(a.layout, STAGE, KEY)
    assert materialise_one(STAGE) == ""
    assert depot.newest(ARTIFACT) == 2
    made = lineage.read_record(b.layout, STAGE, KEY)
    assert made is not None
    assert made == depot.record(ARTIFACT, 2)
    with living_in(a):
        carrying.catch_up(a.layout)
    assert lineage.read_record(a.layout, STAGE, KEY) == made
    assert versions(a) == before


@pytest.mark.faults
def test_a_damaged_input_is_refused_by_name(a: World, b: World, depot: Depot) -> None:
    made = lineage.read_record(a.layout, "activation_caches", KEY)
    assert made is not None
    file = made.files[0]
    depot.objects.put(blob(file.sha256), b"?" * file.bytes)
    said = materialise_one(STAGE)
    assert f"{blob(file.sha256)} in the depot" in said
    assert "is damaged and is not used" in said
    assert not (b.layout.root / file.path).exists()
    depot.objects.delete(blob(file.sha256))
    with living_in(a):
        assert carrying.push(a.layout) == []  # a host that has it
    assert materialise_one(STAGE) == ""


@pytest.mark.faults
def test_what_no_host_has_any_more_is_made_again(a: World, b: World, depot: Depot) -> None:
    made = lineage.read_record(a.layout, STAGE, KEY)
    assert made is not None
    gone = next(file for file in made.files if file.path.endswith(".h5"))
    depot.objects.delete(blob(gone.sha256))
    (problem,) = [words for words in carrying.push(b.layout) if gone.path in words] or [""]
    assert run(STAGE) == [STAGE]
    assert depot.holds(gone)
    assert problem == ""


@pytest.mark.faults
def test_what_was_damaged_here_is_brought_again(a: World, b: World) -> None:
    assert CliRunner().invoke(app, ["db", "sync"]).exit_code == 0
    part = b.layout.part("generations", KEY)
    part.write_bytes(b"?")
    assert CliRunner().invoke(app, ["db", "rebuild"]).exit_code == 0
    assert all_rows(b.layout) == all_rows(a.layout)


@pytest.mark.faults
def test_a_retired_model_leaves_the_other_host(a: World, b: World, depot: Depot) -> None:
    carrying.catch_up(b.layout)
    assert KEY["model"] in catalog.model_names()
    with living_in(a), runner.instance() as found:
        model_partitions.add(found, [KEY["model"]])
        retire(a.layout, found, KEY["model"])
        assert KEY["model"] not in catalog.model_names()
    carried_catalog.bring()
    carrying.catch_up(b.layout)
    assert KEY["model"] not in catalog.model_names()
    assert {name.partition(" ")[0] for name in versions(b)} == {"prompt_sets", "scorer_validation"}
    assert not list((b.layout.root / "tables").rglob(f"model={KEY['model']}/**/*.parquet"))
    assert versions(b) == versions(a)
