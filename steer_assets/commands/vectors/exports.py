"""`steer vectors export`: one file, or a folder that every tool reads.

A folder has, for every vector (such as `base`), all its blocks in two files: `base.gguf`
(llama.cpp, repeng, EasySteer on vLLM) and `base.safetensors` (steering-vectors, PyTorch), and
`USE.md` with the call of each tool. No pickle is written: none of these tools needs one.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steer_assets.catalog.errors import CatalogError, UnknownNameError
from steer_assets.commands import terminal
from steer_assets.commands.options import Model, Trait
from steer_assets.commands.vectors.stored import architecture, facts, stored
from steer_assets.commands.vectors.usage import Exported, usage
from steer_assets.geometry.vector_ids import VectorId, without_block
from steer_assets.paths import data_folder
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.layout import Layout

if TYPE_CHECKING:
    from steer_assets.geometry.vector_files import NamedVector

_SITE = "added to the residual stream at the output of the block, counted from 0"
_SUFFIXES = (".gguf", ".safetensors")
#: Columns of `steering_vectors` that go with a vector.
_TOLD = ("vector_id", "family", "seed", "null_space", "sha256")


def export_vectors(
    to: Annotated[
        Path,
        typer.Argument(
            help="A folder, with files for all tools; or one FILE.safetensors or FILE.gguf."
        ),
    ],
    model: Model,
    trait: Trait,
    vector: Annotated[
        list[str],
        typer.Option(
            help="Vector id like L15.base, or base for all its blocks; may be given again."
        ),
    ],
    strength: Annotated[
        float, typer.Option(help="Factor to steer with, stated in the files.")
    ] = 1.0,
    fold: Annotated[
        bool, typer.Option("--fold", help="Multiply the vectors by the strength instead.")
    ] = False,
) -> None:
    """Write vectors for llama.cpp, vLLM (EasySteer), steering-vectors and repeng.

    safetensors keeps float64. A GGUF holds float32, one vector per block, and not block 0.
    """
    layout = Layout(data_folder())
    size = facts(layout, model, trait)
    named = _named(layout, model, trait, vector, strength, fold)
    about = {"model": model, "trait": trait, "model_sha256": str(size["sha256"]), "site": _SITE}
    if to.suffix in _SUFFIXES:
        to.parent.mkdir(parents=True, exist_ok=True)
        every = [one for group in named.values() for one in group]
        _write(to, every, about, architecture(layout, model))
        terminal.say(f"wrote {len(every)} vectors to {to}")
        return
    if to.suffix and not to.is_dir():
        raise CatalogError(f"{to.name}: vectors are written as .safetensors or .gguf, or a folder")
    _write_folder(to, named, about, architecture(layout, model), "1" if fold else f"{strength:g}")


def _named(
    layout: Layout, model: str, trait: str, asked: list[str], strength: float, fold: bool
) -> dict[str, list["NamedVector"]]:
    """The vectors asked for, by name without block, in the order of blocks.

    Raises:
        CatalogError: nothing is stored, or a strength of 0.
        UnknownNameError: no vector has this id.
    """
    from steer_assets.geometry.vector_files import STRENGTH, NamedVector

    made = stored(layout, model, trait)
    if not made:
        raise CatalogError(
            f"there are no vectors of {model} and {trait} yet; "
            f"`steer run --model {model} --trait {trait}` makes them"
        )
    if strength == 0:
        raise CatalogError("strength 0 steers nothing")
    parts = {vector_id: VectorId.parse(vector_id) for vector_id in made}
    table = read_part(layout.part("steering_vectors", {"model": model, "trait": trait}))
    rows = {row["vector_id"]: row for row in table.iter_rows(named=True)}
    chosen: dict[str, list[NamedVector]] = {}
    for vector_id in sorted(_ids(asked, parts), key=lambda one: parts[one].layer):
        told = {name: str(rows[vector_id][name]) for name in _TOLD}
        stated = {} if strength == 1 or fold else {STRENGTH: f"{strength:g}"}
        values = made[vector_id] * (strength if fold else 1.0)
        one = NamedVector(vector_id, values, parts[vector_id].layer, told | stated)
        chosen.setdefault(without_block(parts[vector_id]), []).append(one)
    return chosen


def _ids(asked: list[str], parts: dict[str, VectorId]) -> set[str]:
    found: set[str] = set()
    for text in asked:
        of_any_block = {one for one, part in parts.items() if without_block(part) == text}
        if text not in parts and not of_any_block:
            known = [*parts, *sorted({without_block(part) for part in parts.values()})]
            raise UnknownNameError("vector", text, known)
        found |= {text} if text in parts else of_any_block
    return found


def _write(path: Path, vectors: list[Any], about: dict[str, str], architecture: str) -> None:
    from steer_assets.geometry import vector_files

    if path.suffix == ".gguf":
        stated = {one.metadata.get(vector_files.STRENGTH, "") for one in vectors} - {""}
        told = about | ({vector_files.STRENGTH: stated.pop()} if stated else {})
        vector_files.write_control_vector(path, vectors, model_hint=architecture, metadata=told)
    else:
        vector_files.write_safetensors(path, vectors, metadata=about)


def _write_folder(
    to: Path,
    named: dict[str, list["NamedVector"]],
    about: dict[str, str],
    architecture: str,
    strength: str,
) -> None:
    from steer_assets.geometry.vector_files import NamedVector

    to.mkdir(parents=True, exist_ok=True)
    written = []
    for name, vectors in named.items():
        blocks = [one.layer for one in vectors if one.layer is not None]
        by_block = [
            NamedVector(f"layer_{one.layer}", one.values, one.layer, one.metadata)
            for one in vectors
        ]
        _write(to / f"{name}.safetensors", by_block, about, architecture)
        if beyond := [one for one in vectors if one.layer != 0]:
            _write(to / f"{name}.gguf", beyond, about, architecture)
        terminal.say(f"wrote     {name}: {_listed(blocks)}")
        if 0 in blocks:
            terminal.say("note      block 0 is in the safetensors alone: no GGUF tool steers it")
        written.append(Exported(name, tuple(blocks), bool(beyond)))
    write_text(to / "USE.md", usage(written, about, architecture, strength))
    terminal.say(f"how to    {to / 'USE.md'}")


def _listed(blocks: list[int]) -> str:
    return f"block{'s' if len(blocks) > 1 else ''} {', '.join(map(str, blocks))}"
