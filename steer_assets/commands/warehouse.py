"""`steer sql`, `steer db`."""

from typing import Annotated

import typer

from steer_assets.commands import terminal
from steer_assets.commands.options import Json
from steer_assets.paths import data_folder
from steer_assets.storage import questions, syncing
from steer_assets.storage.layout import Layout

db = typer.Typer(no_args_is_help=True, help="The DuckDB file.")


def sql(
    query: Annotated[str, typer.Argument(help="One SQL query.")],
    json: Json = False,
) -> None:
    """Ask the database one question; it may read files of the data folder too, and nothing else."""
    terminal.show(questions.ask(Layout(data_folder()), query), as_json=json)


def _tell(result: syncing.SyncResult) -> None:
    for problem in result.damaged:
        terminal.say(f"damaged   {problem}")
    if result.deferred:
        terminal.say(f"put off: {result.deferred}")
        raise typer.Exit(1)
    terminal.say(f"{len(result.loaded)} parts loaded, {len(result.removed)} removed")
    if result.damaged:
        raise typer.Exit(1)


@db.command("sync")
def sync() -> None:
    """Load what is new in Parquet into DuckDB."""
    from steer_assets.assets import plan

    layout = Layout(data_folder())
    with terminal.working("loading Parquet into DuckDB"):
        result = syncing.sync(layout, expected_inputs=plan.expected_frame(layout))
    _tell(result)


@db.command("rebuild")
def rebuild() -> None:
    """Make the DuckDB file anew from Parquet."""
    from steer_assets.assets import plan

    layout = Layout(data_folder())
    with terminal.working("making the database anew from Parquet"):
        result = syncing.rebuild(layout, expected_inputs=plan.expected_frame(layout))
    _tell(result)
