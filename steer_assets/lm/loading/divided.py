"""Opening of a model over several processes, each of which reads its part of every large weight.

transformers' plan of a model (`tp_plan`) says how each layer is divided. Embedding and unembedding
stay whole on every rank, because measurements read rows of the unembedding.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig

from steer_assets.lm.errors import LanguageModelError
from steer_assets.lm.forward.intervene import editing
from steer_assets.lm.loading.reading import pretrained
from steer_assets.lm.loading.text_part import auto_class, is_wrapper
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.tensor_parallel.collectives import largest
from steer_assets.lm.tensor_parallel.every_rank import agreed
from steer_assets.lm.tensor_parallel.layers import EQUAL_PARTS, EXPERTS, LINEAR, WHOLE, made_local

_TOLERANCE = 1e-3
_ONE = "set numerics.tensor_parallel of the study to"


def backend(device: str, n: int) -> str:
    """How ranks exchange values; raises LanguageModelError if there is no place for ``n``."""
    accelerated = torch.cuda.is_available()
    if device == "auto" or device == ("cuda" if accelerated else "cpu"):
        if accelerated and torch.cuda.device_count() < n:
            raise LanguageModelError(
                f"a model over {n} GPUs needs as many, and this host has "
                f"{torch.cuda.device_count()}; {_ONE} at most that"
            )
        return "cpu:gloo,cuda:nccl" if accelerated else "gloo"
    raise LanguageModelError(
        f"a model over {n} processes runs on the GPUs of this host, or on its processor where it "
        f'has none, and not on "{device}"; set numerics.device of the study to auto'
    )


def plan_of(folder: Path, n: int) -> dict[str, str]:
    """How the layers of a model are divided among ``n`` ranks; names have * for numbers of blocks.

    Raises LanguageModelError where transformers has no plan for the model, the plan has layers that
    are not divided here, or sizes are not multiples of ``n``.
    """
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    name = str(folder)
    if getattr(config, "quantization_config", None) is not None:
        raise LanguageModelError(
            f"{name} has quantised weights, which are not divided; take its snapshot, or {_ONE} 1"
        )
    if is_wrapper(config):
        raise LanguageModelError(
            f"{name} wraps a text model in another one, which is not divided; take its snapshot, "
            f"or {_ONE} 1"
        )
    with torch.device("meta"):
        model = auto_class(config, name).from_config(config)
    whole = {id(model.get_input_embeddings()), id(model.get_output_embeddings())}
    kept = {_wild(path): "replicate" for path, m in model.named_modules() if id(m) in whole}
    plan = {**model.tp_plan, **kept}
    if set(plan.values()) <= set(WHOLE):
        raise LanguageModelError(
            f"transformers has no plan by which {type(model).__name__} is divided; {_ONE} 1"
        )
    _check(model, plan, n)
    return plan


def _check(model: Any, plan: dict[str, str], n: int) -> None:
    kind, config = type(model).__name__, model.config.get_text_config()
    for what in ("num_attention_heads", "num_key_value_heads"):
        size = getattr(config, what, None)
        if isinstance(size, int) and size % n:
            raise LanguageModelError(
                f"{kind} has {size} {'key ' if 'key' in what else ''}heads, which are not divided "
                f"evenly among {n}; {_ONE} a number that divides it"
            )
    experts = {path for path, style in plan.items() if style == EXPERTS}
    for path, module in model.named_modules():
        style = plan.get(_wild(path))
        if style is None or style in WHOLE or style == EXPERTS:
            continue
        if style not in LINEAR or not isinstance(module, nn.Linear):
            raise LanguageModelError(
                f"{kind} divides {_wild(path)} as {style}, which is not supported here; {_ONE} 1"
            )
        wide = module.out_features if style.startswith("col") else module.in_features
        if style in EQUAL_PARTS and wide % n:
            raise LanguageModelError(
                f"{kind} has {wide} columns in {_wild(path)}, which are not divided evenly among "
                f"{n}; {_ONE} a number that divides it"
            )
    for path, _ in model.named_parameters():
        style, owner = plan.get(_wild(path)), _wild(path).rpartition(".")[0]
        if style is not None and style not in WHOLE and owner not in experts:
            raise LanguageModelError(
                f"{kind} divides {_wild(path)} as {style}, which is not supported here; {_ONE} 1"
            )


def _wild(path: str) -> str:
    return re.sub(r"\.\d+(?=\.|$)", ".*", path)


def pretrained_part(folder: Path, plan: dict[str, str], n: int, **kwargs: Any) -> Any:
    """This rank's part of the model in ``folder``, divided by ``plan`` among ``n`` ranks."""
    from transformers.distributed import DistributedConfig

    with _without_advice():
        model = pretrained(
            folder, distributed_config=DistributedConfig(tp_size=n, tp_plan=plan), **kwargs
        )
    made_local(model, lambda path: plan.get(_wild(path)))
    return model


def require_same_gradients(lm: LanguageModel, name: str) -> None:
    """Raise LanguageModelError if ranks find other gradients by a state that they all have.

    A plan may leave a path from that state to a divided layer along which the ranks' partial
    gradients are not summed: its values are right, its derivatives are not.
    """
    states: list[Tensor] = []

    def edit(hidden: Tensor) -> Tensor:
        states.append(hidden.detach().requires_grad_())
        return states[0]

    ids = lm.tensor([[(7 * i + 3) % min(lm.vocab_size, 1000) for i in range(6)]])
    with torch.enable_grad(), editing(lm, {0: edit}):
        logits = lm.model(input_ids=ids, use_cache=False).logits
        (own,) = torch.autograd.grad(logits.sin().sum(), states)
    first = agreed(lm, own.clone())
    error = largest((own - first).abs().max() / first.abs().max())
    if not error <= _TOLERANCE:
        raise LanguageModelError(
            f"{name} has other derivatives when it is divided by transformers' plan (its processes "
            f"differ by {error:.1g} of their size); {_ONE} 1"
        )


@contextmanager
def _without_advice() -> Iterator[None]:
    """Without transformers' warnings about layers that a plan leaves whole."""
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
