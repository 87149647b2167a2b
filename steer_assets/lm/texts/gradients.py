r"""Gradient of a text's log-probability by the steering vector, one backward pass for many texts.

.. math:: s(x) = \nabla_{e}\,\log p(x \mid v + e)\big|_{e=0}

where e is added, as v is, at the output of one block at the positions of the scope, by default at
the last prompt token and at every token of the text. It has mean zero over texts of the arm, its
second moment E[s s'] is the Fisher form of whole texts, and the gradient of an expected score is
E[(score - baseline) s] (Williams 1992). Every row of a batch has its own e, so that one backward
pass gives the gradient of each; texts after prompts of one length share a batch. The passes go from
that block upwards, forward and backward, over the prompts' cached keys and values, or, if e is
added at every prompt token, over whole texts with their prompts. Blocks at which one arm's gradient
is taken share a pass from the lowest of them. The gradient by the logits is that of the sampler's
distribution, (one-hot - p) / T, at a fixed nucleus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from steer_assets.lm.decoding.sampling import Sampling, log_distribution
from steer_assets.lm.errors import InterventionError, PrecisionError
from steer_assets.lm.forward.continuing import Continuations, over_equal_lengths
from steer_assets.lm.forward.edit_window import current
from steer_assets.lm.forward.intervene import Arm, ArmTable, Edit, Steering, check_layers
from steer_assets.lm.forward.prefix import Prefix
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Scope
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.progress import Meter, OnProgress
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank
from steer_assets.lm.texts.vocabulary import in_parts, slopes


@dataclass(frozen=True)
class GradientText:
    """Token ids of a text, the positions of its prompt and of the point of its gradient."""

    prompt: int
    point: int
    ids: tuple[int, ...]


@on_every_rank
def text_gradients(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    texts: Sequence[GradientText],
    points: Sequence[tuple[int, Arm]],
    sampling: Sampling,
    *,
    scope: Scope = LAST_PROMPT_AND_GENERATED,
    vectors: Float[np.ndarray, "n d"] | None = None,
    batch_tokens: int = 512,
    beside: Sequence[int] = (),
    on_progress: OnProgress = None,
) -> Float[np.ndarray, "n d"]:
    """s of every text, in nats per unit of the residual stream, float64 [n, d].

    points: the block at which e is added, and the arm at which the gradient is taken, which may add
    at that block and above; prompts are run once for all points. ``batch_tokens`` bounds the padded
    tokens of a pass. ``beside``: prompts that are run though they have no text (`parts`). Raises
    PrecisionError for a model in less than float32, ValueError at
    temperature 0, InterventionError for blocks that do not fit the model or an arm that adds below
    its point's block.
    """
    if lm.torch_dtype.itemsize < 4:
        raise PrecisionError(
            f"derivatives need float32 or better, the model is in {lm.dtype}: load it in float32"
        )
    if sampling.temperature == 0:
        raise ValueError("at temperature 0 a text is not sampled, and has no probability")
    check_layers(lm, [layer for layer, _ in points])
    lm.check_prompts(prompts)
    lm.check_prompts([text.ids for text in texts])
    for layer, arm in points:
        if any(added.layer < layer for added in arm):
            raise InterventionError(
                f"the arm adds below block {layer}, where derivatives are taken"
            )
    by_prompt: dict[int, list[int]] = {}
    for row, text in enumerate(texts):
        by_prompt.setdefault(text.prompt, []).append(row)
    asked = sorted({*by_prompt, *beside})
    tables = {arm: ArmTable(lm, [arm], vectors) for _, arm in points}
    found = np.empty((len(texts), lm.hidden_size), dtype=np.float64)
    meter = Meter(on_progress, len(texts), "texts")

    def visit(indices: Sequence[int], prefix: Prefix | None, places: Sequence[int]) -> None:
        place = {asked[index]: at for index, at in zip(indices, places, strict=True)}
        rows = [row for prompt in place for row in by_prompt.get(prompt, ())]
        for arm, own in _by_arm(rows, texts, points).items():
            for part in _batches([*own], batch_tokens):
                ids, after = [text.ids for text in part], [text.prompt for text in part]
                at, before = [place[p] for p in after], [prompts[p] for p in after]
                wanted = [(n, *one) for n, text in enumerate(part) for one in own[text]]
                layers = sorted({layer for _, layer, _ in wanted})
                run = Continuations(lm, prefix, at, before, ids, layers[:1], scope)
                gradients = _gradients(lm, run, layers, tables[arm], sampling)
                for n, layer, row in wanted:
                    found[row] = gradients[layer][n]
                meter.advance(len(wanted), sum(map(len, ids)))

    chosen = [prompts[p] for p in asked]
    over_equal_lengths(lm, chosen, visit, share=not scope.whole_prompt, keep=bool(beside))
    return found


class _Text(NamedTuple):
    """A text after a prompt, whatever the point of its gradient."""

    prompt: int
    ids: tuple[int, ...]


def _by_arm(
    rows: Sequence[int], texts: Sequence[GradientText], points: Sequence[tuple[int, Arm]]
) -> dict[Arm, dict[_Text, list[tuple[int, int]]]]:
    """The distinct texts of each arm, the shorter first, with the layers and rows of each."""
    found: dict[Arm, dict[_Text, list[tuple[int, int]]]] = {}
    for row in sorted(rows, key=lambda row: (texts[row].point, len(texts[row].ids))):
        text, (layer, arm) = texts[row], points[texts[row].point]
        of_arm = found.setdefault(arm, {})
        of_arm.setdefault(_Text(text.prompt, text.ids), []).append((layer, row))
    return found


def _batches(texts: Sequence[_Text], batch_tokens: int) -> Iterator[list[_Text]]:
    """Texts, which ascend in length, in parts of at most ``batch_tokens`` padded tokens."""
    size = max(1, batch_tokens // max(len(text.ids) for text in texts))
    for start in range(0, len(texts), size):
        yield list(texts[start : start + size])


def _gradients(
    lm: LanguageModel,
    run: Continuations,
    layers: Sequence[int],
    table: ArmTable,
    sampling: Sampling,
) -> dict[int, Float[np.ndarray, "n d"]]:
    """Gradients by what is added at each of ``layers``, which ascend; the run resumes at the first.

    float64.
    """
    every = torch.arange(len(run.lengths), device=run.targets.device)
    steering = Steering(table, torch.zeros_like(every))
    steps: dict[int, Tensor] = {}

    def edit_of(layer: int) -> Edit:
        def edit(hidden: Tensor) -> Tensor:
            added, window = steering.additions.get(layer), current()
            if layer not in steps:
                steps[layer] = torch.zeros_like(hidden[:, :1]).requires_grad_()
            moved = hidden if added is None else hidden + window.of_rows(added)
            return window.steered(hidden, moved + steps[layer])

        return edit

    edits: dict[int, Edit] = steering.edits() | {layer: edit_of(layer) for layer in layers}
    by_parts = run.over_prefixes and in_parts(lm, sampling)
    with torch.enable_grad():
        output = (run.final_states if by_parts else run.logits)(every, layers[0], edits)
    find = _by_states if by_parts else _by_logits
    gradients = torch.autograd.grad(
        output,
        [steps[layer] for layer in layers],
        grad_outputs=find(lm, output.detach(), run, sampling),
    )
    return {
        layer: gradient[:, 0].double().cpu().numpy()
        for layer, gradient in zip(layers, gradients, strict=True)
    }


def _inside(run: Continuations) -> Bool[Tensor, "n t"]:
    """Which positions are tokens of a text, and not after its end."""
    lengths = torch.tensor(run.lengths, device=run.targets.device)
    at = torch.arange(run.targets.shape[1], device=run.targets.device)
    return at < lengths[:, None]


def _by_states(
    lm: LanguageModel, hidden: Float[Tensor, "n t d"], run: Continuations, sampling: Sampling
) -> Float[Tensor, "n t d"]:
    """Gradient of each text's log-probability by the final states of its tokens."""
    inside, slope = _inside(run), torch.zeros_like(hidden)
    slope[inside] = slopes(lm, hidden[inside], run.targets[inside], sampling.temperature)
    return slope


@torch.no_grad()
def _by_logits(
    _lm: LanguageModel, logits: Float[Tensor, "n t v"], run: Continuations, sampling: Sampling
) -> Float[Tensor, "n t v"]:
    """Gradient of each text's log-probability by the logits of its tokens; zero after its end."""
    n, t, v = logits.shape
    flat = log_distribution(logits.reshape(n * t, v), sampling.temperature, sampling.top_p)
    slope = flat.exp_().neg_()
    slope.scatter_add_(1, run.targets.reshape(-1, 1), torch.ones_like(slope[:, :1]))
    slope.mul_(1 / sampling.temperature)
    return slope.reshape(n, t, v).mul_(_inside(run)[:, :, None]).to(logits.dtype)
