"""Linear layers and experts of which every rank holds a part, in place of transformers' own.

transformers reads every rank's part of the weights from the files. Its forward, over DTensors, has
neither batched gradients nor forward mode, so the parts become plain tensors, and the layers below
run over them with the exchanges of `collectives`. Layers without a part are as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from steer_assets.lm.tensor_parallel.collectives import gathered, split, spread, summed


class _Part(nn.Module):
    """This rank's part of a linear layer; sizes are those of the whole."""

    def __init__(self, whole: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = whole.weight, whole.bias
        self.in_features, self.out_features = whole.in_features, whole.out_features


class Columns(_Part):
    """Some of the outputs, [..., part of out], from whole inputs."""

    def forward(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n part"]:
        """The layer's output."""
        return linear(spread(x), self.weight, self.bias)


class ColumnsGathered(Columns):
    """All outputs, of which each rank computes some."""

    def forward(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n o"]:
        """The layer's output."""
        return gathered(super().forward(x))


class Rows(_Part):
    """All outputs, from some of the inputs."""

    def forward(self, x: Float[Tensor, "*n part"]) -> Float[Tensor, "*n o"]:
        """The layer's output."""
        found = summed(linear(x, self.weight))
        return found if self.bias is None else found + self.bias


class RowsSplit(Rows):
    """All outputs, from whole inputs, of which each rank takes some."""

    def forward(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n o"]:
        """The layer's output."""
        return super().forward(split(x))


#: transformers' names of how a linear layer is divided.
LINEAR: dict[str, type[_Part]] = {
    "colwise": Columns,
    "colwise_gather_output": ColumnsGathered,
    "colwise_rep": ColumnsGathered,
    "rowwise": Rows,
    "rowwise_split_input": RowsSplit,
    "rowwise_rep": RowsSplit,
}
#: Where outputs or inputs are whole, parts must be equal.
EQUAL_PARTS = ("colwise_gather_output", "colwise_rep", "rowwise_split_input", "rowwise_rep")
#: Each rank holds all of the layer.
WHOLE = ("replicate", "replicated_with_grad_allreduce")
#: Each rank holds a part of every expert.
EXPERTS = "moe_tp_experts"


def made_local(model: nn.Module, style_of: Callable[[str], str | None]) -> None:
    """Replace the divided layers of a model that transformers has loaded.

    style_of: how a module, by its name, is divided; None where it is not.
    """
    from torch.distributed.tensor import DTensor

    for name, module in list(model.named_modules()):
        for own, weight in list(module.named_parameters(recurse=False)):
            if isinstance(weight, DTensor):
                part = nn.Parameter(weight.to_local().detach(), requires_grad=False)
                module.register_parameter(own, part)
        style = style_of(name)
        if style is None:
            continue
        vars(module).pop("forward", None)  # transformers', over DTensors
        if style in LINEAR:
            assert isinstance(module, nn.Linear)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, LINEAR[style](module))
        elif style == EXPERTS:
            vars(module)["forward"] = _experts(module.forward)


def _experts(own: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The forward of experts over parts of each, whose outputs are partial."""

    def forward(
        hidden: Tensor, chosen: Tensor, shares: Tensor, *others: Any, **named: Any
    ) -> Tensor:
        return summed(own(spread(hidden), chosen, spread(shares), *others, **named))

    return forward
