"""`steer sql`, `steer db`, `steer depot`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from steer_assets.commands import terminal
from steer_assets.commands.options import Json
from steer_assets.paths import data_folder, depot_address
from steer_assets.storage.database import sandboxed_sql, syncing
from steer_assets.storage.layout import Layout

db = typer.Typer(no_args_is_help=True, help="The DuckDB file.")
depot = typer.Typer(no_args_is_help=True, help="The depot of several hosts (STEER_DEPOT).")


class QueryCommand(typer.core.TyperCommand):
    """A command whose argument may start with an SQL comment, which looks like an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put such an argument after `--`; in options of this program no space precedes the `=`."""
        if "--" not in args:
            queries = [arg for arg in args if _is_commented(arg)]
            options = [arg for arg in args if not _is_commented(arg)]
            args = [*options, "--", *queries] if queries else args
        return super().parse_args(ctx, args)


def _is_commented(argument: str) -> bool:
    return argument.startswith("--") and any(c.isspace() for c in argument.partition("=")[0])


def sql(
    query: Annotated[
        str | None,
        typer.Argument(help="One SQL query; `-` or nothing reads it from standard input."),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A file with one SQL query.")] = None,
    json: Json = False,
) -> None:
    """Run one SQL query on the database; it can also read files of the data folder."""
    terminal.show(sandboxed_sql.ask(Layout(data_folder()), _query(query, file)), as_json=json)


def _query(query: str | None, file: Path | None) -> str:
    """The query from the one source that was given."""
    if file is not None:
        if query is not None:
            raise ValueError("give a query or --file, not both")
        found, where = _decoded(file.read_bytes(), str(file)), str(file)
    elif query is None or query == "-":
        if query is None and sys.stdin.isatty():
            raise ValueError("no query; give one as an argument, with --file, or on standard input")
        where = "standard input"
        found = _decoded(sys.stdin.buffer.read(), where)
    else:
        return query
    if not found.strip():
        raise ValueError(f"{where} holds no query")
    return found


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is not UTF-8 text: {error}") from error


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
    """Load what is new in Parquet into DuckDB; with a depot, bring it from there first."""
    from steer_assets import assets  # noqa: F401 - registers the stages
    from steer_assets.pipeline import freshness
    from steer_assets.pipeline.depot import carried_catalog, carrying

    layout = Layout(data_folder())
    for conflict in carried_catalog.carry(store=False).conflicts:
        terminal.say(conflict)
    carrying.catch_up(layout)
    with terminal.working("loading Parquet into DuckDB"):
        result = syncing.sync(layout, expected_inputs=freshness.expected_frame(layout))
    _tell(result)


@db.command("rebuild")
def rebuild() -> None:
    """Build the DuckDB file again from Parquet; with a depot, bring all of it again first."""
    from steer_assets import assets  # noqa: F401 - registers the stages
    from steer_assets.pipeline import freshness
    from steer_assets.pipeline.depot import carrying

    layout = Layout(data_folder())
    carrying.catch_up(layout, all_records=True)
    with terminal.working("making the database anew from Parquet"):
        result = syncing.rebuild(layout, expected_inputs=freshness.expected_frame(layout))
    _tell(result)


@depot.command("push")
def push() -> None:
    """Store what this host has and the depot lacks, such as results made before there was one."""
    from steer_assets import assets  # noqa: F401 - registers the stages
    from steer_assets.pipeline.depot import carried_catalog, carrying

    if not depot_address():
        raise ValueError("there is no depot: set STEER_DEPOT to s3://bucket/folder, or to a folder")
    with terminal.working("storing in the depot"):
        problems = carried_catalog.carry(store=True).conflicts
        problems += carrying.push(Layout(data_folder()))
    for problem in problems:
        terminal.say(problem)
    if problems:
        raise typer.Exit(1)
