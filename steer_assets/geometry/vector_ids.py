"""Names of steering vectors, such as ``L15.base_plus_null.fisher.s0``.

The parts are the block, the family, the member if the family has several (the kind of null space,
another trait, the name of a user-supplied vector), and the seed. Seeds of one family that are
tested together have ``all_seeds`` instead of a seed. Tables store the text; this module parses it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BASE = "base"
EXTERNAL = "external"
OTHER_TRAIT = "other_trait"
TWO_TRAITS = "two_traits"
ALL_SEEDS = "all_seeds"
#: Replaces an id where no vector is added.
NONE_ID = "none"
#: Families whose members are no seeds of each other: each is tested as a family by itself.
ALONE = (EXTERNAL, TWO_TRAITS)
#: Families whose members have user-defined names, which may look like a seed.
_NAMED = (EXTERNAL, OTHER_TRAIT, TWO_TRAITS)
_ID = re.compile(r"L(?P<layer>\d+)\.(?P<family>[^.]+)(?:\.(?P<rest>.+))?", re.DOTALL)
_SEED = re.compile(r"s(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class VectorId:
    """The parts of an id; `str` writes it.

    which: the kind of null space, or a name; empty if the family has one vector per seed.
    seed: None if nothing is drawn, `ALL_SEEDS` for all seeds of a family.
    """

    layer: int
    family: str
    which: str = ""
    seed: int | str | None = None

    def __str__(self) -> str:
        drawn = "" if self.seed is None else f"s{self.seed}"
        parts = (self.family, self.which, ALL_SEEDS if self.seed == ALL_SEEDS else drawn)
        return ".".join([f"L{self.layer}", *filter(None, parts)])

    @classmethod
    def parse(cls, text: str) -> VectorId:
        """The parts of an id written by `str`. Raises `ValueError` for any other text."""
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no vector id, which is like L15.base or L15.random.s0")
        layer, family, rest = int(match["layer"]), match["family"], match["rest"] or ""
        if family in _NAMED:
            return cls(layer, family, rest)
        which, _, last = rest.rpartition(".")
        if last == ALL_SEEDS:
            return cls(layer, family, which, ALL_SEEDS)
        drawn = _SEED.fullmatch(last)
        return cls(layer, family, which, int(drawn[1])) if drawn else cls(layer, family, rest)

    def among(self, seeds: VectorId) -> bool:
        """Whether this vector is one of those that an id with `ALL_SEEDS` covers."""
        same = (self.layer, self.family, self.which) == (seeds.layer, seeds.family, seeds.which)
        return same and seeds.seed == ALL_SEEDS and isinstance(self.seed, int)


def family_of(vector_id: str, family: str) -> str:
    """The family that a vector is tested in; its own, such as `external.mine`, if it is alone."""
    return vector_id.split(".", 1)[1] if family in ALONE else family


def base_id(layer: int) -> str:
    """The id of v of a block."""
    return str(VectorId(layer, BASE))


def without_block(vector_id: VectorId) -> str:
    """The id without its block: `base` of `L15.base`."""
    return str(vector_id).partition(".")[2]
