"""A sync by journal finds what was written, without a look at what was not."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from steer_assets.storage import journal
from steer_assets.storage.database import tables
from steer_assets.storage.database.syncing import catch_up, sync
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import view_statements
from tests.storage import synthetic
from tests.storage.journals import part, read_folders, scores, write
from tests.storage.processes import run_python
from tests.storage.rows import FORMALITY, SENTIMENT, TABLE


def files(layout: Layout) -> list[Path]:
    return sorted((layout.root / "journal").iterdir())


def test_with_nothing_new_no_folder_is_listed(known, monkeypatch):
    with read_folders(monkeypatch) as listed:
        assert catch_up(known).loaded == []
        assert listed == []
        sync(known)
        assert listed  # a full sync would be seen


def test_what_was_written_is_loaded_and_no_more_is_looked_at(known, monkeypatch):
    changed = write(known, SENTIMENT, score=2.0)
    with read_folders(monkeypatch) as listed:
        assert catch_up(known).loaded == [changed]
        assert catch_up(known).loaded == []
        assert listed == []
    assert scores(known) == [1.0, 2.0]
    assert sync(known).loaded == []


def test_what_was_removed_leaves_the_database(known):
    with journal.changing(known, [part(known)]):
        (known.root / part(known)).unlink()
    assert catch_up(known).removed == [part(known)]
    assert scores(known) == [1.0]
    assert sync(known).removed == []


def test_what_a_person_changes_is_found_by_a_full_sync(known):
    synthetic.write(known, TABLE, FORMALITY, {"score": 3.0})
    (known.root / part(known, SENTIMENT)).unlink()
    assert catch_up(known).loaded == []
    found = sync(known)
    assert (found.loaded, found.removed) == ([part(known)], [part(known, SENTIMENT)])


def test_a_change_in_progress_is_looked_at_until_it_is_done(known):
    with journal.changing(known, [part(known)]):
        assert catch_up(known).loaded == []
        synthetic.write(known, TABLE, FORMALITY, {"score": 3.0})
        assert catch_up(known).loaded == [part(known)]
        synthetic.write(known, TABLE, FORMALITY, {"score": 4.0})
    assert catch_up(known).loaded == [part(known)]
    assert scores(known)[0] == 4.0


def test_a_writer_that_died_leaves_a_change_that_is_looked_at_again(known, monkeypatch):
    change = journal.changing(known, [part(known)])
    with monkeypatch.context() as patch:
        change.__enter__()
        # as after kill -9: the second line is never written
        patch.setattr(journal, "_append", lambda *_: None)
        change.__exit__(None, None, None)
    catch_up(known)
    synthetic.write(known, TABLE, FORMALITY, {"score": 3.0})
    assert catch_up(known).loaded == [part(known)]
    synthetic.write(known, TABLE, FORMALITY, {"score": 4.0})
    sync(known)
    assert scores(known)[0] == 4.0
    synthetic.write(known, TABLE, FORMALITY, {"score": 5.0})
    assert catch_up(known).loaded == [part(known)]


#: Announces a change, makes it, and is killed before it can say that it is done.
_KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from steer_assets.storage import journal
from steer_assets.storage.layout import Layout
from tests.storage import synthetic

layout, key = Layout(Path(sys.argv[1])), {"model": "toy", "trait": "formality"}
with journal.changing(layout, [layout.relative(layout.part("classifier_scores", key))]):
    synthetic.write(layout, "classifier_scores", key, {"score": 6.0})
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.faults
def test_what_a_killed_writer_wrote_is_loaded(known):
    assert run_python(_KILLED_WRITER, known.root).returncode == -signal.SIGKILL
    assert catch_up(known).loaded == [part(known)]
    assert scores(known)[0] == 6.0


def _shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _replace(path: Path) -> None:
    event = {"id": "another", "parts": []}
    path.write_text(f"{json.dumps(event)}\n" * 100)


def _tear(path: Path) -> None:
    with path.open("a") as stream:
        stream.write('{"id": "torn", "par' + '{"id": "next", "parts": []}\n')


def _leave(path: Path) -> None:
    with path.open("a") as stream:
        stream.write(json.dumps({"id": "x", "parts": ["tables/../../elsewhere"]}) + "\n")


def _remove_all(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    "damage",
    [_shorten, _replace, _tear, _leave, Path.unlink, _remove_all],
    ids=lambda damage: damage.__name__,
)
def test_where_the_journal_does_not_go_on_all_parts_are_looked_at(
    known: Layout, damage: Callable[[Path], None]
) -> None:
    synthetic.write(known, TABLE, FORMALITY, {"score": 3.0})
    assert catch_up(known).loaded == []
    damage(files(known)[0])
    assert catch_up(known).loaded == [part(known)]
    synthetic.write(known, TABLE, FORMALITY, {"score": 4.0})
    assert catch_up(known).loaded == []  # once
    changed = write(known, SENTIMENT, score=5.0)
    assert changed in catch_up(known).loaded


def test_without_a_journal_all_parts_are_looked_at_once(full):
    assert len(catch_up(full).loaded) == len(list(full.parts()))
    changed = write(full, score=0.25)
    assert catch_up(full).loaded == [changed]


def test_half_a_line_waits_for_the_other_half(known, monkeypatch):
    line = json.dumps({"id": "slow", "parts": [part(known)]}) + "\n"
    synthetic.write(known, TABLE, FORMALITY, {"score": 3.0})
    with files(known)[0].open("a") as stream, read_folders(monkeypatch) as listed:
        stream.write(line[:20])
        stream.flush()
        assert catch_up(known).loaded == []
        stream.write(line[20:])
        stream.flush()
        assert catch_up(known).loaded == [part(known)]
        assert listed == []


def test_every_host_has_a_file_of_its_own(known, monkeypatch):
    write(known, score=2.0)
    monkeypatch.setattr(journal, "host", lambda: "another")
    write(known, SENTIMENT, score=3.0)
    assert len(files(known)) == 2
    assert set(catch_up(known).loaded) == {part(known), part(known, SENTIMENT)}


def test_a_full_sync_removes_files_that_were_read_long_ago(known, monkeypatch):
    (old,) = files(known)
    before = time.time() - journal.KEPT_S - 60
    os.utime(old, (before, before))
    catch_up(known)
    assert files(known) == [old]
    sync(known)
    assert files(known) == []
    changed = write(known, score=2.0)
    with read_folders(monkeypatch) as listed:
        assert catch_up(known).loaded == [changed]
        assert listed == []


def test_nothing_is_changed_without_a_journal_of_it(layout):
    layout.root.mkdir()
    layout.root.joinpath("journal").write_text("a file")
    with pytest.raises(OSError, match="journal"):
        write(layout, score=1.0)
    assert list(layout.parts()) == []


def test_changed_sql_reloads_everything(known, monkeypatch):
    more = {**view_statements(), "v_more": "CREATE VIEW v_more AS FROM v_effects"}
    monkeypatch.setattr(tables, "view_statements", lambda: more)
    assert len(catch_up(known).loaded) == 2
