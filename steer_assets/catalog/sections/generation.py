"""The section `generation` of a study: arms, looks, and the sampling of steered texts."""

from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from steer_assets.catalog.sections.study_sections import (
    Alphas,
    Count,
    DosesOrAuto,
    Family,
    Layers,
    Section,
)
from steer_assets.catalog.traits import ENVIRONMENTS, Environment


class Arms(Section):
    """A block of arms: these families at these doses, layers and environments.

    `alphas: auto` is each block's dose of equal divergence, as `steering_calibration` finds it.
    seeds: the first ones of each family, looks: the first ones of the study; all unless given.
    """

    families: Annotated[tuple[Family, ...], Field(min_length=1)]
    alphas: DosesOrAuto = (1.0,)
    layers: Layers | None = None
    environments: Annotated[tuple[Environment, ...], Field(min_length=1)] = ENVIRONMENTS
    seeds: Count | None = None
    looks: Count | None = None


class MultiLayer(Section):
    """Arms that add v, and v + v_perp, at every steered block at once.

    seeds: the first ones of v_perp.
    """

    alphas: Alphas = (1.0,)
    environments: Annotated[tuple[Environment, ...], Field(min_length=1)] = ENVIRONMENTS
    seeds: Count = 1


def _rise_to_one(shares: tuple[float, ...]) -> tuple[float, ...]:
    rising = all(a < b for a, b in pairwise(shares))
    if not rising or shares[0] <= 0 or shares[-1] != 1:
        raise ValueError(
            f"looks are shares of the prompts that rise from above 0 to 1, not {list(shares)}"
        )
    return shares


Looks = Annotated[
    tuple[float, ...], Field(min_length=1, max_length=10), AfterValidator(_rise_to_one)
]


class Generation(Section):
    """Sampling of steered texts. The unsteered arm is always included.

    looks: shares of the test prompts after which texts are scored, and comparisons with v that are
    decided or hopeless get no more of them; under the controlled protocol.
    """

    samples: Count
    max_new_tokens: Count
    looks: Looks = (1.0,)
    temperature: Annotated[float, Field(ge=0, le=10)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    batch_rows: Count | None = None
    arms: Annotated[tuple[Arms, ...], Field(min_length=1)]
    multi_layer: MultiLayer | None = None

    @model_validator(mode="after")
    def _looks_exist(self) -> "Generation":
        most = max(arms.looks or 1 for arms in self.arms)
        if most > len(self.looks):
            raise ValueError(f"arms take part in {most} looks, but looks has {len(self.looks)}")
        return self
