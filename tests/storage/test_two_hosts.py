"""Two hosts, as namespaces of this machine, write into one data folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from steer_assets.processes import host, is_alive, own_tag
from steer_assets.storage.database import syncing, warehouse
from steer_assets.storage.files.atomic import sweep_temporaries, write_text
from steer_assets.storage.layout import Layout
from tests.namespaces import another_host, namespaces_are_allowed

#: Says who it is and who it takes for alive, writes half a file, and the other half when told to.
_WRITER = """
import sys, time
from pathlib import Path
from steer_assets.processes import is_alive, own_tag
from steer_assets.storage.files.atomic import atomic_path

target, theirs = Path(sys.argv[1]), sys.argv[2]
print(own_tag(), is_alive(theirs, written=time.time()), flush=True)
with atomic_path(target) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    sys.stdin.readline()
    with temporary.open("a") as file:
        file.write(" and half")
print("written", flush=True)
"""


@pytest.mark.skipif(not namespaces_are_allowed(), reason="namespaces are not allowed here")
@pytest.mark.parametrize("name", ["node-b", ""], ids=["another name", "the same name"])
def test_a_writer_on_another_host_is_not_swept_away(tmp_path: Path, name: str) -> None:
    target = tmp_path / "part.parquet"
    with another_host(_WRITER, target, own_tag(), name=name) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        tag, ours_alive = writer.stdout.readline().split()
        assert ours_alive == "True"
        assert (f"@{host()}+" in tag) is not bool(name)
        assert is_alive(tag, written=target.parent.stat().st_mtime)
        assert writer.stdout.readline() == "writing\n"
        write_text(target, "ours")
        assert sweep_temporaries(tmp_path) == []
        assert target.read_text() == "ours"
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "written\n"
    assert target.read_text() == "half and half"
    assert [path.name for path in tmp_path.iterdir()] == ["part.parquet"]


@pytest.mark.parametrize("named", ["", "HOST", "HOST.cluster.example"])
def test_the_database_is_loaded_on_the_host_that_the_setting_names(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "HOST.cluster.example")
    monkeypatch.setenv("STEER_WAREHOUSE", named)
    assert syncing.sync(layout).deferred == ""
    assert layout.database.exists()


def test_no_other_host_touches_the_database(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEER_WAREHOUSE", "node-1")
    monkeypatch.setattr("socket.gethostname", lambda: "node-11")
    assert "loaded on node-1 only" in syncing.sync(layout).deferred
    with pytest.raises(warehouse.WarehouseBusyError, match="loaded on node-1 only"):
        syncing.rebuild(layout)
    assert not layout.root.exists()
