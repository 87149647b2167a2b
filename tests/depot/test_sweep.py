"""What is swept, what is kept, and artifacts that are ended."""

from __future__ import annotations

import time

import pytest

from steer_assets.storage import lineage
from steer_assets.storage.depot import depot as of_depot
from steer_assets.storage.depot import news, sweep
from steer_assets.storage.depot.depot import Depot, blob
from steer_assets.storage.depot.objects import DamagedObjectError
from steer_assets.storage.lineage import InputVersion
from tests.depot.hosts import ARTIFACT, ASSET, CODE, KEY, Writer
from tests.depot.test_carried import Host


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if everything had been stored more than a week ago."""
    monkeypatch.setattr(sweep, "SETTLED_S", -60.0)


def swept(depot: Depot) -> set[str]:
    return {found.name for found, _ in sweep.find(depot)}


def blobs(record: lineage.Record) -> set[str]:
    return {blob(file.sha256) for file in record.files}


def test_blobs_that_no_record_names_are_found_a_week_later(
    a: Writer, b: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    won = a.make("run-a").record
    b.make("run-b")  # its own files went up and were not committed
    a.depot.objects.put("partial/x/y/z.json", b"1")
    assert swept(a.depot) == set()
    monkeypatch.setattr(sweep, "SETTLED_S", -60.0)
    found = swept(a.depot)
    assert len(found) == 3
    assert found.isdisjoint(blobs(won))
    assert "partial/x/y/z.json" in found
    for one, _ in sweep.find(a.depot):
        assert sweep.remove(a.depot, one)
    assert swept(a.depot) == set()
    assert b.bring().record == won


@pytest.mark.usefixtures("later")
def test_a_superseded_result_is_swept_and_its_record_is_kept(a: Writer, b: Writer) -> None:
    first = a.make("first").record
    second = a.make("second", InputVersion("code", ASSET, "2"), seen=1).record
    assert swept(a.depot) == blobs(first) - blobs(second)
    for one, _ in sweep.find(a.depot):
        sweep.remove(a.depot, one)
    assert b.bring().record == second
    assert [one.run_id for one in lineage.history(b.layout, ASSET, KEY)] == ["first", "second"]


def test_a_young_record_keeps_what_it_names(a: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blobs are old and the record is young: a reader may be about to bring them."""
    first = a.make("first").record
    a.make("second", InputVersion("code", ASSET, "2"), seen=1)
    listed = type(a.depot.objects).list

    def aged(objects, prefix, after=""):  # type: ignore[no-untyped-def]
        for found in listed(objects, prefix, after):
            old = found.written - 2 * sweep.SETTLED_S * found.name.startswith("blobs/")
            yield type(found)(found.name, found.bytes, old)

    monkeypatch.setattr(type(a.depot.objects), "list", aged)
    assert blobs(first) & swept(a.depot) == set()


@pytest.mark.usefixtures("later")
def test_what_the_user_carries_is_kept(depot: Depot, tmp_path) -> None:  # type: ignore[no-untyped-def]
    host = Host(depot, tmp_path / "a")
    host.write("traits/calm.yaml", "1")
    host.carry()
    host.write("traits/calm.yaml", "2")
    host.carry()
    assert len(swept(depot)) == 1  # the first version
    other = Host(depot, tmp_path / "b")
    other.carry()
    assert other.has() == {"traits/calm.yaml": "2"}


@pytest.mark.usefixtures("later")
def test_nothing_is_swept_where_a_record_cannot_be_read(a: Writer) -> None:
    a.make("run-a")
    a.depot.objects.put(f"lineage/{ASSET}/toy/formality/00000001", b"?")
    with pytest.raises(DamagedObjectError, match="00000001"):
        sweep.find(a.depot)


@pytest.mark.usefixtures("later")
def test_a_blob_that_is_wanted_again_is_not_removed(
    a: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer found it there, and stored it again because it was old."""
    first = a.make("first").record
    a.make("second", InputVersion("code", ASSET, "2"), seen=1)
    (old, _), *_ = [one for one in sweep.find(a.depot) if one[0].name.startswith("blobs/")]
    file = next(file for file in first.files if blob(file.sha256) == old.name)
    a.bring()
    path = a.layout.root / "again"
    path.write_bytes(a.depot.objects.read(old.name))
    monkeypatch.setattr(of_depot, "_RENEWED_S", -60.0)
    time.sleep(1.1)  # S3 tells whole seconds
    a.depot.put_file(path, file)
    assert not sweep.remove(a.depot, old)
    assert a.depot.holds(file)


def test_an_artifact_that_is_ended_leaves_every_host(a: Writer, b: Writer) -> None:
    a.make("run-a")
    news.catch_up(a.depot, b.layout, lambda _: True)
    assert b.record is not None
    a.depot.retire(ARTIFACT)
    a.depot.retire(ARTIFACT)
    assert a.depot.newest(ARTIFACT) == 2
    news.catch_up(a.depot, b.layout, lambda _: True)
    assert b.record is None
    assert list(b.layout.parts()) == []
    assert not b.file.exists()
    again = a.make("again", CODE, seen=2)  # the model is back; its former history is not
    assert again.number == 3
    b.bring()
    assert [one.run_id for one in lineage.history(b.layout, ASSET, KEY)] == ["again"]


@pytest.mark.usefixtures("later")
def test_the_files_of_an_ended_artifact_are_swept(a: Writer) -> None:
    record = a.make("run-a").record
    a.depot.retire(ARTIFACT)
    assert swept(a.depot) == blobs(record)
