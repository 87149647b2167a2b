"""Fisher form along given directions at one prompt, without computing the full form.

For a step e of the residual stream at the last prompt token, t = J e is the first-order change of
the next-token logits, and with p = softmax(z)

    e' J'(diag p - p p')J e = sum_i p_i t_i^2 - (sum_i p_i t_i)^2,

the variance of t under p, which is twice the second-order KL(p || p_e) (Amari & Nagaoka 2000,
section 3.5). t is computed in one forward pass by forward-mode differentiation with dual numbers:
all steps are rows of one batch over a shared prefix, resumed at the block. A few steps cost a few
rows, where the form itself costs one backward row per dimension. If steps are taken at every prompt
token, their rows contain the whole prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.autograd.forward_ad as forward_mode
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from steer_assets.lm.errors import InterventionError, PrecisionError
from steer_assets.lm.forward.edit_window import Window
from steer_assets.lm.forward.intervene import Addition, ArmTable, Reader, check_layers, editing
from steer_assets.lm.forward.prefix import Prefix, pad
from steer_assets.lm.forward.resuming import resuming
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Scope, require_next_token
from steer_assets.lm.forward.stepping import prepare, rows_at_once, start_rows
from steer_assets.lm.forward.whole import whole_logits
from steer_assets.lm.measurements.derivatives import differentiate
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.progress import Meter, OnProgress
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank

#: Logits of a batch, each of which has a tangent besides.
_ELEMENTS = 2**23


@on_every_rank
def fisher_along(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    layer: int,
    steps: Float[np.ndarray, "m d"],
    *,
    scope: Scope = LAST_PROMPT_AND_GENERATED,
    offset: Float[np.ndarray, " d"] | None = None,
    batch_rows: int = 256,
    on_progress: OnProgress = None,
) -> Iterator[tuple[int, Float[np.ndarray, " m"]]]:
    """Prompt index and e' G e [m] float64 of every step e, prompt by prompt in input order.

    steps: in units of the residual stream at the output of block ``layer``; offset: the vector
    added there before differentiating (alpha v for the steered point). G is the prompt's own Fisher
    pullback, nats per squared unit of length. Under a scope of the whole prompt, steps and offset
    are added at its every token. Raises PrecisionError for a model in less than float32,
    InterventionError for a layer, hidden size or values that do not fit the model, and for a scope
    under which the next token is not moved.
    """
    require_next_token(scope)
    if lm.torch_dtype.itemsize < 4:
        raise PrecisionError(
            f"derivatives need float32 or better, the model is in {lm.dtype}: load it in float32"
        )
    check_layers(lm, [layer])
    lm.check_prompts(prompts)
    rows = _on_device(lm, steps, "steps")
    moved = None if offset is None else _on_device(lm, np.asarray(offset)[None], "offset")[0]
    # Unit directions: the tangent is linear, so its relative precision is the same at any dose.
    lengths = rows.double().norm(dim=1)
    units = (rows.double() / lengths.clamp_min(torch.finfo(torch.float64).tiny)[:, None]).to(rows)
    meter = Meter(on_progress, len(prompts), "prompts")
    longest = max(map(len, prompts), default=1)
    batch_rows = max(1, min(batch_rows, _ELEMENTS // lm.vocab_size))
    batch_rows = rows_at_once(lm, batch_rows, longest, whole_prompt=scope.whole_prompt)
    per_batch = max(1, batch_rows // max(1, len(rows)))
    for start in range(0, len(prompts), per_batch):
        chosen = prompts[start : start + per_batch]
        try:
            run = _over_whole_prompts if scope.whole_prompt else _forward_mode
            energies_of = run(lm, chosen, layer, units, moved, batch_rows)
        except NotImplementedError:  # an operation has no forward derivative
            energies_of = _backward_mode(lm, chosen, layer, units, offset, scope)
        found = (energies_of * lengths**2).cpu().numpy()
        for offset_in_batch, energies in enumerate(found):
            yield start + offset_in_batch, energies
        meter.advance(len(chosen), sum(map(len, chosen)) + found.size)


def _forward_mode(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    layer: int,
    units: Float[Tensor, "m d"],
    moved: Float[Tensor, " d"] | None,
    batch_rows: int,
) -> Float[Tensor, "p m"]:
    prefix, last = prepare(lm, prompts), lm.tensor([prompt[-1] for prompt in prompts])
    hidden = _states_at(lm, prefix, last, layer)
    point = hidden if moved is None else hidden + moved
    parts = [_variances(lm, prefix, last, layer, point, chunk) for chunk in units.split(batch_rows)]
    return torch.cat(parts, dim=1)


def _backward_mode(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    layer: int,
    units: Float[Tensor, "m d"],
    offset: Float[np.ndarray, " d"] | None,
    scope: Scope,
) -> Float[Tensor, "p m"]:
    """The same from the full Jacobian, for models whose operations do not support dual numbers."""
    vectors = None if offset is None else np.asarray(offset, dtype=np.float64)[None]
    table = ArmTable(lm, [() if offset is None else (Addition(layer, 0, 1.0),)], vectors)
    found: list[Tensor] = []
    for prompt in prompts:
        point = differentiate(lm, prompt, [layer], table, scope=scope)
        moves = (units.double() @ point.jacobians[layer].double().T).to(units)
        t = (moves @ lm.layout.head.weight.T).double() * point.slope.double()
        p = torch.softmax(point.logits.double(), dim=-1)
        found.append((p * (t - (t @ p)[:, None]) ** 2).sum(dim=-1))
    return torch.stack(found)


def _on_device(lm: LanguageModel, values: Float[np.ndarray, "m d"], what: str) -> Tensor:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != lm.hidden_size:
        raise InterventionError(
            f"{what} have shape {array.shape}, but the model's hidden size is {lm.hidden_size}"
        )
    if not np.isfinite(array).all():
        raise InterventionError(f"{what} hold NaN or infinity")
    return torch.from_numpy(array).to(lm.torch_device, lm.torch_dtype)


@torch.no_grad()
def _states_at(
    lm: LanguageModel, prefix: Prefix, last: Tensor, layer: int
) -> Float[Tensor, "p 1 d"]:
    """The unsteered residual stream at the last token of each prompt."""
    reader = Reader()
    with editing(lm, {layer: reader.edit}):
        start_rows(lm, prefix, torch.arange(len(last), device=last.device), 1).step(last)
    return reader.values()


def _variances(
    lm: LanguageModel,
    prefix: Prefix,
    last: Tensor,
    layer: int,
    points: Float[Tensor, "p 1 d"],
    units: Float[Tensor, "m d"],
) -> Float[Tensor, "p m"]:
    """Variance of J u under p of every prompt and unit step."""
    prompt_of_row = torch.arange(len(last), device=last.device).repeat_interleave(len(units))
    # Gradients stay enabled to select attention that supports differentiation; no graph is built,
    # since no input requires gradients. The fused kernels have no forward-mode derivative.
    with forward_mode.dual_level(), sdpa_kernel(SDPBackend.MATH):
        state = forward_mode.make_dual(points[prompt_of_row], units.repeat(len(last), 1)[:, None])
        with resuming(lm, layer, state):
            logits = start_rows(lm, prefix, prompt_of_row, 1).step(last[prompt_of_row])
        return _variance(logits, len(units))


def _over_whole_prompts(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    layer: int,
    units: Float[Tensor, "m d"],
    moved: Float[Tensor, " d"] | None,
    batch_rows: int,
) -> Float[Tensor, "p m"]:
    """The same for steps at every token of each prompt."""
    parts = [_of_chunk(lm, prompts, layer, chunk, moved) for chunk in units.split(batch_rows)]
    return torch.cat(parts, dim=1)


def _of_chunk(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    layer: int,
    units: Float[Tensor, "m d"],
    moved: Float[Tensor, " d"] | None,
) -> Float[Tensor, "p m"]:
    rows = [prompt for prompt in prompts for _ in units]
    last = lm.tensor([[len(prompt) - 1] for prompt in rows])
    start = torch.zeros_like(units[:1]) if moved is None else moved[None]
    with forward_mode.dual_level(), sdpa_kernel(SDPBackend.MATH):
        many = units.repeat(len(prompts), 1)
        step = forward_mode.make_dual(start.expand_as(many).clone(), many)[:, None]
        with editing(lm, {layer: lambda hidden: hidden + step}):
            logits = whole_logits(lm, pad(lm, rows), Window(read=last))[:, -1]
        return _variance(logits, len(units))


def _variance(logits: Float[Tensor, "rows v"], m: int) -> Float[Tensor, "p m"]:
    """Variance of the tangent of ``logits``, a dual number, under p; a prompt has ``m`` rows."""
    primal, tangent = forward_mode.unpack_dual(logits)
    found = []
    for own, moves in zip(primal[::m], tangent.split(m), strict=True):  # p is that of the prompt
        p, t = torch.softmax(own.double(), dim=-1), moves.double()
        found.append((t - (t @ p)[:, None]).square() @ p)
    return torch.stack(found)
