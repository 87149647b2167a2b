"""Objects, records and files of a depot; what goes wrong is told by name and is not used."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from steer_assets.storage import lineage
from steer_assets.storage.depot import news
from steer_assets.storage.depot.depot import Depot, at, blob
from steer_assets.storage.depot.objects import DamagedObjectError, DepotError, MissingObjectError
from steer_assets.storage.depot.records import Artifact, decode, encode
from steer_assets.storage.lineage import InputVersion, StoredFile
from tests.depot.hosts import ARTIFACT, ASSET, CODE, KEY, Writer

NEWER = InputVersion("code", ASSET, "2")


def names(depot: Depot, prefix: str) -> list[str]:
    return [found.name for found in depot.objects.list(prefix)]


def test_objects_are_whole_new_and_listed_by_name(depot: Depot, tmp_path: Path) -> None:
    objects = depot.objects
    assert objects.create("x/b", b"1")
    assert not objects.create("x/b", b"2")
    assert objects.create("x/a", b"")
    assert objects.create("x/c/d", b"4")
    assert objects.create("xx", b"5")
    assert objects.read("x/b") == b"1"
    assert names(depot, "x/") == ["x/a", "x/b", "x/c/d"]
    assert [found.name for found in objects.list("x/", "x/a")] == ["x/b", "x/c/d"]
    assert [found.name for found in objects.list("x/", "x/b0")] == ["x/c/d"]
    assert names(depot, "nothing/") == []
    found = objects.find("x/b")
    assert found is not None
    assert found.bytes == 1
    assert objects.find("x") is None
    objects.delete("x/b")
    objects.delete("x/b")
    with pytest.raises(MissingObjectError, match="x/b is not in the depot"):
        objects.read("x/b")
    with pytest.raises(MissingObjectError, match="x/b is not in the depot"):
        objects.fetch("x/b", tmp_path / "b")


def test_what_one_host_makes_another_has(a: Writer, b: Writer) -> None:
    made = a.make("run-a")
    assert made.number == 1
    assert b.record is None
    arrived = b.bring()
    assert (arrived.number, arrived.record) == (1, made.record)
    assert b.record == a.record == made.record
    assert b.file.read_text() == "bases of run-a"
    assert lineage.damaged_files(b.layout, made.record, all_read=False) == []
    assert b.bring() == arrived  # again, and nothing changes


def test_the_newest_record_counts_and_the_history_is_kept(a: Writer, b: Writer) -> None:
    a.make("first")
    b.bring()
    second = a.make("second", NEWER, seen=1)
    third = a.make("third", NEWER, seen=2)  # forced: the same inputs, and it had seen the second
    assert (second.number, third.number) == (2, 3)
    b.bring()
    assert b.record == third.record
    path = lineage.record_part(b.layout, ASSET, KEY)
    history = lineage.read_part(b.layout.root / path)
    assert set(history["run_id"]) == {"first", "second", "third"}
    assert history.equals(lineage.read_part(a.layout.root / path))
    assert b.file.read_text() == "bases of third"


def test_of_two_writers_one_wins_and_the_other_has_its_record(a: Writer, b: Writer) -> None:
    """Both saw nothing when they began; the loser's own files are not what its lineage says."""
    won = a.make("run-a")
    lost = b.make("run-b")
    assert (lost.number, lost.record) == (1, won.record)
    b.bring()
    assert b.record == won.record
    assert b.file.read_text() == "bases of run-a"
    assert names(a.depot, "lineage/") == [f"lineage/{ASSET}/toy/formality/00000001"]


def test_writers_at_the_same_moment_get_one_number_each(depot: Depot, a: Writer) -> None:
    """Eight threads of different inputs: no record is lost, no number is given twice."""
    from tests.depot.hosts import Writer as Host

    hosts = [Host(depot, type(a.layout)(a.layout.root / str(n))) for n in range(8)]
    made: list[int] = []

    def make(n: int) -> None:
        made.append(hosts[n].make(f"run-{n}", InputVersion("code", ASSET, str(n))).number)

    threads = [threading.Thread(target=make, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == list(range(1, 9))
    records = [depot.record(ARTIFACT, n) for n in range(1, 9)]
    assert {record.run_id for record in records} == {f"run-{n}" for n in range(8)}
    times = [record.created_at for record in records]
    assert times == sorted(set(times))


def test_a_damaged_blob_is_refused_by_name(a: Writer, b: Writer) -> None:
    made = a.make("run-a")
    file = next(file for file in made.record.files if file.path.startswith("bases/"))
    a.depot.objects.put(blob(file.sha256), b"bases of run-?")
    with pytest.raises(DamagedObjectError, match=f"{file.sha256} in the depot .* is damaged"):
        b.bring()
    assert b.record is None
    assert not b.file.exists()
    assert not list(b.file.parent.glob(".*"))
    a.depot.objects.delete(blob(file.sha256))
    with pytest.raises(MissingObjectError, match=file.sha256):
        b.bring()
    a.depot.put_file(a.file, file)  # a host that has it
    assert b.bring().record == made.record


def test_a_damaged_record_is_refused_by_name(a: Writer, b: Writer) -> None:
    a.make("run-a")
    name = f"lineage/{ASSET}/toy/formality/00000001"
    content = a.depot.objects.read(name)
    a.depot.objects.put(name, content.replace(b"run-a", b"run-b"))
    with pytest.raises(DamagedObjectError, match=f"{name} in the depot is damaged"):
        b.bring()
    assert b.record is None


@pytest.mark.parametrize(
    "path", ["../../.ssh/authorized_keys", "/etc/passwd", "tables/../../x", "catalog/x", "tables"]
)
def test_a_record_cannot_write_outside_the_rooms_of_results(a: Writer, path: str) -> None:
    import dataclasses

    record = a.make("run-a").record
    evil = dataclasses.replace(record, files=(StoredFile(path, 1, "0" * 64),))
    with pytest.raises(DamagedObjectError, match="names the file"):
        decode("x", encode(evil), ARTIFACT)


def test_a_record_of_another_artifact_is_refused(a: Writer) -> None:
    record = a.make("run-a").record
    with pytest.raises(DamagedObjectError, match="is a record of null_spaces toy"):
        decode("x", encode(record), Artifact(ASSET, "toy", "sentiment"))


def test_a_writer_killed_before_its_commit_is_not_seen(
    a: Writer, b: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(a.depot.objects), "create", die)
        with pytest.raises(Killed):
            a.make("run-a")
    assert len(names(a.depot, "blobs/")) == 2
    assert a.record is None
    assert b.bring().number == 0
    assert news.catch_up(a.depot, b.layout, lambda _: True) == {}
    made = a.make("again")
    arrived = news.catch_up(a.depot, b.layout, lambda _: True)
    assert [one.record for one in arrived.values()] == [made.record]


def test_news_are_told_once_and_late_commits_too(
    a: Writer, b: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marker precedes its record: the record comes later, and is found then."""
    other = {"model": "toy", "trait": "sentiment"}
    a.make("one")
    assert set(news.catch_up(a.depot, b.layout, lambda _: True)) == {ARTIFACT}
    assert news.catch_up(a.depot, b.layout, lambda _: True) == {}
    late = Artifact.of(ASSET, other)
    a.depot._tell(late, 1, "slow")
    assert news.catch_up(a.depot, b.layout, lambda _: True)[late].number == 0
    with monkeypatch.context() as patch:
        patch.setattr(type(a.depot), "_tell", lambda *_: None)
        made = a.make("slow", key=other)
    assert news.catch_up(a.depot, b.layout, lambda _: True)[late].record == made.record
    assert news.catch_up(a.depot, b.layout, lambda _: True) == {}


def test_equal_content_is_stored_once(a: Writer) -> None:
    first = a.make("run-a")
    before = names(a.depot, "blobs/")
    again = a.depot.commit(a.layout.root, ARTIFACT, first.record, seen=1)
    assert again.number == 2
    assert names(a.depot, "blobs/") == before


def test_a_file_that_changes_under_the_writer_is_not_committed(a: Writer) -> None:
    record = a.make("run-a").record
    file = next(file for file in record.files if file.path.startswith("bases/"))
    a.depot.objects.delete(blob(file.sha256))
    a.file.write_text("bases of run-b")
    with pytest.raises(DepotError, match="was changed while"):
        a.depot.commit(a.layout.root, ARTIFACT, record, seen=1)
    assert a.depot.newest(ARTIFACT) == 1


def test_a_depot_that_does_not_answer_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DepotError, match="in the depot"):
        at(str(tmp_path / "file")).objects.put("x", b"")


def test_another_run_of_the_same_code_has_the_record_of_the_first(a: Writer, b: Writer) -> None:
    """B saw A's record before it computed, so its own, which was asked for, stands after it."""
    a.make("run-a")
    b.bring()
    assert b.make("run-b", CODE, seen=1).number == 2
    a.bring()
    assert a.record == b.record
    assert a.file.read_text() == "bases of run-b"
