"""Notes that `steer vectors import` prints besides the stored path."""

from typing import TYPE_CHECKING

import numpy as np

from steer_assets.catalog import catalog
from steer_assets.catalog.layers import resolve_layers
from steer_assets.commands import terminal

if TYPE_CHECKING:
    from steer_assets.geometry.vector_files import NamedVector
    from steer_assets.pipeline.external_vectors import Brought


def norms(brought: "Brought", base: np.ndarray | None) -> str:
    """The vector's resulting length, and that of v if it is known."""
    own = f"norm {np.linalg.norm(brought.values):.4g}"
    if base is None:
        return own if brought.scale == "1" else f"{own}, used at scale {brought.scale}"
    v = f"v's is {np.linalg.norm(base):.4g}"
    if brought.scale == "1":
        return f"{own}, {v}"
    return f"{own}, scaled to {np.linalg.norm(brought.scaled(base)):.4g}, {v}"


def warn_of_architecture(found: list["NamedVector"], model: str, own: str) -> None:
    """Warn if a vector was made for another architecture than `own`, the model's."""
    from steer_assets.geometry.vector_files import MODEL_HINT

    hints = {one.metadata.get(MODEL_HINT, "") for one in found} - {""}
    for hint in sorted(hints):
        if _letters(hint) != _letters(own):
            terminal.say(
                f"warning   the vector was made for the architecture {hint}, and {model} is "
                f"{own}: a direction of another model means nothing here"
            )


def _letters(architecture: str) -> str:
    """`qwen2_moe` and `qwen2moe` are equal: GGUF and transformers spell names differently."""
    return "".join(c for c in architecture.lower() if c.isalnum())


def note_strength(found: list["NamedVector"], scale: str) -> None:
    """Say that the file states a strength that the import does not apply."""
    from steer_assets.geometry.vector_files import STRENGTH

    stated = {one.metadata.get(STRENGTH, "") for one in found} - {"", "1"}
    if scale == "1":
        for strength in sorted(stated):
            terminal.say(
                f"note      the file states strength {strength}, which is not applied; "
                f"`--scale {strength}` does"
            )


def note_unsteered(blocks: list[int], n_layers: int) -> None:
    """Name the blocks that the study does not steer."""
    from steer_assets.resources.active_study import default_study

    study = default_study()
    if catalog.study(study).layers.automatic:
        terminal.say(f"note      calibration chooses the blocks that the study {study} steers")
        return
    steered = resolve_layers(catalog.study(study).layers.steer, n_layers)
    unused = [block for block in blocks if block not in steered]
    if unused:
        named = f"{'block' if len(unused) == 1 else 'blocks'} {', '.join(map(str, unused))}"
        terminal.say(
            f"note      the study {study} steers blocks {steered}, not {named}: only studies whose "
            f"layers.steer names {'it' if len(unused) == 1 else 'them'} use the vector there"
        )
