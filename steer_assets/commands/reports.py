"""`steer report`, `figures`, `table`, `publish`, `reproduce`: results for readers and papers."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError, UnknownNameError
from steer_assets.commands import terminal
from steer_assets.commands.options import Json, Model, Models, Trait, Traits
from steer_assets.commands.verdicts import report_path, verdicts
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout, PartitionKey, partition_name

#: Differences that are named one by one.
_MOST_DRIFT = 20

if TYPE_CHECKING:
    from steer_assets.reporting.evidence import Evidence


def report(
    model: Model,
    trait: Trait,
    json: Json = False,
) -> None:
    """Verdicts of one model and trait, and where its report is."""
    catalog.model_entry(model)
    catalog.trait(trait)
    layout = Layout(data_folder())
    path = report_path(layout, model, trait)
    if not path.exists():
        raise CatalogError(
            f"there is no report for {model} and {trait} yet; "
            f"`steer run --model {model} --trait {trait}` makes it"
        )
    terminal.show(verdicts(layout, [model], [trait]), as_json=json)
    terminal.say(f"report    {path}")


def _partitions(
    layout: Layout, models: list[str] | None, traits: list[str] | None
) -> list[PartitionKey]:
    """Requested partitions that have a report.

    Raises:
        CatalogError: a name is unknown, or no requested partition has a report.
    """
    from steer_assets.assets import STAGES
    from steer_assets.pipeline import freshness
    from steer_assets.pipeline.report_evidence import REPORTS

    for name in models or ():
        catalog.model_entry(name)
    for name in traits or ():
        catalog.trait(name)
    found = [
        key
        for key in freshness.materialised(layout, STAGES[REPORTS])
        if (not models or key["model"] in models) and (not traits or key["trait"] in traits)
    ]
    if not found:
        asked = " and ".join([*(models or ()), *(traits or ())]) or "any model and trait"
        raise CatalogError(f"there is no report for {asked} yet; `steer run --help` tells how")
    return found


def _evidence(layout: Layout, key: PartitionKey) -> "Evidence":
    """The stored evidence of a report; prints a warning if it is out of date."""
    from steer_assets.assets import STAGES
    from steer_assets.pipeline import freshness
    from steer_assets.pipeline.report_evidence import REPORTS, stored

    evidence = stored(layout, key["model"], key["trait"])
    study = catalog.study(evidence.study["study"])
    state = freshness.check(layout, STAGES[REPORTS], key, study)
    if not state.fresh:
        terminal.say(
            f"note      {partition_name(key)} is out of date ({state.reasons[0]}); shown as stored"
        )
    return evidence


def figures(
    model: Models = None,
    trait: Traits = None,
    figure: Annotated[
        list[str] | None, typer.Option(help="Figure, such as forest; may be given again.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder; by default reports/MODEL/TRAIT/figures.")
    ] = None,
    json: Json = False,
) -> None:
    """Draw the figures of reports again from the stored rows: SVG, PDF and the data as CSV.

    Nothing is computed on the model. A figure that has nothing to show is named with its reason.
    """
    from steer_assets.reporting.figures.figure import write_figures

    layout = Layout(data_folder())
    keys = _partitions(layout, model, trait)
    rows: list[dict[str, str]] = []
    for key in keys:
        folder = report_path(layout, key["model"], key["trait"]).with_suffix("") / "figures"
        if to is not None:
            folder = to / key["model"] / key["trait"] if len(keys) > 1 else to
        with terminal.working(f"{partition_name(key)} figures"):
            drawn, absent = _draw(_evidence(layout, key), figure)
            # In a folder of its own, all other files are left over from an earlier report.
            written = write_figures(drawn, folder, all_there_is=figure is None and to is None)
        rows += [{**key, "file": str(path)} for path in written]
        for line in absent:
            terminal.say(f"not drawn {partition_name(key)} {line}")
    terminal.show(terminal.frame_of(rows), as_json=json)


def _draw(evidence: "Evidence", names: list[str] | None) -> tuple[list, list[str]]:
    """Figures that can be drawn, and the reasons for those that cannot."""
    from steer_assets.reporting.figures.figure import Absent
    from steer_assets.reporting.pages.sections import every_chart

    made = {drawn.name: drawn for chart in every_chart() for drawn in [chart(evidence)]}
    for name in names or ():
        if name not in made:
            raise UnknownNameError("figure", name, made)
    chosen = [made[name] for name in names or made]
    absent = [f"{d.name}: {d.reason}" for d in chosen if isinstance(d, Absent)]
    return [d for d in chosen if not isinstance(d, Absent)], absent


def table(
    name: Annotated[str, typer.Argument(help="Table; without one, all names are listed.")] = "",
    model: Models = None,
    trait: Traits = None,
    form: Annotated[str, typer.Option("--format", help="md, latex, csv or html.")] = "md",
    json: Json = False,
) -> None:
    """Print a table for a paper: Markdown, LaTeX (booktabs), CSV or HTML.

    Numbers have three digits and are followed by their intervals; CSV and JSON are exact.
    """
    from steer_assets.reporting.tables.formats import FORMATS, folded, format_table
    from steer_assets.reporting.tables.paper import PAPER_TABLES

    if not name:
        listing = [{"table": key, "question": t.question} for key, t in PAPER_TABLES.items()]
        terminal.show(terminal.frame_of(listing), as_json=json)
        return
    if name not in PAPER_TABLES:
        raise UnknownNameError("table", name, PAPER_TABLES)
    if form not in FORMATS:
        raise UnknownNameError("format", form, FORMATS)
    layout = Layout(data_folder())
    found = _rows_of(layout, _partitions(layout, model, trait), name)
    frame = pl.concat(found, how="vertical_relaxed")
    for dimension, asked in (("model", model), ("trait", trait)):
        if asked is not None and len(asked) == 1:
            frame = frame.drop(dimension)
    if frame.is_empty():
        terminal.say(f"note      {name} has no rows for this; the report says why in its place")
    if json:
        terminal.show(frame, as_json=True)
        return
    typer.echo(format_table(frame if form == "csv" else folded(frame), form), nl=False)


def _rows_of(layout: Layout, keys: list[PartitionKey], name: str) -> Iterator[pl.DataFrame]:
    from steer_assets.reporting.tables.paper import PAPER_TABLES

    for key in keys:
        rows = PAPER_TABLES[name].rows(_evidence(layout, key))
        yield rows.select(*(pl.lit(v).alias(d) for d, v in key.items()), pl.all())


def publish(
    to: Annotated[Path, typer.Option(help="Folder; a bundle that is there already is replaced.")],
    title: Annotated[str, typer.Option(help="Of the data card.")] = "Steering vectors: verdicts",
    license: Annotated[
        str, typer.Option(help="Of the data, by its identifier on the Hub: cc-by-4.0, mit.")
    ] = "unknown",
) -> None:
    """Write everything to a folder that others can read, serve, check and derive again.

    Reports as a static site, figures, tables as Parquet, vectors as safetensors, datapackage.json,
    a data card with licences, checksums, and reproduce.sh with the code that it needs.
    """
    from steer_assets.automation import publish as bundles

    with terminal.working("writing the bundle"):
        made = bundles.publish(Layout(data_folder()), to, title=title, license=license)
    terminal.say(f"wrote {len(made.files)} files, {terminal.size(made.bytes)}, to {made.folder}")
    if license == "unknown":
        terminal.say("note      no licence is named; --license cc-by-4.0 names one")
    terminal.say(f"check     {made.folder / 'reproduce.sh'}")


def reproduce(
    folder: Annotated[Path, typer.Argument(help="A bundle that `steer publish` wrote.")],
) -> None:
    """Derive the published verdicts and their numbers again from the published scores.

    Fails with the first numbers that differ. Runs no language model.
    """
    from steer_assets.automation import reproduce as bundles

    with terminal.working("deriving the published numbers"):
        found = bundles.reproduce(folder)
    for line in found.drift[:_MOST_DRIFT]:
        terminal.say(f"differs   {line}")
    if found.drift:
        raise bundles.DriftError(f"{folder}: {len(found.drift)} differences from what is derived")
    terminal.say(f"{found.n_numbers} values of {found.n_tables} tables are derived as published")
