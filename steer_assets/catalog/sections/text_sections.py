"""The sections of a study about whole texts."""

from typing import Annotated, Literal

from pydantic import Field

from steer_assets.catalog.sections.study_sections import Alphas, Count, Family, Section, Share


class Thinking(Section):
    """The section of thinking of reasoning models; other models have none.

    enable: given to the chat template as `enable_thinking`; by default the template decides.
    scored: the part of a text that scorers and fluency read: what follows the section, the section
    itself, or all of it.
    """

    enable: bool | Literal["default"] = "default"
    scored: Literal["after_thinking", "thinking", "whole"] = "after_thinking"

    @property
    def asked(self) -> bool | None:
        """What the template is given; None for nothing."""
        return None if isinstance(self.enable, str) else self.enable


class TextDivergences(Section):
    """Whole texts of arms that are compared by their likelihoods, at each block's headline dose.

    families: beside v and the unsteered arm. prompts: in round-robin order over environments, with
    their first `samples`. margin: share of any score's range that is of no concern.
    """

    families: Annotated[tuple[Family, ...], Field(min_length=1)] = ("base_plus_orthogonal",)
    prompts: Annotated[int, Field(ge=2)] = 20
    samples: Count = 1
    margin: Share = 0.1


class TextFisher(Section):
    """Fisher form of whole texts, and the gradient of the trait score.

    texts: at each point, those that were generated first, and more where these are too few.
    points: v at its dose, or unsteered. multiples: of a step from v towards a vector of each
    of `families`, or in the null space of the texts, at which the prediction is compared with the
    texts of the first `prompts`.
    """

    texts: Annotated[int, Field(ge=4)] = 64
    points: Annotated[tuple[Literal["steered", "unsteered"], ...], Field(min_length=1)] = (
        "steered",
    )
    families: Annotated[tuple[Family, ...], Field(min_length=1)] = (
        "base_plus_orthogonal",
        "base_plus_null",
    )
    multiples: Alphas = (0.25, 0.5, 1.0)
    prompts: Annotated[int, Field(ge=2)] = 8
