"""Run one partition of a tiny model again and again, killing it with -9; print what is left.

Usage: python -m tests.automation.killing ROOT KILLS SEED. Children are forked from a process that
has everything imported, so that a run takes seconds and a kill may occur anywhere in it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.tiny import (
    MODEL,
    STUDY,
    World,
    few_figures,
    living_in,
    make_world,
    write_model,
    write_scorer,
)

if TYPE_CHECKING:
    from steer_assets.storage.lineage import Record

TRAIT = "formality"
#: Its content has times, so that no two worlds have the same version of it.
_TIMED = "changes_since_last"


def records(world: World) -> dict[str, Record]:
    """The newest record of every artifact; each can be read."""
    from steer_assets.assets import STAGES
    from steer_assets.pipeline import freshness
    from steer_assets.storage.layout import partition_name

    found = {}
    for stage in STAGES.values():
        for key in freshness.materialised(world.layout, stage):
            record = freshness.record_of(world.layout, stage, key)
            assert record is not None
            found[f"{stage.name} {partition_name(key)}"] = record
    return found


def versions(world: World) -> dict[str, str]:
    return {n: r.data_version for n, r in records(world).items() if r.asset_key != _TIMED}


def history(world: World) -> list[dict[str, Any]]:
    """All verdicts that the history has, without their times."""
    import polars as pl

    path = world.layout.part("verdict_history", {})
    frame = pl.read_parquet(path, hive_partitioning=False)
    return frame.drop("run_id", "seen_at", "recorded_at").to_dicts()


def harmed(world: World, before: Collection[str]) -> list[str]:
    """Artifacts that are visible and not whole, and those of `before` that are lost."""
    from steer_assets.storage.lineage import damaged_files

    found = records(world)
    problems = [p for record in found.values() for p in damaged_files(world.layout, record)]
    return problems + [f"{name} is lost" for name in before if name not in found]


def run(world: World) -> None:
    import torch

    from steer_assets.automation.runner import materialise
    from steer_assets.catalog import catalog

    torch.set_num_threads(1)
    materialise(world.layout, [MODEL], [TRAIT], catalog.study(STUDY))


def forked(world: World, kill_after: float | None) -> str:
    """Run in a child; `finished`, `killed`, or `failed`."""
    log = world.root / "child.log"
    child = os.fork()
    if child == 0:
        os.environ.update(world.environment)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        try:
            run(world)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    until = None if kill_after is None else time.monotonic() + kill_after
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if until is not None and time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(0.01)
    if os.WIFSIGNALED(status):
        return "killed"
    return "finished" if os.WEXITSTATUS(status) == 0 else "failed"


def begin_anew(world: World) -> None:
    """Everything made is gone, so that kills fall on early stages again."""
    for room in world.layout.root.iterdir():
        if room.is_dir() and room.name not in ("catalog", "mlruns"):
            shutil.rmtree(room)


def main() -> None:
    with few_figures():
        suffer()


def suffer() -> None:
    root, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    import mlflow  # noqa: F401 - imported once, before the forks
    import transformers  # noqa: F401

    import steer_assets.lm.loading.loader
    import steer_assets.reporting.pages.report
    import steer_assets.scoring.registry  # noqa: F401
    from steer_assets.definitions import defs  # noqa: F401

    source, scorer = write_model(root / "source"), write_scorer(root / "scorer")
    calm = make_world(root / "calm", source=source, scorer=scorer)
    rough = make_world(root / "rough", source=source, scorer=scorer)
    started = time.monotonic()
    assert forked(calm, None) == "finished", (calm.root / "child.log").read_text()
    seconds = time.monotonic() - started
    moments = random.Random(seed)
    counted = {"killed": 0, "finished": 0, "failed": 0}
    while counted["killed"] < kills:
        ended = forked(rough, moments.uniform(0.05, 0.6 * seconds))
        counted[ended] += 1
        if ended == "finished":
            begin_anew(rough)
    last = forked(rough, None)
    harm = harmed(rough, records(calm))  # polars starts threads, after which no fork may follow
    with living_in(calm):
        undisturbed = versions(calm)
    with living_in(rough):
        after = versions(rough)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "counted": counted,
                "last": last,
                "undisturbed": undisturbed,
                "after": after,
                "harm": harm,
                "histories": [history(calm), history(rough)],
                "log": (rough.root / "child.log").read_text()[-4000:],
            }
        )
    )


if __name__ == "__main__":
    main()
