import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl
import pytest
import typer.main

from steer_assets import cli
from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.pipeline import freshness
from steer_assets.storage import lineage, schema
from steer_assets.storage.database.syncing import sync
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.layout import Layout
from tests.reporting.synthetic import build_evidence
from tests.storage import synthetic

MODEL, TRAIT = "smollm2-135m-instruct", "formality"
KEY = {"model": MODEL, "trait": TRAIT}
_ONE = {"models": ("model",), "scorer_validation": ("trait",)}
Steer = Callable[..., "Answer"]
_command_tree = cache(typer.main.get_command)


@dataclass(frozen=True)
class Answer:
    """Result of a command: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    def refused(self, code: int = 2) -> str:
        """The one sentence of a refusal."""
        assert self.code == code, self
        assert self.out == ""
        assert self.err.startswith("steer: ")
        assert self.err.count("\n") == 1, self.err
        assert self.err[:-1].isprintable()
        return self.err[len("steer: ") : -1]


@pytest.fixture(autouse=True)
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A data folder that does not exist yet, and no settings from outside."""
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    for name in ("STEER_CATALOG_DIR", "STEER_STUDY"):
        monkeypatch.delenv(name, raising=False)
    return Layout(tmp_path / "data")


@pytest.fixture
def full(layout: Layout, synced: Layout) -> Layout:
    """The data folder with parts of every table, loaded into the database."""
    shutil.copytree(synced.root, layout.root)
    return layout


@pytest.fixture
def steer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Steer:
    """Call the entry point of the console script, in this process.

    The tree of commands is made once: Typer reads the signature of each command at every call.
    """
    monkeypatch.setattr(typer.main, "get_command", _command_tree)

    def call(*arguments: object, stdin: bytes = b"") -> Answer:
        monkeypatch.setattr(sys, "argv", ["steer", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def rows() -> dict[str, pl.DataFrame]:
    return dict(build_evidence().tables)


@pytest.fixture(scope="session")
def partition(rows: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The synthetic partition as parts on disk, and the record that a report was made."""
    layout = Layout(tmp_path_factory.mktemp("partition") / "data")
    for table, frame in rows.items():
        own = {d: KEY[d] for d in _ONE.get(table, ("model", "trait"))}
        named = frame.with_columns(pl.lit(value).alias(d) for d, value in own.items())
        if table == "null_spaces":
            for kind in ("covariance", "jacobian", "fisher"):
                part = named.filter(pl.col("kind") == kind)
                write_part(layout.part(table, {**own, "kind": kind}), part, schema.nullable(table))
        else:
            write_part(layout.part(table, own), named, schema.nullable(table))
    stage = STAGES["equivalence_reports"]
    part = layout.relative(layout.part(stage.name, KEY))
    lineage.write_record(
        layout, asset_key=stage.name, key=KEY, data_version="1", study="quick", code_version="1",
        inputs=freshness.expected_inputs(layout, stage, KEY, catalog.study("quick")), run_id="r",
        mlflow_run_id="", files=[lineage.describe_file(layout, part)],
    )  # fmt: skip
    return layout


@pytest.fixture(scope="session")
def loaded(partition: Layout, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The same with its summary, loaded into the database."""
    root = tmp_path_factory.mktemp("loaded") / "data"
    layout = Layout(Path(shutil.copytree(partition.root, root)))
    summary = {**KEY, "protocol": "controlled"}
    synthetic.write(layout, "identifiability_summary", {}, summary)
    verdicts = {**KEY, "protocol": "controlled", "verdict": "different"}
    synthetic.write(
        layout,
        "verdict_history",
        {},
        *({**verdicts, "study": name} for name in ("quick", "standard")),
    )
    assert not sync(layout).damaged
    return layout


@pytest.fixture
def stored(layout: Layout, partition: Layout) -> Layout:
    """The synthetic partition, to be changed."""
    shutil.copytree(partition.root, layout.root)
    return layout
