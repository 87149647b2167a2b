"""Contexts of a contrast: a list, or lists by environment, like test prompts.

Contexts without an environment are in distribution: v is computed from the first ones.
"""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from steer_assets.catalog.prompt_texts.environments import ENVIRONMENTS, Environment
from steer_assets.catalog.prompt_texts.sentences import refuse_repeats
from steer_assets.catalog.prompts import Asked, Strict, readable

#: Tags of the forms of contexts in pydantic's error locations; no field can have such a name.
_LIST, _PLACED = "<contexts>", "<environments>"


class PlacedContexts(Strict):
    """Contexts by environment; at least two in total."""

    in_distribution: tuple[Asked, ...] = ()
    topic_shift: tuple[Asked, ...] = ()
    genre_shift: tuple[Asked, ...] = ()
    safety_style: tuple[Asked, ...] = ()

    @model_validator(mode="after")
    def _two_and_distinct(self) -> "PlacedContexts":
        lists = {environment: getattr(self, environment) for environment in ENVIRONMENTS}
        if sum(map(len, lists.values())) < 2:
            raise ValueError("one context is one pair; two are needed")
        refuse_repeats(
            ((environment, number), readable(said))
            for environment, texts in lists.items()
            for number, said in enumerate(texts)
        )
        return self


def _distinct(contexts: tuple[Asked, ...]) -> tuple[Asked, ...]:
    refuse_repeats(((number,), readable(said)) for number, said in enumerate(contexts))
    return contexts


def _form(value: Any) -> str:
    return _PLACED if isinstance(value, dict | PlacedContexts) else _LIST


ListedContexts = Annotated[tuple[Asked, ...], Field(min_length=2), AfterValidator(_distinct)]
Contexts = Annotated[
    Annotated[ListedContexts, Tag(_LIST)] | Annotated[PlacedContexts, Tag(_PLACED)],
    Discriminator(_form),
]


def placed(
    contexts: tuple[Asked, ...] | PlacedContexts,
) -> Iterator[tuple[Environment, Asked]]:
    """Environment and words of every context, environment by environment."""
    if isinstance(contexts, PlacedContexts):
        for environment in ENVIRONMENTS:
            for said in getattr(contexts, environment):
                yield environment, said
    else:
        for said in contexts:
            yield "in_distribution", said
