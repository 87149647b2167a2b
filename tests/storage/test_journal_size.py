"""The duration of a sync by journal does not depend on what was not written."""

import shutil
import time

import polars as pl
import pytest

from steer_assets.storage import journal
from steer_assets.storage.database.syncing import catch_up, signatures, sync
from steer_assets.storage.database.warehouse import connect
from steer_assets.storage.layout import Layout
from tests.sizes import in_full
from tests.storage.journals import read_folders, write
from tests.storage.rows import TABLE
from tests.timings import slowness


def _many(layout: Layout, n: int) -> None:
    """`n` empty parts that the database knows."""
    for i in range(n):
        path = layout.part(TABLE, {"model": f"m{i // 50}", "trait": f"t{i % 50}"})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = list(signatures(layout).items())
    frame = pl.DataFrame(found, schema=["path", "signature"], orient="row").to_arrow()
    with connect(layout.database, read_only=False) as connection:
        connection.register("known", frame)
        connection.execute("INSERT INTO _parts SELECT * FROM known WHERE path NOT LIKE '%toy%'")


def test_many_changes_at_once_are_looked_at_in_a_moment(known):
    _many(known, 3_000)
    started = time.process_time()
    with journal.changing(known, [found.name for found in known.parts()]):
        assert catch_up(known).loaded == []
    assert time.process_time() - started < slowness()


@pytest.mark.parametrize("n", [500, in_full(92_000)])
def test_duration_does_not_depend_on_the_number_of_parts(known, monkeypatch, n):
    _many(known, n)
    changed = write(known, score=2.0)
    with read_folders(monkeypatch) as listed:
        assert catch_up(known).loaded == [changed]
        started, cpu = time.monotonic(), time.process_time()
        assert catch_up(known).loaded == []
        taken, cpu = time.monotonic() - started, time.process_time() - cpu
        assert listed == []
    print(f"{n} parts: nothing new in {taken:.3f} s, {cpu:.3f} s of processor")
    if n == 92_000:
        assert cpu < 0.5
        assert sync(known).loaded == []
    shutil.rmtree(known.root)  # pytest keeps the folders of its last runs
