"""Layers in a study: integers, or fractions of the number of blocks L."""

import re
from fractions import Fraction

_FRACTION = re.compile(r"(?P<numerator>\d*)L(?:/(?P<denominator>[1-9]\d*))?")


def check_layer(name: int | str) -> int | str:
    """Return `name` if it is an integer or of the form `L/2` or `2L/3`; else raise ValueError."""
    if isinstance(name, int):
        if name < 0:
            raise ValueError(f"layer {name} is negative; blocks are numbered from 0")
        return name
    if not _FRACTION.fullmatch(name):
        raise ValueError(f"layer {name!r} is neither a number nor a fraction like L/2 or 2L/3")
    return name


def resolve_layer(name: int | str, n_layers: int) -> int:
    """`L/2` of 30 blocks is block 15.

    Raises:
        ValueError: the block does not exist; the message has both numbers.
    """
    check_layer(name)
    layer = name if isinstance(name, int) else None
    if layer is None:
        match = _FRACTION.fullmatch(str(name))
        assert match is not None
        numerator = int(match["numerator"] or 1)
        layer = int(Fraction(numerator * n_layers, int(match["denominator"] or 1)))
    if not 0 <= layer < n_layers:
        raise ValueError(
            f"layer {name} is block {layer}, but the model has {n_layers} blocks, "
            f"0 to {n_layers - 1}"
        )
    return layer


def resolve_layers(names: tuple[int | str, ...], n_layers: int) -> list[int]:
    """Distinct blocks, ascending."""
    return sorted({resolve_layer(name, n_layers) for name in names})
