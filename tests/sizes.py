"""How much the tests do that have a smaller form in `make test`: all of it in `make faults`.

`STEER_TEST_FULL=1` asks for all; `STEER_TEST_KILLS` sets one size by itself.
"""

import os
from typing import Any

import pytest

FULL = os.environ.get("STEER_TEST_FULL") == "1"
#: Runs killed with -9.
KILLS = int(os.environ.get("STEER_TEST_KILLS", "40" if FULL else "5"))
#: Partitions that each of four writers makes.
PARTITIONS = 25 if FULL else 6
#: Damaged catalog files, keys and command lines that are tried, in shares of these.
FUZZ = 2400 if FULL else 200
#: Models, one size after another, and traits of which a tick of automation knows every pair.
MODELS, TRAITS = ((10, 100, 500), 100) if FULL else ((10, 50, 100), 20)
#: Studies that a simulation of a verdict makes.
STUDIES = 150 if FULL else 60


def simulated(n: int) -> int:
    """Of n studies that a simulation makes in full, those that `make test` makes."""
    return n if FULL else n // 3


def in_full(*values: Any) -> Any:
    """A parameter that `make faults` tries, beside one like it that `make test` does."""
    return pytest.param(*values, marks=pytest.mark.faults)
