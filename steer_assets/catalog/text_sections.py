"""The sections of a study about whole texts."""

from typing import Annotated

from pydantic import Field

from steer_assets.catalog.study_sections import Count, Family, Section, Share


class TextDivergences(Section):
    """Whole texts of arms that are compared by their likelihoods, at each block's headline dose.

    families: beside v and the unsteered arm. prompts: in round-robin order over environments, with
    their first `samples`. margin: share of any score's range that is of no concern.
    """

    families: Annotated[tuple[Family, ...], Field(min_length=1)] = ("base_plus_orthogonal",)
    prompts: Annotated[int, Field(ge=2)] = 20
    samples: Count = 1
    margin: Share = 0.1
