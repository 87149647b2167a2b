"""Traits: contrast pairs from a template and contexts, and neutral test prompts by environment."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from steer_assets.storage.slugs import validate_slug

Environment = Literal["in_distribution", "topic_shift", "genre_shift", "safety_style"]
ENVIRONMENTS: tuple[Environment, ...] = (
    "in_distribution",
    "topic_shift",
    "genre_shift",
    "safety_style",
)
PLACEHOLDER = "{context}"
#: Forms of a contrast as pydantic's error locations tag them; no field can be called so.
TEMPLATES, PAIRS = "<templates>", "<pairs>"
Text = Annotated[str, Field(min_length=1, max_length=4000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Poles(_Strict):
    """Names of the two ends of a trait."""

    positive: Text
    negative: Text


def _distinct(texts: tuple[str, ...], what: str) -> None:
    repeated = [text for text, n in Counter(t.casefold() for t in texts).items() if n > 1]
    if repeated:
        raise ValueError(f"{what} must be distinct; repeated: {repeated[0]!r}")


class Contrast(_Strict):
    """Two templates and the contexts that fill them; each context gives one pair."""

    positive_template: Text
    negative_template: Text
    contexts: Annotated[tuple[Text, ...], Field(min_length=2)]

    @field_validator("positive_template", "negative_template")
    @classmethod
    def _has_placeholder(cls, template: str) -> str:
        if template.count(PLACEHOLDER) != 1:
            raise ValueError(f"the template must contain {PLACEHOLDER} exactly once")
        return template

    @field_validator("contexts")
    @classmethod
    def _contexts_distinct(cls, contexts: tuple[str, ...]) -> tuple[str, ...]:
        _distinct(contexts, "contexts")
        return contexts

    @model_validator(mode="after")
    def _poles_differ(self) -> "Contrast":
        if self.positive_template == self.negative_template:
            raise ValueError("positive_template and negative_template are the same")
        return self

    def prompts(self) -> Iterator[tuple[str, str]]:
        """Positive and negative prompt of every pair: each context in both templates."""
        for context in self.contexts:
            yield (
                self.positive_template.replace(PLACEHOLDER, context),
                self.negative_template.replace(PLACEHOLDER, context),
            )


class Pair(_Strict):
    """Two prompts that differ only in the pole asked for."""

    positive: Text
    negative: Text

    @model_validator(mode="after")
    def _poles_differ(self) -> "Pair":
        if self.positive == self.negative:
            raise ValueError("positive and negative are the same")
        return self


class ContrastPairs(_Strict):
    """Contrast pairs written out one by one."""

    pairs: Annotated[tuple[Pair, ...], Field(min_length=2)]

    @field_validator("pairs")
    @classmethod
    def _pairs_distinct(cls, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
        _distinct(tuple(f"{pair.positive}\n{pair.negative}" for pair in pairs), "pairs")
        return pairs

    def prompts(self) -> Iterator[tuple[str, str]]:
        """Positive and negative prompt of every pair."""
        for pair in self.pairs:
            yield pair.positive, pair.negative


class TestPrompts(_Strict):
    """Prompts that ask for neither pole, by environment."""

    __test__ = False  # pytest would take the name for a test class

    in_distribution: Annotated[tuple[Text, ...], Field(min_length=1)]
    topic_shift: tuple[Text, ...] = ()
    genre_shift: tuple[Text, ...] = ()
    safety_style: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _texts_distinct(self) -> "TestPrompts":
        _distinct(tuple(t for e in ENVIRONMENTS for t in getattr(self, e)), "test prompts")
        return self


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt as it goes into the `prompt_sets` table."""

    prompt_id: str
    environment: str
    role: str
    pair_id: str
    polarity: str
    text: str


def _form_of_contrast(value: Any) -> str:
    """Written out where there are pairs; else, whatever is wrong is said about templates."""
    written_out = "pairs" in value if isinstance(value, Mapping) else hasattr(value, "pairs")
    return PAIRS if written_out else TEMPLATES


AnyContrast = Annotated[
    Annotated[Contrast, Tag(TEMPLATES)] | Annotated[ContrastPairs, Tag(PAIRS)],
    Discriminator(_form_of_contrast),
]


class _WithContrast(_Strict):
    trait: str
    title: Text
    description: Text
    poles: Poles
    contrast: AnyContrast

    @field_validator("trait")
    @classmethod
    def _is_slug(cls, trait: str) -> str:
        return validate_slug(trait, "trait")

    def pairs(self, role: str) -> Iterator[Prompt]:
        """Both prompts of every contrast pair, positive first."""
        for number, sides in enumerate(self.contrast.prompts()):
            pair_id = f"{self.trait}-pair-{number:03d}"
            for polarity, text in zip(("positive", "negative"), sides, strict=True):
                yield Prompt(
                    f"{pair_id}-{polarity}", "in_distribution", role, pair_id, polarity, text
                )

    @property
    def n_pairs(self) -> int:
        """Number of contrast pairs."""
        return sum(1 for _ in self.contrast.prompts())


class Trait(_WithContrast):
    """A trait to be studied: one partition of the graph."""

    test: TestPrompts

    def tests(self) -> Iterator[Prompt]:
        """Test prompts, environment by environment."""
        for environment in ENVIRONMENTS:
            for number, text in enumerate(getattr(self.test, environment)):
                prompt_id = f"{self.trait}-{environment}-{number:03d}"
                yield Prompt(prompt_id, environment, "test", "", "neutral", text)


class ControlTrait(_WithContrast):
    """A direction that has nothing to do with any trait; it is no partition."""
