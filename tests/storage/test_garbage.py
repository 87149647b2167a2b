"""Unreferenced files, without any run: which are considered, and which are never removed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from steer_assets.storage import garbage
from steer_assets.storage.layout import Layout
from tests.storage import synthetic

ASSETS = {
    "prompt_sets": ("trait",),
    "equivalence_reports": ("model", "trait"),
    "identifiability_summary": (),
}
DEAD = 999_999_999


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Two artifacts of the prompts and two reports; every file has its record."""
    made = Layout(tmp_path_factory.mktemp("made"))
    for trait in synthetic.TRAITS:
        key = {"model": synthetic.MODEL, "trait": trait}
        synthetic.write(made, "prompt_sets", {"trait": trait}, {})
        synthetic.write(made, "equivalence_reports", key, {})
        synthetic.record(made, "prompt_sets", {"trait": trait}, [_made_from()])
        synthetic.record(made, "equivalence_reports", key, [_made_from()])
    return made


@pytest.fixture
def layout(made: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A copy of them, settled."""
    monkeypatch.setattr(garbage, "SETTLED_S", -1.0)
    return Layout(Path(shutil.copytree(made.root, tmp_path / "data")))


def _made_from() -> synthetic.InputVersion:
    return synthetic.InputVersion("code", "all", "1")


def _put(layout: Layout, name: str) -> Path:
    path = layout.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def _found(layout: Layout, sources: tuple[Path, ...] = ()) -> dict[str, str]:
    waste = garbage.find(layout, ASSETS, sources, traits=synthetic.TRAITS)
    return {layout.relative(one.path): one.why for one in waste}


def test_what_has_a_record_is_no_garbage(layout):
    assert _found(layout) == {}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("activations/toy/formality.h5", "no artifact has this file"),
        ("bases/toy/formality.covariance.h5", "no artifact has this file"),
        ("reports/toy/formality.html", "no artifact has this file"),
        ("reports/toy/formality/figures/forest.pdf", "its report is gone"),
        ("tables/generations/model=toy/trait=formality/part.parquet", "no artifact has these rows"),
        ("tables/artifact_lineage/asset_key=old/part.parquet", "no stage is called old"),
        (f"partial/old/model=toy/{'0' * 24}/a.h5", "no stage is called old"),
        ("scorers/gone.safetensors", "no trait is called gone"),
        (f"scorers/.formality.safetensors.{DEAD}.tmp", "left by a process that died"),
        (f"vectors/toy/.a.safetensors.{DEAD}.tmp", "left by a process that died"),
        (f".steer.duckdb.{DEAD}.tmp.wal", "left by a process that died"),
    ],
)
def test_what_nothing_refers_to_is_found_and_removed_with_its_empty_folders(layout, name, why):
    path = _put(layout, name)
    assert _found(layout) == {name: why}
    (waste,) = garbage.find(layout, ASSETS, ())
    assert garbage.remove(layout.root, waste)
    assert not path.exists()
    assert layout.root.is_dir()
    room = layout.root in (path.parent, path.parent.parent)  # rooms stay
    assert room or not path.parent.is_dir() or any(path.parent.iterdir())
    assert _found(layout) == {}


@pytest.mark.parametrize(
    "name",
    [
        "external/toy/formality/mine.safetensors",
        "catalog/traits/mine.csv",
        "incoming/toy/model.safetensors",
        "tables/notes.txt",
        "activations/toy/formality.txt",
        "activations/deeper/than/ours.h5",
        "reports/readme.md",
        "partial/notes.json",
        "mine/part.parquet",
        "models/toy/weights.bin",
        "scorers/formality.safetensors",  # the head of a trait of the catalog
        "scorers/notes.txt",
        "scorers/my own.safetensors",
        "scorers/deeper/gone.safetensors",
    ],
)
def test_files_with_names_of_the_user_are_left(layout, name):
    _put(layout, name)
    assert _found(layout) == {}


def test_a_folder_that_the_catalog_names_is_left(layout):
    folder = _put(layout, "models/mine/config.json").parent
    assert _found(layout, (folder,)) == {}
    assert _found(layout, (folder / "model.gguf",)) == {}
    assert _found(layout) == {"models/mine": "no snapshot has this folder"}


def test_a_piece_is_kept_until_its_stage_is_finished(layout):
    name = f"partial/prompt_sets/trait=formality/{'0' * 24}/a.json"
    _put(layout, name)
    assert _found(layout) == {}
    synthetic.record(layout, "prompt_sets", {"trait": "formality"}, [_made_from()])
    assert _found(layout) == {name: "a piece of a stage that is finished"}


def test_young_files_are_not_judged(layout, monkeypatch):
    _put(layout, "activations/toy/formality.h5")
    monkeypatch.setattr(garbage, "SETTLED_S", 60.0)
    assert _found(layout) == {}


def test_links_lead_nowhere(layout, tmp_path):
    outside = tmp_path / "outside" / "toy"
    outside.mkdir(parents=True)
    (outside / "formality.h5").write_text("x")
    (layout.root / "activations").symlink_to(outside.parent)
    (layout.root / "moments").mkdir()
    (layout.root / "moments" / "toy").symlink_to(outside)
    assert _found(layout) == {}
    path = _put(layout, "bases/toy/formality.h5")
    (waste,) = garbage.find(layout, ASSETS, ())
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(outside)
    assert not garbage.remove(layout.root, waste)
    assert (outside / "formality.h5").exists()
