"""Two things said for opposite poles of a trait, and lists of them."""

from typing import Generic, TypeVar

from pydantic import model_validator

from steer_assets.catalog.prompt_texts.sentences import refuse_repeats
from steer_assets.catalog.prompts import Said, Strict, readable

Words = TypeVar("Words", bound=Said)


class Poles(Strict, Generic[Words]):
    """What is said for either pole."""

    positive: Words
    negative: Words

    @model_validator(mode="after")
    def _poles_differ(self) -> "Poles[Words]":
        if self.positive == self.negative:
            raise ValueError("positive and negative are the same")
        return self


AnyPoles = TypeVar("AnyPoles", bound=Poles[Said])


def refuse_repeated_texts(texts: tuple[str, ...]) -> None:
    """Raise an error, reported by line, if two texts of a list are equal up to case."""
    refuse_repeats(((number,), text) for number, text in enumerate(texts))


def distinct(given: tuple[AnyPoles, ...]) -> tuple[AnyPoles, ...]:
    """The same list; raises an error, reported by line, if two of it are equal up to case."""
    refuse_repeated_texts(
        tuple(f"{readable(one.positive)} | {readable(one.negative)}" for one in given)
    )
    return given
