"""Exact derivatives of the next-token logits by the residual stream at the last prompt token.

With f = the final hidden state (the unembedding's input), W the unembedding [V, d'], s = W f + b
and z = g(s) elementwise (soft-capping, logit scaling), D_l = df/dh_l is found by automatic
differentiation, one backward row per dimension of f. Then J_l = dz/dh_l = diag(g') W D_l, and

    Jacobian Gram    J' J                     = D' [ W' diag(g'^2) W ] D
    Fisher pullback  J' (diag p - p p') J     = D' [ sum_i p_i (a_i - m)(a_i - m)' ] D

with p = softmax(z), a_i = g'_i w_i the slope times row i of W and m = sum_i p_i a_i (Amari 1998;
the pullback as in Arvanitidis et al. 2022, arXiv 2106.05367). Rows are centred before the product:
W' diag(g'^2 p) W - m m' subtracts two nearly equal matrices where p is peaked. No V x d Jacobian is
formed. Gradients pass through every intermediate layer, so one backward pass gives the D of several
layers, over a cached prefix and the upper blocks only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from steer_assets.lm.errors import PrecisionError
from steer_assets.lm.forward.edit_window import Window
from steer_assets.lm.forward.intervene import (
    Arm,
    ArmTable,
    Edit,
    Reader,
    Steering,
    check_layers,
    editing,
)
from steer_assets.lm.forward.prefix import Prefix
from steer_assets.lm.forward.resuming import resuming, skips_blocks
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Scope, require_next_token
from steer_assets.lm.forward.stepping import prepare, shares_prefixes, start_rows
from steer_assets.lm.forward.whole import whole_logits
from steer_assets.lm.measurements.backward import batched, batched_over_ranks, jacobian
from steer_assets.lm.measurements.unembedding import Unembedding
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.progress import Meter, OnProgress
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank


@dataclass(frozen=True)
class PromptForms:
    """Quadratic forms at one prompt's last token: layer -> [d, d] float64."""

    prompt: int
    jacobian_gram: dict[int, Float[np.ndarray, "d d"]]
    fisher: dict[int, Float[np.ndarray, "d d"]]


@on_every_rank
def prompt_forms(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    layers: Sequence[int],
    *,
    scope: Scope = LAST_PROMPT_AND_GENERATED,
    arm: Arm = (),
    vectors: Float[np.ndarray, "n d"] | None = None,
    row_chunk: int | None = None,
    on_progress: OnProgress = None,
) -> Iterator[PromptForms]:
    """Jacobian Gram and Fisher pullback of each prompt at ``layers``, steered by ``arm``.

    ``row_chunk`` bounds the number of backward rows (memory). At a steered layer the derivative is
    by the state after the addition. Under a scope of the whole prompt it is by a vector that is
    added, as the arm is, at every prompt token. Raises PrecisionError for a model in less than
    float32, InterventionError for a scope under which the next token is not moved.
    """
    if lm.torch_dtype.itemsize < 4:
        raise PrecisionError(
            f"derivatives need float32 or better, the model is in {lm.dtype}: load it in float32"
        )
    check_layers(lm, layers)
    lm.check_prompts(prompts)
    table = ArmTable(lm, [arm], vectors)
    wanted = sorted(set(layers))
    meter = Meter(on_progress, len(prompts), "prompts")
    unembedding = Unembedding.of(lm)
    for index, prompt in enumerate(prompts):
        point = differentiate(lm, prompt, wanted, table, row_chunk, scope)
        yield _pulled_back(index, point, unembedding)
        meter.advance(1, len(prompt))


@dataclass(frozen=True)
class Point:
    """Derivatives at one prompt: D = df/dh_l [d', d] per layer, logits z [V] and dz/ds [V]."""

    jacobians: dict[int, Tensor]
    logits: Tensor
    slope: Tensor


def differentiate(
    lm: LanguageModel,
    prompt: Sequence[int],
    layers: Sequence[int],
    table: ArmTable | None = None,
    row_chunk: int | None = None,
    scope: Scope = LAST_PROMPT_AND_GENERATED,
) -> Point:
    """D, logits and slope of one prompt; ``table`` holds one arm, ``layers`` ascend."""
    require_next_token(scope)
    table = table or ArmTable(lm, [()], None)
    head = _HeadProbe()
    run = _over_whole_prompt if scope.whole_prompt else _at_last_token
    logits, sources = run(lm, prompt, layers, table, head)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(logits.sum(), head.scores)
    final = head.hidden.reshape(-1)
    if row_chunk is None and (scope.whole_prompt or not shares_prefixes(lm)):
        row_chunk = max(8, len(final) // len(prompt))  # every row contains the whole prompt
    rows = batched if lm.ranks is None else batched_over_ranks
    found = jacobian(final, [sources[layer] for layer in layers], row_chunk, rows)
    return Point(dict(zip(layers, found, strict=True)), logits.detach(), slope.reshape(-1))


def _at_last_token(
    lm: LanguageModel,
    prompt: Sequence[int],
    layers: Sequence[int],
    table: ArmTable,
    head: _HeadProbe,
) -> tuple[Tensor, dict[int, Tensor]]:
    """Logits [V], and the states at the last token that they are differentiated by."""
    prefix, last = prepare(lm, [prompt]), lm.tensor([prompt[-1]])
    steering = Steering(table, lm.tensor([0]))
    # An addition below the lowest layer changes its state, which must then be computed.
    skips = skips_blocks(lm) and layers[0] <= min(table.by_layer, default=lm.n_layers)
    lowest = _state_at(lm, prefix, last, layers[0]) if skips else None
    states: dict[int, Tensor] = {}

    def edit_of(layer: int) -> Edit:
        def edit(hidden: Tensor) -> Tensor:
            if layer in steering.additions:
                hidden = hidden + steering.additions[layer]
            if layer == layers[0]:
                hidden = hidden.detach().requires_grad_()
            states[layer] = hidden
            return hidden

        return edit

    edits = steering.edits() | {layer: edit_of(layer) for layer in layers}
    resumed = nullcontext() if lowest is None else resuming(lm, layers[0], lowest)
    with torch.enable_grad(), head.watching(lm), editing(lm, edits), resumed:
        return start_rows(lm, prefix, lm.tensor([0]), 1).step(last)[0], states


def _over_whole_prompt(
    lm: LanguageModel,
    prompt: Sequence[int],
    layers: Sequence[int],
    table: ArmTable,
    head: _HeadProbe,
) -> tuple[Tensor, dict[int, Tensor]]:
    """Logits [V], and the steps, each added at every token, that they are differentiated by."""
    steering = Steering(table, lm.tensor([0]))
    steps: dict[int, Tensor] = {}

    def edit_of(layer: int) -> Edit:
        def edit(hidden: Tensor) -> Tensor:
            if layer in steering.additions:
                hidden = hidden + steering.additions[layer]
            steps[layer] = torch.zeros_like(hidden[:, :1]).requires_grad_()
            return hidden + steps[layer]

        return edit

    edits = steering.edits() | {layer: edit_of(layer) for layer in layers}
    window = Window(read=lm.tensor([[len(prompt) - 1]]))
    with torch.enable_grad(), head.watching(lm), editing(lm, edits):
        return whole_logits(lm, lm.tensor([list(prompt)]), window)[0, -1], steps


def _state_at(lm: LanguageModel, prefix: Prefix, last: Tensor, layer: int) -> Tensor:
    reader = Reader()
    with torch.no_grad(), editing(lm, {layer: reader.edit}):
        start_rows(lm, prefix, lm.tensor([0]), 1).step(last)
    return reader.values()


class _HeadProbe:
    """The unembedding's input, and its output as the leaf for differentiation of the logits."""

    hidden: Tensor
    scores: Tensor

    def watching(self, lm: LanguageModel) -> torch.utils.hooks.RemovableHandle:
        """Hook the unembedding; a context manager."""

        def hook(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            self.hidden = args[0]
            self.scores = output.detach().requires_grad_()
            return self.scores

        return lm.layout.head.register_forward_hook(hook)


def _pulled_back(index: int, point: Point, unembedding: Unembedding) -> PromptForms:
    """Both forms of one prompt at all its layers."""
    gram, fisher = unembedding.forms(point.logits, point.slope)
    jacobians = {layer: d.double() for layer, d in point.jacobians.items()}
    return PromptForms(
        index,
        {layer: _form(d, gram) for layer, d in jacobians.items()},
        {layer: _form(d, fisher) for layer, d in jacobians.items()},
    )


def _form(d: Float[Tensor, "e d"], m: Float[Tensor, "e e"]) -> Float[np.ndarray, "d d"]:
    form = d.T @ m @ d
    return (0.5 * (form + form.T)).cpu().numpy()
