"""Forward passes that resume from a given state of the residual stream at one block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from steer_assets.lm.forward.edit_window import current
from steer_assets.lm.forward.intervene import Edit, Reader, editing
from steer_assets.lm.forward.replacing import Forward, forwards_replaced
from steer_assets.lm.forward.stepping import prepare, shares_prefixes, start_rows
from steer_assets.lm.model import LanguageModel, tried_once


@contextmanager
def resuming(lm: LanguageModel, layer: int, hidden: Float[Tensor, "rows 1 d"]) -> Iterator[None]:
    """Replace the output of block ``layer`` for the current token by ``hidden`` and continue.

    Lower blocks are skipped if no upper block depends on their side effects (shared keys and
    values, states of other positions); otherwise they run, and the output of block ``layer`` is
    replaced. In both cases edits of block ``layer`` get ``hidden`` as that block's output.
    """
    if skips_blocks(lm):
        with _skipping(lm, layer, hidden):
            yield
    else:
        given: Edit = lambda _found: current().of_rows(hidden)  # noqa: E731
        with editing(lm, {layer: given}, first=True):
            yield


def _skipping(lm: LanguageModel, layer: int, hidden: Tensor) -> AbstractContextManager[None]:
    """Blocks up to ``layer`` return ``hidden`` without being run."""

    def returning(arity: int) -> Forward:
        output = hidden if arity == 0 else (hidden, *[None] * (arity - 1))
        return lambda *_args, **_kwargs: output

    skipped = zip(lm.layout.blocks[: layer + 1], lm.layout.output_arity, strict=False)
    return forwards_replaced({block: returning(arity) for block, arity in skipped})


def skips_blocks(lm: LanguageModel) -> bool:
    """Whether lower blocks may be skipped; tried once per model, at several depths."""
    if not shares_prefixes(lm):
        return False
    return tried_once(lm, "_skips_blocks", lambda: _reproduces(lm))


@torch.inference_mode()
def _reproduces(lm: LanguageModel) -> bool:
    n, size = lm.n_layers, min(lm.vocab_size, 1000)
    layers = sorted({n // 4, n // 2, 3 * n // 4, n - 1})
    prefix, last = prepare(lm, [[5 % size, 3 % size, 8 % size]]), lm.tensor([8 % size])
    readers = {layer: Reader() for layer in layers}
    with editing(lm, {layer: reader.edit for layer, reader in readers.items()}):
        expected = start_rows(lm, prefix, lm.tensor([0]), 1).step(last)
    try:
        for layer, reader in readers.items():
            with _skipping(lm, layer, reader.values()):
                found = start_rows(lm, prefix, lm.tensor([0]), 1).step(last)
            if not torch.allclose(found.float(), expected.float(), rtol=1e-3, atol=1e-3):
                return False
    except torch.OutOfMemoryError:
        raise
    except Exception:  # an upper block needs a side effect of a skipped one
        return False
    return True
