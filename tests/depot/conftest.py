"""A depot in a folder; the same tests with a real S3 server under the mark `cluster`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from steer_assets.storage.depot.depot import Depot, at
from steer_assets.storage.layout import Layout
from tests.depot.hosts import Writer
from tests.depot.s3 import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running SeaweedFS on the loopback address."""
    pytest.importorskip("obstore")
    with serving(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.cluster)])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of an empty depot."""
    at.cache_clear()
    if request.param == "folder":
        return str(tmp_path / "depot")
    server: Server = request.getfixturevalue("server")
    for name, value in server.environment("writer").items():
        monkeypatch.setenv(name, value)
    return f"s3://{server.bucket}/{tmp_path.name}"


@pytest.fixture
def depot(address: str) -> Depot:
    return at(address)


@pytest.fixture
def a(depot: Depot, tmp_path: Path) -> Writer:
    return Writer(depot, Layout(tmp_path / "a"))


@pytest.fixture
def b(depot: Depot, tmp_path: Path) -> Writer:
    return Writer(depot, Layout(tmp_path / "b"))
