"""Quadratic forms of prompts: in one call of this process, or prompt by prompt by engines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from steer_assets.pipeline.resuming import Pieces, spread, to_engines
from steer_assets.pipeline.stage import StageRun

if TYPE_CHECKING:
    from steer_assets.lm.measurements.derivatives import PromptForms


def forms_of_prompts(
    run: StageRun,
    prompts: Mapping[str, Sequence[int]],
    layers: Sequence[int],
    pieces: Pieces,
    **arguments: Any,
) -> Iterator[tuple[str, PromptForms]]:
    """Names of prompts with their forms, as they come.

    prompts: token ids by name. arguments: further ones of `prompt_forms`.
    """
    from steer_assets.lm.measurements import derivatives

    names = list(prompts)
    cut = {name: [name] for name in names} if to_engines() else {"all": names}
    calls = {
        call: {"prompts": [prompts[name] for name in own], "layers": layers, **arguments}
        for call, own in cut.items()
    }
    sizes = {call: len(own) for call, own in cut.items()}
    for call, found in spread(
        run, derivatives.prompt_forms, calls, pieces, sizes, derivatives=True
    ):
        for form in found:
            yield cut[call][form.prompt], form
