"""The method of running a snapshot's rows, recorded by its self-test to avoid repeated trials.

The record includes the conditions of the trial. If a library, the device or the number type
differs, or the record cannot be read, the model is tried again.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers

from steer_assets.lm.forward.stepping import SHARED, STATES, WHOLE, set_way, way_of
from steer_assets.lm.model import LanguageModel

NAME = "stepping.json"


def _circumstances(lm: LanguageModel) -> dict[str, str]:
    ranks = {} if lm.ranks is None else {"ranks": str(lm.ranks.n)}
    return {
        **ranks,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": lm.torch_device.type,
        "dtype": lm.dtype,
    }


def described(lm: LanguageModel) -> str:
    """The method of ``lm`` and the conditions of its trial, as JSON."""
    return json.dumps({"way": way_of(lm), **_circumstances(lm)}, indent=1)


def recall(lm: LanguageModel, folder: Path) -> None:
    """Set the method of ``lm`` from the record in ``folder``, or try it now.

    Not deferred to first use, because the trial must not run under a caller's hooks.
    """
    try:
        noted = json.loads((folder / NAME).read_text())
    except (OSError, ValueError):
        noted = None
    if isinstance(noted, dict):
        way = noted.pop("way", None)
        if way in (SHARED, STATES, WHOLE) and noted == _circumstances(lm):
            set_way(lm, way)
    way_of(lm)
