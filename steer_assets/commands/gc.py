"""`steer gc`: what nothing refers to any more, shown first and removed on request."""

from typing import Annotated, Any

import typer

from steer_assets.commands import terminal
from steer_assets.commands.options import Json
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout


def gc(
    yes: Annotated[bool, typer.Option("--yes", "--delete", help="Remove what is shown.")] = False,
    runs_older_than: Annotated[
        float | None,
        typer.Option(min=1, help="Also Dagster runs that ended so many days ago, with events."),
    ] = None,
    json: Json = False,
) -> None:
    """Show, or with --yes remove, files that no partition refers to; your own files are kept.

    Files without a lineage record, temporary files of dead processes, pieces of finished stages,
    artifacts of deleted MLflow runs. Files that a run in progress may use are kept, as are files
    that changed in the last quarter of an hour. With a depot, also its objects that no record
    names, a week after they were stored.
    """
    from steer_assets import assets  # noqa: F401 - registers the stages
    from steer_assets.automation import housekeeping
    from steer_assets.automation.runner import instance
    from steer_assets.pipeline import freshness
    from steer_assets.storage import garbage, journal
    from steer_assets.storage.database import syncing
    from steer_assets.storage.depot import sweep
    from steer_assets.storage.depot.depot import configured

    layout = Layout(data_folder())
    rows: list[dict[str, Any]] = []
    with instance() as found:
        with terminal.working("looking for what nothing refers to"):
            files = housekeeping.files(layout, found)
            litter = sweep.find(depot) if (depot := configured()) else []
            runs = housekeeping.old_runs(found, runs_older_than) if runs_older_than else []
        parts = [name for w in files if (name := layout.relative(w.path)).startswith("tables/")]
        with journal.changing(layout, parts if yes else ()):
            for waste in files:
                gone = yes and garbage.remove(layout.root, waste)
                rows.append(_row(layout.relative(waste.path), waste.bytes, waste.why, gone))
        for found_object, why in litter:
            gone = yes and depot is not None and sweep.remove(depot, found_object)
            rows.append(_row(f"depot {found_object.name}", found_object.bytes, why, gone))
        for run in runs:
            if yes:
                housekeeping.remove_run(found, run)
            rows.append(_row(f"run {run.run_id}", run.bytes, run.why, yes))
    if not rows:
        terminal.say("nothing to remove")
        return
    terminal.show(terminal.frame_of(rows), as_json=json)
    size = terminal.size(sum(row["bytes"] for row in rows if row["removed"] or not yes))
    if not yes:
        terminal.say(f"{len(rows)} things, {size}; nothing is removed without --yes")
        return
    terminal.say(f"{sum(row['removed'] for row in rows)} of {len(rows)} things removed, {size}")
    synced = syncing.sync(layout, expected_inputs=freshness.expected_frame(layout))
    if synced.deferred:
        terminal.say(f"rows still in DuckDB: {synced.deferred}; run `steer db sync`")


def _row(path: str, size: int, why: str, removed: bool) -> dict[str, Any]:
    return {"path": path, "bytes": size, "why": why, "removed": removed}
