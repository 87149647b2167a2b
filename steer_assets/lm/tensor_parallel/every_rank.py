"""Functions of a model that run on every rank of it, and what ranks must agree on.

A model in one process has no ranks, and its functions run as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from torch import Tensor

P = ParamSpec("P")
Found = TypeVar("Found")


class Ranks(Protocol):
    """The ranks of a model, as one of them sees them."""

    @property
    def n(self) -> int:
        """How many they are."""
        ...

    @property
    def lost(self) -> str:
        """Why the ranks are no more; empty while they are."""
        ...

    @property
    def inside(self) -> bool:
        """Whether all ranks run one function now."""
        ...

    def call(self, work: Callable[..., Any], arguments: tuple[Any, ...], named: Any) -> Any:
        """The result of a function that every rank runs."""
        ...

    def stream(
        self, work: Callable[..., Any], arguments: tuple[Any, ...], named: Any
    ) -> Iterator[Any]:
        """Values of a generator that every rank advances together."""
        ...

    def agree(self, values: Tensor) -> Tensor:
        """The first rank's values."""
        ...


def on_every_rank(work: Callable[P, Found]) -> Callable[P, Found]:
    """Make a function, generator function or constructor run on every rank of its model.

    The model, or an object that has it as ``lm``, is the first argument (the second of a
    constructor). Other arguments must be picklable; ``on_progress`` is called on the first rank
    alone, whose result is the result.
    """

    if inspect.isgeneratorfunction(work):

        @wraps(work)
        def stream(*args: P.args, **kwargs: P.kwargs) -> Any:
            ranks = _ranks(args)
            if ranks is None or ranks.inside:
                yield from work(*args, **kwargs)
            else:
                yield from ranks.stream(work, args, kwargs)

        return cast("Callable[P, Found]", stream)

    @wraps(work)
    def call(*args: P.args, **kwargs: P.kwargs) -> Found:
        ranks = _ranks(args)
        if ranks is None or ranks.inside:
            return work(*args, **kwargs)
        return cast("Found", ranks.call(work, args, kwargs))

    return call


def _ranks(args: tuple[Any, ...]) -> Ranks | None:
    for given in args[:2]:
        ranks: Ranks | None = getattr(getattr(given, "lm", given), "ranks", None)
        if ranks is not None:
            return ranks
    return None


def agreed(lm: Any, values: Tensor) -> Tensor:
    """``values`` as the first rank of the model has them; the same object without ranks."""
    ranks: Ranks | None = lm.ranks
    return values if ranks is None else ranks.agree(values)
