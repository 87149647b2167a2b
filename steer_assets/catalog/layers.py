"""Layers in a study: integers, or fractions of the number of blocks L."""

import re
from fractions import Fraction

#: Blocks that calibration tries at most.
CANDIDATES = 6
#: In place of blocks that are steered: calibration chooses them.
AUTO = "auto"
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


def check_steered(name: int | str) -> int | str:
    """As `check_layer`; `auto` is allowed too."""
    return name if name == AUTO else check_layer(name)


def candidate_layers(n_layers: int) -> list[int]:
    """Blocks that calibration tries: from L/4 to 7L/8, at most 6, evenly spread, ascending.

    Earlier blocks have not yet read the prompt, and what is added to the last ones has no blocks
    left to act on.
    """
    first = n_layers // 4
    last = max(first, min(7 * n_layers // 8, n_layers - 2))
    n = min(CANDIDATES, last - first + 1)
    if n == 1:
        return [(first + last) // 2]
    return sorted({first + round(i * (last - first) / (n - 1)) for i in range(n)})


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
