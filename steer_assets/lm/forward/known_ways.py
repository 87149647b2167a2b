"""The way in which a snapshot's rows are run, noted by its self-test: it is not tried again.

Noted with all that it was tried under. Where a library, the device or the number type is another,
or the note cannot be read, the model is tried as if there were none.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers

from steer_assets.lm.forward.stepping import SHARED, STATES, WHOLE, way_of
from steer_assets.lm.model import LanguageModel

NAME = "stepping.json"


def _circumstances(lm: LanguageModel) -> dict[str, str]:
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": lm.torch_device.type,
        "dtype": lm.dtype,
    }


def described(lm: LanguageModel) -> str:
    """The way of ``lm``, and what it was tried under, as JSON."""
    return json.dumps({"way": way_of(lm), **_circumstances(lm)}, indent=1)


def recall(lm: LanguageModel, folder: Path) -> None:
    """Give ``lm`` the way that is noted in ``folder``, or try it now.

    Now, and not when it is first needed: the trial must not run inside anybody's hooks.
    """
    try:
        noted = json.loads((folder / NAME).read_text())
    except (OSError, ValueError):
        noted = None
    if isinstance(noted, dict):
        way = noted.pop("way", None)
        if way in (SHARED, STATES, WHOLE) and noted == _circumstances(lm):
            lm._way = way  # type: ignore[attr-defined]
    way_of(lm)
