"""All vectors of a file at once, each for the layer that the file states."""

from collections.abc import Sequence

from steer_assets.geometry.errors import VectorFileError
from steer_assets.geometry.vector_files import NamedVector, select


def by_layer(vectors: Sequence[NamedVector], *, name: str | None = None) -> dict[int, NamedVector]:
    """One vector for every layer that the file states, of `name` if one is given.

    Raises `VectorFileError` if a vector states no layer, or several match one layer.
    """
    chosen = [vector for vector in vectors if name is None or vector.name == name] or vectors
    if unplaced := [vector.name for vector in chosen if vector.layer is None]:
        raise VectorFileError(f"{', '.join(unplaced[:3])}: the file names no layer; give one")
    layers = sorted({vector.layer for vector in chosen if vector.layer is not None})
    return {layer: select(vectors, layer=layer, name=name) for layer in layers}
