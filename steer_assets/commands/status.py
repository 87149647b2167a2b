"""`steer status`: what exists for each model and trait, what is out of date and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from steer_assets.catalog import catalog
from steer_assets.commands import terminal
from steer_assets.commands.options import Json, Models, Traits
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout, PartitionKey, partition_name

if TYPE_CHECKING:
    from steer_assets.catalog.studies import Study
    from steer_assets.pipeline.stage import Stage

#: Symbol and colour of a cell; the symbol is distinct without colour.
_LOOK = {"fresh": ("●", "green"), "stale": ("◐", "yellow"), "missing": ("·", "dim")}


@dataclass(frozen=True, slots=True)
class _Cell:
    """One stage of one partition."""

    stage: str
    key: PartitionKey
    state: str
    why: str
    bytes: int = 0


def _all_keys(stage: "Stage", models: list[str], traits: list[str]) -> Iterator[PartitionKey]:
    """Every partition of a stage over these models and traits."""
    choices = {"model": models, "trait": traits}
    keys: list[PartitionKey] = [{}]
    for dimension in stage.dimensions:
        keys = [{**key, dimension: value} for key in keys for value in choices[dimension]]
    yield from keys


def _cells(
    layout: Layout, models: list[str], traits: list[str], fallback: "Study"
) -> Iterator[_Cell]:
    from steer_assets.assets import STAGES
    from steer_assets.pipeline import freshness

    for stage in STAGES.values():
        there = [partition_name(key) for key in freshness.materialised(layout, stage)]
        for key in _all_keys(stage, models, traits):
            if partition_name(key) not in there:
                yield _Cell(stage.name, key, "missing", "")
                continue
            found = freshness.check_own_study(layout, stage, key, fallback)
            state = "fresh" if found.fresh else "stale"
            record = freshness.record_of(layout, stage, key)
            size = sum(file.bytes for file in record.files) if record else 0
            yield _Cell(stage.name, key, state, "; ".join(found.reasons), size)


def _present(layout: Layout, dimension: str) -> list[str]:
    """Models, or traits, that have any artifact."""
    from steer_assets.assets import STAGES
    from steer_assets.pipeline import freshness

    keys = [key for stage in STAGES.values() for key in freshness.materialised(layout, stage)]
    return sorted({key[dimension] for key in keys if dimension in key})


def status(model: Models = None, trait: Traits = None, json: Json = False) -> None:
    """What exists for each model and trait, and what is out of date and why.

    A grid for every model: a row for each stage, a column for each trait. Every artifact is
    compared under the study that made it; files are read and their checksums compared.
    """
    from steer_assets.resources.active_study import default_study

    for name in model or ():
        catalog.model_entry(name)
    for name in trait or ():
        catalog.trait(name)
    layout = Layout(data_folder())
    made = _present(layout, "model"), _present(layout, "trait")
    if not any(made):
        terminal.say("nothing is materialised yet; `steer run --help` tells how")
        return
    models = model or made[0] or catalog.model_keys()
    traits = trait or sorted({*catalog.trait_keys(), *made[1]})
    with terminal.working("comparing checksums"):
        cells = list(_cells(layout, models, traits, catalog.study(default_study())))
    if json:
        rows = [
            {
                "stage": cell.stage,
                "partition": partition_name(cell.key),
                "model": cell.key.get("model"),
                "trait": cell.key.get("trait"),
                "state": cell.state,
                "why": cell.why,
                "bytes": cell.bytes,
            }
            for cell in cells
        ]
        terminal.show(terminal.frame_of(rows), as_json=True)
        return
    for name in models:
        terminal.draw(_grid(name, traits, cells), columns=len(traits) + 1)
    _legend(cells)
    _disk(layout, cells)
    _offer(models, traits, cells)


def _grid(model: str, traits: list[str], cells: list[_Cell]) -> Table:
    table = Table(title=model, title_justify="left")
    table.add_column("stage")
    for trait in traits:
        table.add_column(trait, justify="center")
    by_place = {(cell.stage, partition_name(cell.key)): cell for cell in cells}
    for stage in dict.fromkeys(cell.stage for cell in cells):
        row = []
        for trait in traits:
            names = (f"{model}|{trait}", model, trait, "all")
            cell = next(by_place[stage, n] for n in names if (stage, n) in by_place)
            row.append(Text(*_LOOK[cell.state]))
        table.add_row(stage, *row)
    sizes = [_bytes(cells, {"model": model, "trait": trait}) for trait in traits]
    table.add_row("on disk", *(terminal.size(n) if n else "·" for n in sizes))
    return table


def _bytes(cells: list[_Cell], key: PartitionKey) -> int:
    """Disk space of the artifacts of one partition, in bytes."""
    return sum(cell.bytes for cell in cells if cell.key == key)


def _disk(layout: Layout, cells: list[_Cell]) -> None:
    """Disk space of every model with all its traits, of everything else, and in total."""
    models = sorted({cell.key["model"] for cell in cells if "model" in cell.key})
    of_model = {m: sum(c.bytes for c in cells if c.key.get("model") == m) for m in models}
    files = [path for path in layout.root.rglob("*") if not path.is_symlink() and path.is_file()]
    total = sum(path.stat().st_size for path in files)
    rows = [f"{model} {terminal.size(n)}" for model, n in of_model.items() if n]
    rest = terminal.size(total - sum(of_model.values()))
    rows.append(f"databases, pages, tracked runs and your own files {rest}")
    terminal.draw(Text(f"on disk: {', '.join(rows)}; in all {terminal.size(total)}"))


def _offer(models: list[str], traits: list[str], cells: list[_Cell]) -> None:
    """What has no report yet, which nothing runs by itself, and how to run it."""
    made = {
        partition_name(cell.key)
        for cell in cells
        if cell.stage == "equivalence_reports" and cell.state != "missing"
    }
    offered = False
    for model in models:
        left = [trait for trait in traits if f"{model}|{trait}" not in made]
        if left:
            offered = True
            asked = " ".join(f"--trait {trait}" for trait in left)
            terminal.say(
                f"no report of {model} yet for {', '.join(left)}: "
                f"`steer run --model {model} {asked}` makes them"
            )
    if offered:
        terminal.say(
            "make ui starts none of these by itself; the sensor everything_missing, once switched "
            "on there under Automation, runs them one after another"
        )


def _legend(cells: list[_Cell]) -> None:
    counts = {state: sum(cell.state == state for cell in cells) for state in _LOOK}
    legend = Text("   ").join(
        Text.assemble(_LOOK[state], f" {state} ({n})") for state, n in counts.items()
    )
    terminal.draw(legend)
    stale = [
        {"stale": cell.stage, "partition": partition_name(cell.key), "why": cell.why}
        for cell in cells
        if cell.state == "stale"
    ]
    if stale:
        terminal.show(terminal.frame_of(stale))
