"""Contrasts around questions: opposite system turns before, or opposite starts of the answer."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from steer_assets.catalog.prompt_texts.poles import Poles, distinct, refuse_repeated_texts
from steer_assets.catalog.prompts import (
    Asked,
    Said,
    Strict,
    Text,
    Turn,
    asked_turns,
    readable,
    with_answer,
)


class Sides(Poles[Text]):
    """System turns, or starts of an answer, for opposite poles."""


DistinctSides = Annotated[tuple[Sides, ...], Field(min_length=1), AfterValidator(distinct)]


class _AroundQuestions(Strict):
    """Every question with every pair of sides."""

    questions: Annotated[tuple[Asked, ...], Field(min_length=1)]

    @property
    @abstractmethod
    def sides(self) -> tuple[Sides, ...]:
        """The pairs of sides."""

    @abstractmethod
    def _with(self, side: str, question: Asked) -> Said:
        """A question with one side."""

    @field_validator("questions")
    @classmethod
    def _questions_distinct(cls, questions: tuple[Asked, ...]) -> tuple[Asked, ...]:
        refuse_repeated_texts(tuple(map(readable, questions)))
        return questions

    @model_validator(mode="after")
    def _two_pairs(self) -> "_AroundQuestions":
        if len(self.sides) * len(self.questions) < 2:
            raise ValueError("one of each is one pair; two pairs are needed")
        return self

    def prompts(self) -> Iterator[tuple[Said, Said]]:
        """Both prompts of every pair; the first pairs cover all questions."""
        for turn in range(len(self.sides)):
            for number, question in enumerate(self.questions):
                chosen = self.sides[(number + turn) % len(self.sides)]
                yield self._with(chosen.positive, question), self._with(chosen.negative, question)


class ContrastInstructions(_AroundQuestions):
    """Pairs of system turns, each before every question.

    The layout of Chen et al. 2025, "Persona Vectors" (arXiv 2507.21509).
    """

    instructions: DistinctSides

    @field_validator("questions")
    @classmethod
    def _no_system_turn(cls, questions: tuple[Asked, ...]) -> tuple[Asked, ...]:
        if any(turn.role == "system" for question in questions for turn in asked_turns(question)):
            raise ValueError("a question after an instruction has no system turn of its own")
        return questions

    @property
    def sides(self) -> tuple[Sides, ...]:
        """The instructions."""
        return self.instructions

    def _with(self, side: str, question: Asked) -> Said:
        return (Turn(role="system", content=side), *asked_turns(question))


class ContrastPrefixes(_AroundQuestions):
    """Pairs of starts of an answer, each after every question: v is read at their last token."""

    prefixes: DistinctSides

    @property
    def sides(self) -> tuple[Sides, ...]:
        """The prefixes."""
        return self.prefixes

    def _with(self, side: str, question: Asked) -> Said:
        return with_answer(question, side)
