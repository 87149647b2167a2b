"""Texts in parts whose results are those of all texts together, to the last bit.

Last bits depend on what is run in one batch: prefixes of prompts of similar length, and texts of
one unit. A part has whole units, and all prompts of their prefixes' batch, of which those without a
text of the part are run `beside`; they are kept for the next part. Parts depend on prompts and
texts alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from steer_assets.lm.forward.continuing import together

if TYPE_CHECKING:
    from steer_assets.lm.texts.gradients import GradientText
    from steer_assets.lm.texts.likelihoods import SampledText


class _Text(Protocol):
    """A text after the prompt at a position."""

    @property
    def prompt(self) -> int: ...

    @property
    def ids(self) -> tuple[int, ...]: ...


T = TypeVar("T", bound=_Text)

#: Tokens of texts in a part, by token of the prompts: who runs a part first runs all of these.
_TEXT_TOKENS = 1


@dataclasses.dataclass(frozen=True)
class Part(Generic[T]):
    """A part of the texts, ``rows`` of all; their prompts are positions in the part's own."""

    prompts: list[Sequence[int]]
    texts: list[T]
    rows: list[int]


def parts_of_readings(
    prompts: Sequence[Sequence[int]], texts: Sequence[SampledText]
) -> list[Part[SampledText]]:
    """For `text_likelihoods`, which runs the texts of one prompt together."""
    return list(_parts(prompts, texts, lambda text: text.prompt, lambda text: 1 + len(text.others)))


def parts_of_gradients(
    prompts: Sequence[Sequence[int]], texts: Sequence[GradientText]
) -> list[Part[GradientText]]:
    """For `text_gradients`, which runs texts after prompts of one length together.

    Points of one arm share a pass, so a unit has the texts of all points.
    """
    # a backward pass takes about twice the time of a forward one
    return list(_parts(prompts, texts, lambda text: len(prompts[text.prompt]), lambda _: 3))


def _parts(
    prompts: Sequence[Sequence[int]],
    texts: Sequence[T],
    unit_of: Callable[[T], Hashable],
    passes: Callable[[T], int],
) -> Iterator[Part[T]]:
    """Whole units of one batch of prefixes, until they have as many tokens as the prompts."""
    asked = sorted({text.prompt for text in texts})
    by_prompt: dict[int, list[int]] = {}
    for row, text in enumerate(texts):
        by_prompt.setdefault(text.prompt, []).append(row)
    for batch in together([prompts[p] for p in asked]):
        # in their own order, as they are where there is one part
        own = sorted(asked[index] for index in batch)
        units: dict[Hashable, list[int]] = {}
        for row in sorted(row for prompt in own for row in by_prompt[prompt]):
            units.setdefault(unit_of(texts[row]), []).append(row)
        least = _TEXT_TOKENS * sum(len(prompts[p]) for p in own)
        place = {prompt: at for at, prompt in enumerate(own)}
        rows: list[int] = []
        tokens = 0
        for unit in units.values():
            rows += unit
            tokens += sum(len(texts[row].ids) * passes(texts[row]) for row in unit)
            if tokens >= least:
                yield _part(prompts, texts, own, place, rows)
                rows, tokens = [], 0
        if rows:
            yield _part(prompts, texts, own, place, rows)


def _part(
    prompts: Sequence[Sequence[int]],
    texts: Sequence[T],
    own: Sequence[int],
    place: dict[int, int],
    rows: list[int],
) -> Part[T]:
    chosen: list[Any] = [texts[row] for row in sorted(rows)]
    moved = [dataclasses.replace(text, prompt=place[text.prompt]) for text in chosen]
    return Part([prompts[p] for p in own], moved, sorted(rows))
