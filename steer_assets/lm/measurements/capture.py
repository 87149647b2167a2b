"""Reads the residual stream: block outputs at the last token or at all tokens of each prompt.

The forward stops at the deepest requested block: no upper block and no unembedding runs. Tokens
common to the start of all prompts of a batch are run once. Layer l is the output of block l, and
the position is the last prompt token, as in the steering scope.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from steer_assets.lm.forward.intervene import (
    Arm,
    ArmTable,
    Edit,
    Steering,
    check_layers,
    editing,
)
from steer_assets.lm.forward.prefix import by_length, common_length, run_padded
from steer_assets.lm.forward.stepping import shares_prefixes
from steer_assets.lm.forward.whole import run_whole
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.progress import Meter, OnProgress
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank

Activations = Float[np.ndarray, "b d"] | list[Float[np.ndarray, "t d"]]


@dataclass(frozen=True)
class Captured:
    """One batch: ``activations[l]`` is [b, d] float32 for "last", else one [t_i, d] per prompt."""

    prompt_indices: Int[np.ndarray, " b"]
    activations: dict[int, Activations]

    def __getitem__(self, layer: int) -> Activations:
        return self.activations[layer]


class _Stop(Exception):
    """Ends the forward after the deepest block."""


@on_every_rank
def capture(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    layers: Sequence[int],
    *,
    positions: str = "last",
    batch_tokens: int = 4096,
    on_progress: OnProgress = None,
) -> Iterator[Captured]:
    """Stream block outputs of ``prompts`` (token ids) at ``layers``, shortest prompts first.

    ``positions`` is "last" or "all"; ``batch_tokens`` bounds the padded tokens of one batch. Raises
    PromptError for an empty prompt, InterventionError for a layer that is out of range.
    """
    if positions not in ("last", "all"):
        raise ValueError(f'positions is "{positions}"; "last" or "all" was expected')
    check_layers(lm, layers)
    lm.check_prompts(prompts)
    meter = Meter(on_progress, len(prompts), "prompts")
    for batch in by_length(prompts, batch_tokens):
        chosen = [prompts[i] for i in batch]
        activations = _run(lm, chosen, sorted(set(layers)), positions == "all")
        yield Captured(np.array(batch, dtype=np.int64), activations)
        meter.advance(len(batch), sum(map(len, chosen)))


@on_every_rank
def capture_last(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    layers: Sequence[int],
    *,
    arm: Arm = (),
    vectors: Float[np.ndarray, "n d"] | None = None,
    batch_tokens: int = 4096,
    on_progress: OnProgress = None,
) -> dict[int, Float[np.ndarray, "n d"]]:
    """Last-token block outputs in input order: layer -> [n_prompts, d] float32.

    ``arm``, of ``vectors``, is added at every token of every prompt.
    """
    steering = Steering(ArmTable(lm, [arm], vectors), lm.tensor([0]))
    out = {
        layer: np.empty((len(prompts), lm.hidden_size), dtype=np.float32) for layer in set(layers)
    }
    with editing(lm, steering.edits()):
        for captured in capture(
            lm, prompts, layers, batch_tokens=batch_tokens, on_progress=on_progress
        ):
            for layer, values in captured.activations.items():
                out[layer][captured.prompt_indices] = values
    return out


def _run(
    lm: LanguageModel, prompts: list[Sequence[int]], layers: list[int], every: bool
) -> dict[int, Activations]:
    # The last token of each prompt stays in the batch even if it is common to all.
    shared = shares_prefixes(lm)
    few = len(prompts) == 1 or not shared
    share = 0 if few else min(common_length(prompts), min(map(len, prompts)) - 1)
    lengths = [len(prompt) for prompt in prompts]
    passes: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    n_passes = 2 if share else 1
    last = lm.tensor([n - share - 1 for n in lengths])

    def reader(layer: int) -> Edit:
        def read(hidden: Tensor) -> None:
            batch_pass = len(passes[layer]) == n_passes - 1
            if batch_pass and not every:
                hidden = hidden[torch.arange(len(hidden), device=hidden.device), last]
            passes[layer].append(hidden.float().cpu() if every or batch_pass else hidden[:, :0])
            if layer == layers[-1]:
                raise _Stop

        return read

    with torch.inference_mode(), editing(lm, {layer: reader(layer) for layer in layers}):
        if shared:
            run_padded(lm, prompts, share=share, stop=(_Stop,))
        else:
            with suppress(_Stop):
                run_whole(lm, prompts)
    if not every:
        return {layer: parts[-1].numpy() for layer, parts in passes.items()}
    return {layer: _unpadded(parts, lengths, share) for layer, parts in passes.items()}


def _unpadded(
    parts: list[Tensor], lengths: list[int], share: int
) -> list[Float[np.ndarray, "t d"]]:
    own = parts[-1]
    shared = parts[0][0] if share else own[0, :0]
    return [
        torch.cat([shared, own[row, : length - share]]).numpy()
        for row, length in enumerate(lengths)
    ]
