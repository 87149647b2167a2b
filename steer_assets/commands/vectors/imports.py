"""`steer vectors import` and `steer vectors list`.

Formats, by suffix: `.safetensors`, control-vector `.gguf` (llama.cpp, repeng), `.npy`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layers import resolve_layer
from steer_assets.commands import terminal
from steer_assets.commands.options import Json, Model, Trait
from steer_assets.commands.vectors import notes
from steer_assets.commands.vectors.stored import architecture, facts, stored
from steer_assets.geometry.vector_ids import EXTERNAL, VectorId, base_id
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout
from steer_assets.storage.slugs import validate_slug

if TYPE_CHECKING:
    from steer_assets.geometry.vector_files import NamedVector


def _layer(text: str, n_layers: int) -> int:
    return resolve_layer(int(text) if text.lstrip("-").isdecimal() else text, n_layers)


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
    size = facts(layout, model, trait)
    key = validate_slug(name or file.stem.lower(), "vector")
    chosen = _chosen(file, size, layer, vector)
    # imported late: it takes seconds, which an early rejection avoids
    from steer_assets.pipeline import external_vectors

    asked = external_vectors.parse_scale(scale)
    values = {block: checked for block, (_, checked) in chosen.items()}
    path = external_vectors.add(layout, model, trait, key, values, asked)
    made = stored(layout, model, trait)
    for block, (found, checked) in chosen.items():
        base = made.get(base_id(block))
        norms = notes.norms(external_vectors.Brought(checked, asked), base)
        terminal.say(f"{found.name} of {file} is {VectorId(block, EXTERNAL, key)}: {norms}")
    terminal.say(f"stored    {path}")
    brought = [found for found, _ in chosen.values()]
    notes.warn_of_architecture(brought, model, architecture(layout, model))
    notes.note_strength(brought, scale)
    notes.note_unsteered(list(chosen), size["n_layers"])
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


def list_vectors(model: Model, trait: Trait, json: Json = False) -> None:
    """Vectors that you imported, by block."""
    from steer_assets.pipeline import external_vectors

    layout = Layout(data_folder())
    size = facts(layout, model, trait)
    rows = [
        {
            "vector": str(VectorId(layer, EXTERNAL, name)),
            "norm": float(np.linalg.norm(brought.values)),
            "scale": brought.scale,
        }
        for layer in range(size["n_layers"])
        for name, brought in external_vectors.read(layout, model, trait, layer).items()
    ]
    if not rows:
        terminal.say("none; `steer vectors import` brings one")
        return
    terminal.show(terminal.frame_of(rows), as_json=json)
