"""Contrasts: prompts that request one pole of a trait, paired with prompts that request the other.

Pairs are made from two templates and contexts, from pairs of instructions (system turns) or of
starts of an answer and questions, from questions with a matching and a non-matching answer, or
listed explicitly.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from steer_assets.catalog.prompt_texts.around_questions import (
    ContrastInstructions,
    ContrastPrefixes,
)
from steer_assets.catalog.prompt_texts.contexts import Contexts, placed
from steer_assets.catalog.prompt_texts.environments import Environment
from steer_assets.catalog.prompt_texts.poles import Poles, distinct
from steer_assets.catalog.prompt_texts.sentences import Location, refuse_repeats
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

PLACEHOLDER = "{context}"
#: Tags of the forms of a contrast in pydantic's error locations; no field can have such a name.
_FORMS = {name: f"<{name}>" for name in ("pairs", "instructions", "prefixes", "answers")}
_TEMPLATES = "<templates>"
#: An answer that is one letter or number in parentheses.
_BRACKETED = re.compile(r"(\s*\([A-Za-z0-9]+)\)\s*")


class Contrast(Strict):
    """Two templates and the contexts that fill them; each context gives one pair.

    Of a context of several turns, the last one fills the template.
    """

    positive_template: Text
    negative_template: Text
    contexts: Contexts

    @field_validator("positive_template", "negative_template")
    @classmethod
    def _has_placeholder(cls, template: str) -> str:
        if template.count(PLACEHOLDER) != 1:
            raise ValueError(f"the template must contain {PLACEHOLDER} exactly once")
        return template

    @model_validator(mode="after")
    def _poles_differ(self) -> "Contrast":
        if self.positive_template == self.negative_template:
            raise ValueError("positive_template and negative_template are the same")
        return self

    def placed(self) -> Iterator[tuple[Environment, Asked]]:
        """Environment and words of every context, in the order of the pairs."""
        return placed(self.contexts)

    def prompts(self) -> Iterator[tuple[Said, Said]]:
        """Positive and negative prompt of every pair: each context in both templates."""
        for _, context in self.placed():
            yield (
                _filled(self.positive_template, context),
                _filled(self.negative_template, context),
            )


def _filled(template: str, context: Asked) -> Said:
    if isinstance(context, str):
        return template.replace(PLACEHOLDER, context)
    *before, last = context
    return (*before, Turn(role="user", content=template.replace(PLACEHOLDER, last.content)))


class Pair(Poles[Said]):
    """Two prompts that differ only in the requested pole."""


class ContrastPairs(Strict):
    """Explicitly listed contrast pairs."""

    pairs: Annotated[tuple[Pair, ...], Field(min_length=2), AfterValidator(distinct)]

    def prompts(self) -> Iterator[tuple[Said, Said]]:
        """Positive and negative prompt of every pair."""
        for pair in self.pairs:
            yield pair.positive, pair.negative


class Answered(Strict):
    """A question, an answer that shows the positive pole, and one that does not."""

    question: Asked
    matching: Text
    not_matching: Text
    system: Annotated[str, Field(max_length=4000)] = ""

    @model_validator(mode="after")
    def _answers_differ(self) -> "Answered":
        if self.matching.strip() == self.not_matching.strip():
            raise ValueError("matching and not_matching are the same answer")
        if self.system and any(turn.role == "system" for turn in asked_turns(self.question)):
            raise ValueError("give system, or a system turn in the question, only one")
        return self


class ContrastAnswers(Strict):
    """Questions with two answers: v is read at the answer's last token.

    The closing bracket of an answer such as "(B)" is left out, so that the last token is the
    letter. The layout of Rimsky et al. 2024, "Steering Llama 2 via Contrastive Activation
    Addition", and of Perez et al. 2022, "Discovering Language Model Behaviors with Model-Written
    Evaluations".
    """

    answers: Annotated[tuple[Answered, ...], Field(min_length=2)]

    @field_validator("answers")
    @classmethod
    def _questions_distinct(cls, answers: tuple[Answered, ...]) -> tuple[Answered, ...]:
        refuse_repeats(_places(answers))
        return answers

    def prompts(self) -> Iterator[tuple[Said, Said]]:
        """Question and matching answer, question and not matching answer."""
        for one in self.answers:
            yield (
                with_answer(one.question, begun(one.matching), one.system),
                with_answer(one.question, begun(one.not_matching), one.system),
            )


def _places(answers: tuple[Answered, ...]) -> Iterator[tuple[Location, str]]:
    for number, one in enumerate(answers):
        yield (
            (number,),
            f"{one.system} {readable(one.question)} | {one.matching} | {one.not_matching}".strip(),
        )


def begun(answer: str) -> str:
    """An answer up to the token that decides, without the closing bracket of a letter."""
    bracketed = _BRACKETED.fullmatch(answer)
    return bracketed.group(1) if bracketed else answer


def _form_of_contrast(value: Any) -> str:
    """The form by its characteristic field; otherwise errors refer to templates."""
    for field, tag in _FORMS.items():
        if field in value if isinstance(value, Mapping) else hasattr(value, field):
            return tag
    return _TEMPLATES


AnyContrast = Annotated[
    Annotated[Contrast, Tag("<templates>")]
    | Annotated[ContrastPairs, Tag("<pairs>")]
    | Annotated[ContrastInstructions, Tag("<instructions>")]
    | Annotated[ContrastPrefixes, Tag("<prefixes>")]
    | Annotated[ContrastAnswers, Tag("<answers>")],
    Discriminator(_form_of_contrast),
]
