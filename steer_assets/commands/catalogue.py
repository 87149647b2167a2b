"""`steer models`, `steer traits`."""

import importlib.util
import re
from pathlib import Path
from typing import Annotated

import typer
import yaml

from steer_assets.catalog import catalog, limits, trait_files
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts import writing
from steer_assets.catalog.layouts.reading import Reading
from steer_assets.catalog.models import ModelEntry
from steer_assets.catalog.prompt_texts import repeated
from steer_assets.commands import terminal
from steer_assets.commands.options import Json
from steer_assets.lm.loading.hub import commit_of
from steer_assets.lm.loading.sources import first_part, gguf_in, whole_stem
from steer_assets.paths import data_folder
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.layout import Layout
from steer_assets.storage.slugs import slug_of_hub_id, validate_slug

#: What is pinned of a hub id without a revision.
_NEWEST = "main"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)

models = typer.Typer(no_args_is_help=True, help="Models of the catalog.")
traits = typer.Typer(no_args_is_help=True, help="Traits of the catalog.")


@models.command("list")
def list_models(json: Json = False) -> None:
    """Every model of the catalog."""
    entries = [catalog.model_entry(key) for key in catalog.model_keys()]
    rows = [
        {
            "model": entry.model,
            "title": entry.title,
            "kind": entry.source.kind,
            "location": entry.source.location,
            "revision": entry.source.revision,
        }
        for entry in entries
    ]
    terminal.show(terminal.frame_of(rows), as_json=json)


def _source(location: str) -> tuple[str, str]:
    """Kind and location of what a user typed: a folder, a GGUF file, a package file or a hub id."""
    if location.startswith("hub:") and _HUB_ID.fullmatch(location.removeprefix("hub:")):
        return "hub", location.removeprefix("hub:")
    path = Path(location).expanduser()
    if path.is_dir():
        path = gguf_in(path)
    if path.is_dir():
        return "folder", str(path.resolve())
    if path.is_file():
        if path.suffix != ".gguf":
            raise CatalogError(f"{path} is a file but not GGUF; give the folder it is in")
        return "gguf", str(first_part(path.resolve()))
    package, _, inside = location.partition("/")
    # find_spec imports nothing if the name is top-level.
    if inside.endswith(".gguf") and package.isidentifier() and importlib.util.find_spec(package):
        return "package", location
    if _HUB_ID.fullmatch(location):
        return "hub", location
    raise CatalogError(f"{location!r} is no folder, no GGUF file and no hub id like owner/name")


@models.command("add")
def add_model(
    location: Annotated[str, typer.Argument(help="Hub id, folder, GGUF file or package/file.")],
    name: Annotated[str, typer.Option(help="Key; by default made from the location.")] = "",
    revision: Annotated[str, typer.Option(help="Branch, tag or commit of a hub id.")] = "",
) -> None:
    """Write a model into your catalog, a hub id with the commit of today; fetch no weights."""
    kind, place = _source(location)
    stem = whole_stem(Path(place)) if kind in ("gguf", "package") else Path(place).name
    key = name or (slug_of_hub_id(place) if kind == "hub" else stem.lower())
    validate_slug(key, "model")
    if key in catalog.model_keys():
        raise CatalogError(f"the model {key!r} is already in the catalog; choose another --name")
    commit = commit_of(place, revision or _NEWEST) if kind == "hub" else revision
    entry = ModelEntry.model_validate(
        {
            "model": key,
            "title": place if kind == "hub" else stem,
            "source": {"kind": kind, "location": place, "revision": commit},
        }
    )
    path = catalog.user_catalog() / "models" / f"{key}.yaml"
    write_text(
        path, yaml.safe_dump(entry.model_dump(mode="json", exclude_none=True), sort_keys=False)
    )
    if commit != revision:
        terminal.say(f"{revision or _NEWEST} of {place} is {commit} today, which is pinned")
    terminal.say(f"added {key} in {path}; `steer run --model {key} --trait ...` runs it")


@models.command("enter")
def enter_models() -> None:
    """Make Dagster's partitions of all models of the catalog and the watched folder."""
    from steer_assets.automation import model_partitions
    from steer_assets.automation.runner import instance

    with instance() as found:
        problems = model_partitions.enter(found)
    for problem in problems:
        terminal.say(f"not added: {problem}")


@models.command("retire")
def retire_model(
    model: Annotated[str, typer.Argument(help="Model key.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a model's partition with its runs, files, rows and lineage."""
    from steer_assets.automation.retire import retire
    from steer_assets.automation.runner import instance

    validate_slug(model, "model")
    if not yes:
        typer.confirm(f"remove {model} and everything made from it?", abort=True)
    layout = Layout(data_folder())
    with instance() as found:
        retired = retire(layout, found, model)
    for path in retired.paths:
        terminal.say(f"removed   {path}")
    terminal.say(f"{model} is retired; {retired.n_runs} runs went with it")
    if retired.synced is not None and retired.synced.deferred:
        terminal.say(f"still in DuckDB: {retired.synced.deferred}; run `steer db sync`")


@traits.command("list")
def list_traits(json: Json = False) -> None:
    """Every trait of the catalog."""
    rows = []
    for key in catalog.trait_keys():
        trait = catalog.trait(key)
        rows.append(
            {
                "trait": key,
                "positive": trait.poles.positive,
                "negative": trait.poles.negative,
                "contrast pairs": trait.n_pairs,
                "test prompts": len(list(trait.tests())),
            }
        )
    terminal.show(terminal.frame_of(rows), as_json=json)


TraitFile = Annotated[
    Path, typer.Argument(help="Trait file: YAML, CSV (any delimiter), JSON lines or JSON.")
]


def _told(file: Path, reading: Reading, *, raw: bool = False) -> None:
    """Description of a file: layout, use of its parts, and the estimates that it does not allow."""
    trait = reading.trait
    terminal.say(
        f"{file} is a trait: {trait.trait}, {trait.n_pairs} contrast pairs, "
        f"{limits.counted(len(list(trait.tests())))}"
    )
    for note in reading.notes:
        terminal.say(note)
    marked = [] if raw else limits.templated(reading)
    if marked:
        place, markup = marked[0]
        terminal.say(
            f"warning: {file}:{reading.line_of(place)}: {len(marked)} prompts hold chat markup "
            f"({markup}), and the model's own template would be put around it; "
            f"`steer traits import {file} --raw` declares them raw, or take the markup out"
        )
    for sentence in repeated.warnings(file, reading):
        terminal.say(sentence)
    for sentence in limits.limits(trait):
        terminal.say(f"few: {sentence}")


@traits.command("check")
def check_trait(file: TraitFile) -> None:
    """Check a trait file: errors by line, and estimates that it has too few prompts for."""
    for name in trait_files.names(file):
        _told(file, trait_files.reading(file, name))


@traits.command("import")
def import_trait(
    file: TraitFile,
    name: Annotated[str, typer.Option(help="Key; by default that of the file.")] = "",
    raw: Annotated[
        bool, typer.Option("--raw", help="Texts with chat markup are taken as they are.")
    ] = False,
) -> None:
    """Write the traits of a file into your catalog, and report how each part was used."""
    found = trait_files.names(file)
    if name and len(found) > 1:
        raise CatalogError(f"{file} defines {', '.join(found)}; --name is for a file of one trait")
    known = catalog.trait_keys()
    readings = [trait_files.reading(file, own, key=name or own) for own in found]
    for reading in readings:
        if reading.trait.trait in known:
            raise CatalogError(
                f"the trait {reading.trait.trait!r} is already in the catalog; choose another "
                "--name, or remove its file"
            )
    for reading in readings:
        trait = writing.raw(reading.trait) if raw else reading.trait
        _told(file, reading, raw=raw)
        file_name, text = writing.file_of(trait)
        path = catalog.user_catalog() / "traits" / file_name
        write_text(path, text)
        labelled = catalog.user_catalog() / "labelled" / f"{trait.trait}.jsonl"
        terminal.say(
            f"wrote {path}; texts labelled positive and negative go to {labelled}, and "
            f"`steer run --model ... --trait {trait.trait}` runs it"
        )
