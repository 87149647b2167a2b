"""`steer vectors`: import, export and list steering vectors.

Formats, by suffix: `.safetensors`, control-vector `.gguf` (llama.cpp, repeng), and, to bring in,
`.npy`.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import polars as pl
import typer

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError, UnknownNameError
from steer_assets.catalog.layers import resolve_layer
from steer_assets.commands import terminal, vector_notes
from steer_assets.commands.options import Json, Model, Trait
from steer_assets.geometry.vector_ids import EXTERNAL, VectorId, base_id
from steer_assets.paths import data_folder
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.files.tensors import read_vectors
from steer_assets.storage.layout import Layout
from steer_assets.storage.slugs import validate_slug

if TYPE_CHECKING:
    from steer_assets.geometry.vector_files import NamedVector

vectors = typer.Typer(no_args_is_help=True, help="Steering vectors: yours in, ours out.")


def _facts(layout: Layout, model: str, trait: str) -> dict[str, Any]:
    """The row of `models`, which the first run of a model writes."""
    catalog.model_entry(model)
    catalog.trait(trait)
    path = layout.part("models", {"model": model})
    if not path.exists():
        raise CatalogError(
            f"the width and the blocks of {model} are not known before its snapshot is made: "
            f"`steer run --model {model} --trait {trait}` first"
        )
    return read_part(path).row(0, named=True)


def _stored(layout: Layout, model: str, trait: str) -> dict[str, np.ndarray]:
    """Vectors of the partition by id; empty before its first run."""
    path = layout.pair_file("vectors", model, trait, ".safetensors")
    return read_vectors(path) if path.exists() else {}


def _layer(text: str, n_layers: int) -> int:
    return resolve_layer(int(text) if text.lstrip("-").isdecimal() else text, n_layers)


@vectors.command("import")
def import_vector(
    file: Annotated[Path, typer.Argument(help="A .safetensors, .gguf or .npy file.")],
    model: Model,
    trait: Trait,
    layer: Annotated[
        str,
        typer.Option(
            help="Block at whose output it is added: 15, or L/2. By default, all blocks that the "
            "file names."
        ),
    ] = "",
    name: Annotated[str, typer.Option(help="What to call it; by default the file's name.")] = "",
    vector: Annotated[
        str, typer.Option(help="Which vector, where the file holds several for the layer.")
    ] = "",
    scale: Annotated[
        str,
        typer.Option(
            metavar="NUMBER|v",
            help="Times this number; or v: at the length of the model's own v at that block.",
        ),
    ] = "1",
) -> None:
    """Put a vector through the same evidence as all others, as family `external`.

    Width, layers, finiteness and norm are checked first; nothing is written if one does not fit.
    """
    layout = Layout(data_folder())
    facts = _facts(layout, model, trait)
    key = validate_slug(name or file.stem.lower(), "vector")
    chosen = _chosen(file, facts, layer, vector)
    # imported late: it takes seconds, which an early rejection avoids
    from steer_assets.pipeline import external_vectors

    asked = external_vectors.parse_scale(scale)
    values = {block: checked for block, (_, checked) in chosen.items()}
    path = external_vectors.add(layout, model, trait, key, values, asked)
    stored = _stored(layout, model, trait)
    for block, (found, checked) in chosen.items():
        base = stored.get(base_id(block))
        norms = vector_notes.norms(external_vectors.Brought(checked, asked), base)
        terminal.say(f"{found.name} of {file} is {VectorId(block, EXTERNAL, key)}: {norms}")
    terminal.say(f"stored    {path}")
    own = _model_type(layout, model)
    vector_notes.warn_of_architecture([found for found, _ in chosen.values()], model, own)
    vector_notes.note_unsteered(list(chosen), facts["n_layers"])
    terminal.say(f"next      steer run --model {model} --trait {trait}")


def _chosen(
    file: Path, facts: dict[str, Any], layer: str, name: str
) -> dict[int, tuple["NamedVector", np.ndarray]]:
    """Vectors of the file by block: their names, and float64 [d] values that fit the model."""
    from steer_assets.geometry import vector_files, vector_layers

    n_layers = facts["n_layers"]
    found = vector_files.read_vectors(file, n_layers=n_layers)
    if layer:
        block = _layer(layer, n_layers)
        chosen = {block: vector_files.select(found, layer=block, name=name or None)}
    elif all(one.layer is None for one in found):
        raise CatalogError(
            f"{file.name} does not say which block its vectors are for; name it: --layer L/2"
        )
    else:
        chosen = vector_layers.by_layer(found, name=name or None)
    size = {"hidden_size": facts["hidden_size"], "n_layers": n_layers}
    return {
        block: (one, vector_files.checked(one, **size, layer=block))
        for block, one in chosen.items()
    }


def _model_type(layout: Layout, model: str) -> str:
    return str(json.loads((layout.model(model) / "config.json").read_text())["model_type"])


@vectors.command("export")
def export_vectors(
    file: Annotated[Path, typer.Argument(help="Where to: .safetensors, or .gguf for llama.cpp.")],
    model: Model,
    trait: Trait,
    vector: Annotated[list[str], typer.Option(help="Vector id like L15.base; may be given again.")],
) -> None:
    """Write vectors for other tools: safetensors with metadata, or a control-vector GGUF.

    safetensors keeps float64. A GGUF holds float32, and one vector per block.
    """
    from steer_assets.geometry import vector_files

    layout = Layout(data_folder())
    facts = _facts(layout, model, trait)
    stored = _stored(layout, model, trait)
    if not stored:
        raise CatalogError(
            f"there are no vectors of {model} and {trait} yet; "
            f"`steer run --model {model} --trait {trait}` makes them"
        )
    table = read_part(layout.part("steering_vectors", {"model": model, "trait": trait}))
    named = []
    for vector_id in vector:
        if vector_id not in stored:
            raise UnknownNameError("vector", vector_id, stored)
        row = table.row(by_predicate=pl.col("vector_id") == vector_id, named=True)
        about = {name: str(row[name]) for name in ("family", "seed", "null_space", "sha256")}
        values = stored[vector_id]
        named.append(vector_files.NamedVector(vector_id, values, int(row["layer"]), about))
    _write(file, named, model, trait, layout, facts)
    terminal.say(f"wrote {len(named)} vectors to {file}")


def _write(
    file: Path, named: list[Any], model: str, trait: str, layout: Layout, facts: dict[str, Any]
) -> None:
    from steer_assets.geometry import vector_files

    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".gguf":
        vector_files.write_control_vector(file, named, model_hint=_model_type(layout, model))
    elif file.suffix == ".safetensors":
        about = {
            "model": model,
            "trait": trait,
            "model_sha256": facts["sha256"],
            "site": "added to the residual stream at the output of the block, counted from 0",
        }
        vector_files.write_safetensors(file, named, metadata=about)
    else:
        raise CatalogError(f"{file.name}: vectors are written as .safetensors or .gguf")


@vectors.command("list")
def list_vectors(model: Model, trait: Trait, json: Json = False) -> None:
    """Vectors that you imported, by block."""
    from steer_assets.pipeline import external_vectors

    layout = Layout(data_folder())
    facts = _facts(layout, model, trait)
    rows = [
        {
            "vector": str(VectorId(layer, EXTERNAL, name)),
            "norm": float(np.linalg.norm(brought.values)),
            "scale": brought.scale,
        }
        for layer in range(facts["n_layers"])
        for name, brought in external_vectors.read(layout, model, trait, layer).items()
    ]
    if not rows:
        terminal.say("none; `steer vectors import` brings one")
        return
    terminal.show(terminal.frame_of(rows), as_json=json)
