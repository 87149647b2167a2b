"""How a steering vector is named: ``L15.base_plus_null.fisher.s0``.

The block it was made for, its family, which one of the family where there are several (the kind of
null space, another trait, the name of a vector that a user brought), and the seed it was drawn by.
Seeds of one family that are tested together end in ``all_seeds`` instead of a seed. Tables hold the
text; what reads a part of it parses it here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BASE = "base"
EXTERNAL = "external"
OTHER_TRAIT = "other_trait"
ALL_SEEDS = "all_seeds"
#: In place of an id where nothing is added.
NONE_ID = "none"
#: Families whose members have names that others gave, which may look like a seed.
_NAMED = (EXTERNAL, OTHER_TRAIT)
_ID = re.compile(r"L(?P<layer>\d+)\.(?P<family>[^.]+)(?:\.(?P<rest>.+))?", re.DOTALL)
_SEED = re.compile(r"s(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class VectorId:
    """The parts of an id; `str` writes it.

    which: the kind of null space, or a name; empty where the family has one vector for a seed.
    seed: None where nothing is drawn, `ALL_SEEDS` for those of a family together.
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
        """The parts of a text that `str` wrote. Raises `ValueError` for any other."""
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
        """Whether this is one of the vectors that an id of all seeds stands for."""
        same = (self.layer, self.family, self.which) == (seeds.layer, seeds.family, seeds.which)
        return same and seeds.seed == ALL_SEEDS and isinstance(self.seed, int)


def base_id(layer: int) -> str:
    """The id of v of a block."""
    return str(VectorId(layer, BASE))
