"""`steer depot`: results of several hosts in an object store or a folder."""

import typer

from steer_assets.commands import terminal
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout

depot = typer.Typer(no_args_is_help=True, help="The depot of several hosts (STEER_DEPOT).")


def _require() -> None:
    from steer_assets.storage.depot.depot import configured

    if configured() is None:
        raise ValueError("there is no depot: set STEER_DEPOT to s3://bucket/folder, or a folder")


@depot.command("push")
def push() -> None:
    """Store what this host has and the depot lacks, such as results made before there was one."""
    from steer_assets import assets  # noqa: F401 - registers the stages
    from steer_assets.pipeline import carried_catalog, carrying

    _require()
    with terminal.working("storing in the depot"):
        problems = carried_catalog.carry(store=True).conflicts
        problems += carrying.push(Layout(data_folder()))
    for problem in problems:
        terminal.say(problem)
    if problems:
        raise typer.Exit(1)
