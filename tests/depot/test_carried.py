"""Files of the user on two hosts: one side's change goes to the other, two are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from steer_assets.storage.depot.carried import Carried, CarriedFiles
from steer_assets.storage.depot.depot import Depot


class Host:
    def __init__(self, depot: Depot, root: Path) -> None:
        self.catalog = root / "catalog"
        self.files = CarriedFiles(depot, {"catalog": self.catalog}, root / "carried.json")

    def write(self, name: str, text: str) -> None:
        path = self.catalog / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def carry(self, *, store: bool = True) -> Carried:
        return self.files.carry(store=store)

    def has(self) -> dict[str, str]:
        paths = [path for path in sorted(self.catalog.rglob("*")) if path.is_file()]
        return {path.relative_to(self.catalog).as_posix(): path.read_text() for path in paths}


@pytest.fixture
def hosts(depot: Depot, tmp_path: Path) -> tuple[Host, Host]:
    return Host(depot, tmp_path / "a"), Host(depot, tmp_path / "b")


def test_a_change_on_one_host_reaches_the_other(hosts: tuple[Host, Host]) -> None:
    a, b = hosts
    a.write("traits/calm.yaml", "1")
    assert a.carry().stored == ["catalog/traits/calm.yaml"]
    assert b.carry().brought == ["catalog/traits/calm.yaml"]
    assert b.has() == {"traits/calm.yaml": "1"}
    b.write("traits/calm.yaml", "2")
    b.write("models/new.yaml", "m")
    b.carry()
    a.carry()
    assert a.has() == b.has() == {"models/new.yaml": "m", "traits/calm.yaml": "2"}
    (a.catalog / "models/new.yaml").unlink()
    a.carry()
    b.carry()
    assert a.has() == b.has() == {"traits/calm.yaml": "2"}
    assert (a.carry(), b.carry()) == (Carried(), Carried())


def test_two_changes_are_told_and_nothing_is_overwritten(hosts: tuple[Host, Host]) -> None:
    a, b = hosts
    a.write("traits/calm.yaml", "1")
    a.carry()
    b.carry()
    a.write("traits/calm.yaml", "of a")
    a.carry()
    b.write("traits/calm.yaml", "of b")
    (conflict,) = b.carry().conflicts
    assert conflict.startswith(f"{b.catalog}/traits/calm.yaml was changed here and in the depot")
    assert (a.has(), b.has()) == ({"traits/calm.yaml": "of a"}, {"traits/calm.yaml": "of b"})
    assert a.carry() == Carried()
    (b.catalog / "traits/calm.yaml").unlink()  # as the sentence says
    b.carry()
    assert b.has() == {"traits/calm.yaml": "of a"}
    b.write("traits/calm.yaml", "of b")
    assert b.carry().conflicts == []
    a.carry()
    assert a.has() == {"traits/calm.yaml": "of b"}


def test_two_hosts_that_begin_with_different_files_are_told(hosts: tuple[Host, Host]) -> None:
    a, b = hosts
    for host, text in ((a, "of a"), (b, "of b")):
        host.write("studies/mine.yaml", text)
        host.write("studies/same.yaml", "same")
    a.carry()
    carried = b.carry()
    assert len(carried.conflicts) == 1
    assert (carried.stored, carried.brought) == ([], [])
    assert b.has() == {"studies/mine.yaml": "of b", "studies/same.yaml": "same"}


def test_a_reader_stores_nothing(hosts: tuple[Host, Host], depot: Depot) -> None:
    a, b = hosts
    a.write("traits/calm.yaml", "1")
    a.carry()
    before = [found.name for found in depot.objects.list("")]
    b.write("traits/own.yaml", "b")
    assert b.carry(store=False).brought == ["catalog/traits/calm.yaml"]
    assert [found.name for found in depot.objects.list("")] == before
    assert set(b.has()) == {"traits/calm.yaml", "traits/own.yaml"}


def test_a_catalog_that_is_gone_as_a_whole_is_brought_again(hosts: tuple[Host, Host]) -> None:
    """A removed folder is an accident or a new disk, not the wish that no host has its files."""
    import shutil

    a, b = hosts
    a.write("traits/calm.yaml", "1")
    a.carry()
    b.carry()
    shutil.rmtree(a.catalog)
    assert a.carry().stored == []
    assert a.has() == b.has() == {"traits/calm.yaml": "1"}


def test_hidden_and_odd_names_stay_where_they_are(hosts: tuple[Host, Host], depot: Depot) -> None:
    a, b = hosts
    for name in (".git/config", "traits/.calm.yaml.swp", "traits/a b.csv", "traits/ü.yaml"):
        a.write(name, "x")
    depot.objects.create("carried/secrets/x/00000001", b'{"sha256": "", "bytes": 0}')
    assert a.carry() == Carried()
    assert b.carry() == Carried()
    assert b.has() == {}
