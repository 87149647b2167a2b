import os
import signal
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steer_assets.processes import temporary_beside
from steer_assets.storage.files import atomic
from steer_assets.storage.files.atomic import atomic_path, sweep_temporaries, write_text
from steer_assets.storage.files.hdf5 import read_array, write_arrays
from steer_assets.storage.files.parquet import read_part, write_part
from steer_assets.storage.files.tensors import read_vectors, write_vectors
from tests.storage.processes import run_python

#: Writes "new", and is killed when everything is on disk but the name.
_KILLED = """
import os, signal, sys
from pathlib import Path
from steer_assets.storage.files.atomic import atomic_path

def kill(path):
    os.kill(os.getpid(), signal.SIGKILL)

with atomic_path(Path(sys.argv[1]), kill) as temporary:
    temporary.write_text("new")
"""


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("before", ["old", None])
def test_killed_before_the_rename_leaves_the_old_file_or_none(tmp_path, before):
    target = tmp_path / "file.txt"
    if before is not None:
        target.write_text(before)
    assert run_python(_KILLED, target).returncode == -signal.SIGKILL
    assert (target.read_text() if target.exists() else None) == before
    left = [name for name in _files(tmp_path) if name.endswith(".tmp")]
    assert len(left) == 1  # what the dead process left beside it ...

    write_text(target, "newer")
    assert _files(tmp_path) == {"file.txt"}  # ... the next writer sweeps away
    assert target.read_text() == "newer"


def _dead_process() -> int:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    return child


def test_sweeping_spares_living_writers_other_names_and_other_files(tmp_path):
    dead, alive = _dead_process(), os.getppid()
    swept = {f".a.{dead}.tmp", f".a.{dead}.tmp.wal"}
    kept = {f".a.{alive}.tmp", f".b.{dead}.tmp", "a", f"a.{dead}.tmp", f".a.{10**30}.tmp"}
    for name in swept | kept:
        (tmp_path / name).touch()
    assert {path.name for path in sweep_temporaries(tmp_path, "a")} == swept
    assert _files(tmp_path) == kept
    assert {path.name for path in sweep_temporaries(tmp_path)} == {f".b.{dead}.tmp"}
    assert sweep_temporaries(tmp_path / "absent") == []


def test_what_a_dead_process_of_the_same_id_left_is_not_built_upon(tmp_path):
    temporary_beside(tmp_path / "file").write_text("rubbish")
    with atomic_path(tmp_path / "file") as temporary:
        assert not temporary.exists()
        temporary.write_text("new")
    assert (tmp_path / "file").read_text() == "new"


def test_a_reader_sees_the_old_text_or_the_new_and_nothing_else(tmp_path):
    target = tmp_path / "file"
    texts = ["a" * 200_000, "b" * 200_000]
    write_text(target, texts[0])
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(target.read_text())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(30):
        write_text(target, texts[number % 2])
    done.set()
    watcher.join()
    assert seen <= set(texts)


@pytest.mark.parametrize("step", ["writing", "verifying", "syncing"])
def test_a_full_disk_at_any_step_leaves_the_old_file(tmp_path, monkeypatch, step):
    target = tmp_path / "file"
    target.write_text("old")
    full = OSError(28, "No space left on device")

    def fail(*_: object) -> None:
        raise full

    if step == "syncing":
        monkeypatch.setattr(atomic.os, "fsync", fail)

    def write() -> None:
        with atomic_path(target, fail if step == "verifying" else None) as temporary:
            temporary.write_text("new")
            if step == "writing":
                raise full

    with pytest.raises(OSError, match="No space left"):
        write()
    assert target.read_text() == "old"
    assert _files(tmp_path) == {"file"}


def test_a_file_that_reads_back_differently_is_not_renamed(tmp_path, monkeypatch):
    write_text(tmp_path / "file", "old")
    real = Path.write_text

    def lossy(path: Path, text: str, **options: str) -> int:
        return real(path, text[:-1], **options)

    monkeypatch.setattr(Path, "write_text", lossy)
    with pytest.raises(OSError, match="read back differently"):
        write_text(tmp_path / "file", "new")
    monkeypatch.undo()
    assert (tmp_path / "file").read_text() == "old"
    assert _files(tmp_path) == {"file"}


#: Every writer under a file size limit of 4 kB, which has the effect of a full disk.
_LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np, polars as pl
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.files.hdf5 import write_arrays
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.files.tensors import write_vectors

folder = Path(sys.argv[1])
noise = np.random.default_rng(1).normal(size=100_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write in (
    lambda: write_text(folder / "text", "x" * 100_000),
    lambda: write_part(folder / "part", pl.DataFrame({"x": noise})),
    lambda: write_arrays(folder / "arrays", {"x": noise}),
    lambda: write_vectors(folder / "vectors", {"x": noise}, {}),
):
    try:
        write()
        print("written")
    except Exception as error:
        print("refused", type(error).__name__)
"""


def test_every_writer_keeps_the_old_file_when_no_more_fits(tmp_path):
    old = np.arange(3.0)
    write_text(tmp_path / "text", "old")
    write_part(tmp_path / "part", pl.DataFrame({"x": old}))
    write_arrays(tmp_path / "arrays", {"x": old})
    write_vectors(tmp_path / "vectors", {"x": old}, {})

    answer = run_python(_LIMITED, tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert [line.split()[0] for line in answer.stdout.splitlines()] == ["refused"] * 4

    assert (tmp_path / "text").read_text() == "old"
    np.testing.assert_array_equal(read_part(tmp_path / "part")["x"].to_numpy(), old)
    np.testing.assert_array_equal(read_array(tmp_path / "arrays", "x"), old)
    np.testing.assert_array_equal(read_vectors(tmp_path / "vectors")["x"], old)
    assert _files(tmp_path) == {"text", "part", "arrays", "vectors"}
