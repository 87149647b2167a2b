"""Which engines compute the pieces of a stage: this process, processes beside it, or Ray actors.

`STEER_ENGINES` is empty for this process (the default), `2` for two processes on this host, or
`ray:8` for eight actors of the Ray cluster that the run belongs to. `STEER_ENGINE_CPUS` (1) is the
number of threads of each, and `STEER_ENGINE_GPUS` (0) that of an actor's GPUs.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from steer_assets.parallel_processes import Processes

if TYPE_CHECKING:
    from steer_assets.lm.engines import Engines

_RAY = "ray:"
#: Imported for `ray:` only, because its package is an extra.
_RAY_MODULE = "steer_assets.cluster.ray_engines"


class EngineSettingError(ValueError):
    """A variable that says which engines to use is none of what it can be."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Engines as the environment asks for them."""

    n: int
    cpus: int
    gpus: int
    on_ray: bool


def asked() -> Asked | None:
    """What the environment asks for; None for this process.

    Raises:
        EngineSettingError: a number is not a number, or is too small.
    """
    value = os.environ.get("STEER_ENGINES", "").strip()
    if not value:
        return None
    on_ray = value.startswith(_RAY)
    return Asked(
        n=_number("STEER_ENGINES", value.removeprefix(_RAY), least=1),
        cpus=_number("STEER_ENGINE_CPUS", os.environ.get("STEER_ENGINE_CPUS") or "1", least=1),
        gpus=_number("STEER_ENGINE_GPUS", os.environ.get("STEER_ENGINE_GPUS") or "0", least=0),
        on_ray=on_ray,
    )


def _number(name: str, value: str, *, least: int) -> int:
    if value.isascii() and value.isdecimal() and int(value) >= least:
        return int(value)
    raise EngineSettingError(
        f"{name} is {os.environ.get(name, '')!r}: give a number from {least} on"
        + (", or ray: and a number" if name == "STEER_ENGINES" else "")
    )


@cache
def engines(wanted: Asked) -> Engines:
    """The engines, which stay for later stages of the process."""
    if not wanted.on_ray:
        return Processes(wanted.n)
    make: Callable[..., Engines] = importlib.import_module(_RAY_MODULE).RayEngines
    return make(wanted.n, cpus=wanted.cpus, gpus=wanted.gpus)
