"""Contexts that change a loaded model, and which of them nest.

Modules of transformers are changed in place, for the length of a ``with`` block, by these:

=========================  ==============================================  =====================
context                    what it changes                                 nesting
=========================  ==============================================  =====================
`forwards_replaced`        the forward of modules (the three below)        inner restores outer
`packing.packed_weights`   plain linear layers, for inference              the outermost counts
`resuming.resuming`        blocks up to one, which return a given state    inside any other
`self_test.trials`         one block that adds a vector itself             one at a time
`intervene.editing`        hooks on block outputs                          inner edits run later
hooks on the unembedding   derivatives, final states, a trial of the head  by one caller at a time
`LanguageModel.attention`  the attention function in the configuration     inner restores outer
`narrow_windows`           widths of attention windows, for trials         outside all others
=========================  ==============================================  =====================

Threads may run one model together within `packed_weights`, `editing` and `attention`, entered by
the thread that starts them; what differs between threads (rows, windows of positions, caches) is
kept per thread. `resuming` belongs to a single thread. One hook stays on the model, that of
`edit_window.watch_head`, which does nothing outside a window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

Forward = Callable[..., Any]


@contextmanager
def forwards_replaced(forwards: Mapping[nn.Module, Forward]) -> Iterator[None]:
    """Run the modules with other forwards; within another such block the outer one's come back."""
    before = {module: own_forward(module) for module in forwards}
    for module, forward in forwards.items():
        vars(module)["forward"] = forward
    try:
        yield
    finally:
        for module, own in before.items():
            if own is None:
                del vars(module)["forward"]
            else:
                vars(module)["forward"] = own


def own_forward(module: nn.Module) -> Forward | None:
    """The forward that replaces the class's, if there is one."""
    found: Forward | None = vars(module).get("forward")
    return found
