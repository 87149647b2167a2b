"""A bundle of the finished tiny run: complete, described, and derived again after it was moved."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import yaml

from steer_assets.automation.publish import Published, PublishError, publish
from steer_assets.automation.reproduce import reproduce
from steer_assets.storage.files.hashing import hash_file
from steer_assets.storage.files.tensors import read_vectors
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import columns
from tests.finished import BASE, TRAIT, copy_of, one_thread
from tests.tiny import MODEL, STUDY, World

#: How often each file was hashed to make the bundle.
HASHED: Counter[str] = Counter()


def _counted(path: Path) -> str:
    HASHED[path.as_posix().partition("/bundle/")[2]] += 1
    return hash_file(path)


@pytest.fixture(scope="module")
def bundle(original: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made, then moved to an empty folder."""
    root = tmp_path_factory.mktemp("published")
    with copy_of(original, root / "world") as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr("steer_assets.automation.publish.hash_file", _counted)
        made = publish(world.layout, root / "bundle", title="Tiny", license="cc-by-4.0")
    shutil.rmtree(root / "world")
    assert isinstance(made, Published)
    moved = root / "elsewhere" / "moved"
    moved.parent.mkdir()
    return Path(shutil.move(made.folder, moved))


def test_every_published_number_is_derived_again(bundle: Path) -> None:
    with one_thread():
        found = reproduce(bundle)
    assert found.drift == []
    published = pl.read_parquet(bundle / "tables" / "equivalence_tests.parquet")
    assert found.n_numbers > published.height * 20
    assert found.n_tables == 13


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("identifiability_summary", "efficacy"),
        ("family_tests", "p_difference"),
        ("protocol_comparison", "value"),
    ],
)
def test_one_number_altered_by_hand_fails_and_is_named(bundle, tmp_path, table, column) -> None:
    altered = Path(shutil.copytree(bundle, tmp_path / "altered"))
    path = altered / "tables" / f"{table}.parquet"
    rows = pl.read_parquet(path)
    value = rows[column][0] or 0.0
    first = pl.int_range(pl.len()) == 0
    other = pl.when(first).then(value + 0.001).otherwise(pl.col(column)).alias(column)
    rows.with_columns(other).write_parquet(path)
    with one_thread():
        drift = reproduce(altered).drift
    assert drift[0].startswith(f"{table}, {MODEL}, {TRAIT}")
    assert f"{column} is published as {value + 0.001} and derived as {value}" in drift[0]
    assert drift[1:] == [f"tables/{table}.parquet differs from its checksum"]


def test_the_script_of_the_bundle_runs_its_own_code_and_fails_on_another_file(
    bundle: Path, tmp_path: Path
) -> None:
    altered = Path(shutil.copytree(bundle, tmp_path / "altered"))
    (altered / "studies" / f"{STUDY}.yaml").write_text(
        "# another\n" + (altered / "studies" / f"{STUDY}.yaml").read_text()
    )
    environment = {
        "PYTHON": sys.executable,
        "PATH": "/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [altered / "reproduce.sh"], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 1, done.stderr
    assert f"differs   studies/{STUDY}.yaml differs from its checksum" in done.stderr
    assert "1 differences" in done.stderr


def test_checksums_cover_every_other_file(bundle: Path) -> None:
    lines = (bundle / "checksums.sha256").read_text().splitlines()
    noted = dict(reversed(line.split("  ", 1)) for line in lines)
    files = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    assert files == {*noted, "checksums.sha256"}
    assert all(hash_file(bundle / name) == sha for name, sha in noted.items())
    assert set(HASHED) == files
    assert set(HASHED.values()) == {1}


def test_the_data_package_describes_every_table_and_column(bundle: Path) -> None:
    package = json.loads((bundle / "datapackage.json").read_text())
    names = [resource["name"] for resource in package["resources"]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9._-]+", name) for name in names)
    tables = {r["name"]: r for r in package["resources"] if "schema" in r}
    assert {p.stem for p in (bundle / "tables").glob("*.parquet")} == set(tables)
    for name, resource in tables.items():
        frame = pl.read_parquet(bundle / resource["path"])
        fields = resource["schema"]["fields"]
        assert [field["name"] for field in fields] == frame.columns == list(columns(name))
        required = {f["name"] for f in fields if f.get("constraints", {}).get("required")}
        assert not any(frame[column].null_count() for column in required)
        assert resource["description"], name
    described = {f["name"]: f for f in tables["equivalence_tests"]["schema"]["fields"]}
    assert "standard deviation" in described["unit_sd"]["description"]


def test_the_data_package_is_valid_by_the_standard(bundle: Path) -> None:
    frictionless = pytest.importorskip("frictionless")
    package = json.loads((bundle / "datapackage.json").read_text())
    assert not list(frictionless.Package.metadata_validate(package))


def test_the_data_card_names_licence_tables_and_models(bundle: Path) -> None:
    _, front, body = (bundle / "README.md").read_text().split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["license"] == "cc-by-4.0"
    found = [config["data_files"] for config in about["configs"]]
    assert sorted(found) == sorted(f"tables/{p.name}" for p in (bundle / "tables").iterdir())
    assert MODEL in body
    assert "runs no language model" in " ".join(body.split())


def test_the_bundle_is_a_site_with_vectors_that_can_be_read(bundle: Path) -> None:
    assert 'href="reports/index.html"' in (bundle / "index.html").read_text()
    index = (bundle / "reports" / "index.html").read_text()
    for link in re.findall(r'href="([^"#:]+)"', index):
        assert (bundle / "reports" / link).is_file()
    assert BASE in read_vectors(bundle / "vectors" / MODEL / f"{TRAIT}.safetensors")
    text = "".join(p.read_text() for p in bundle.rglob("*.json"))
    assert str(Path.home()) not in text


def test_a_folder_with_something_else_is_not_replaced(finished: World, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(PublishError, match="not empty"):
        publish(finished.layout, mine, title="Tiny", license="unknown")
    assert (mine / "thesis.txt").read_text() == "mine"
    with pytest.raises(PublishError, match="no report"):
        publish(Layout(tmp_path / "empty"), tmp_path / "out", title="Tiny", license="unknown")
