"""Traits: a contrast, and neutral test prompts by environment."""

from collections.abc import Iterator
from itertools import repeat
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from steer_assets.catalog.prompt_texts.contrasts import PLACEHOLDER, AnyContrast, Contrast
from steer_assets.catalog.prompt_texts.environments import ENVIRONMENTS, Environment
from steer_assets.catalog.prompt_texts.sentences import refuse_repeats
from steer_assets.catalog.prompts import Prompt, Said, Strict, Text, readable
from steer_assets.storage.slugs import validate_slug

__all__ = ["ENVIRONMENTS", "PLACEHOLDER", "ControlTrait", "Environment", "Prompt", "Trait"]


class Poles(Strict):
    """Names of the two ends of a trait."""

    positive: Text
    negative: Text


class TestPrompts(Strict):
    """Prompts that request neither pole, by environment."""

    __test__ = False  # pytest would collect it as a test class

    in_distribution: Annotated[tuple[Said, ...], Field(min_length=1)]
    topic_shift: tuple[Said, ...] = ()
    genre_shift: tuple[Said, ...] = ()
    safety_style: tuple[Said, ...] = ()

    @model_validator(mode="after")
    def _prompts_distinct(self) -> "TestPrompts":
        refuse_repeats(
            ((environment, number), readable(said))
            for environment in ENVIRONMENTS
            for number, said in enumerate(getattr(self, environment))
        )
        return self


class _WithContrast(Strict):
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
        """Both prompts of every contrast pair, positive first, with the environment of its context.

        Pairs without contexts are in distribution.
        """
        environments: Iterator[Environment] = repeat("in_distribution")
        if isinstance(self.contrast, Contrast):
            environments = (environment for environment, _ in self.contrast.placed())
        for number, (sides, environment) in enumerate(
            zip(self.contrast.prompts(), environments, strict=False)
        ):
            pair_id = f"{self.trait}-pair-{number:03d}"
            for polarity, said in zip(("positive", "negative"), sides, strict=True):
                yield Prompt(f"{pair_id}-{polarity}", environment, role, pair_id, polarity, said)

    @property
    def n_pairs(self) -> int:
        """Number of contrast pairs."""
        return sum(1 for _ in self.contrast.prompts())


class Trait(_WithContrast):
    """A trait under study: one partition of the graph.

    evaluation: a prompt for rating answers with a language model, kept from the file; no scorer
    reads it.
    """

    test: TestPrompts
    evaluation: Annotated[str, Field(max_length=20_000)] = ""

    def tests(self) -> Iterator[Prompt]:
        """Test prompts, environment by environment."""
        for environment in ENVIRONMENTS:
            for number, said in enumerate(getattr(self.test, environment)):
                prompt_id = f"{self.trait}-{environment}-{number:03d}"
                yield Prompt(prompt_id, environment, "test", "", "neutral", said)


class ControlTrait(_WithContrast):
    """A direction unrelated to any trait; it has no partition."""
