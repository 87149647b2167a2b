"""Sections of a study that say where v is added, and how strongly: by hand, or by calibration."""

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from steer_assets.catalog.layers import AUTO, CANDIDATES, check_steered
from steer_assets.catalog.sections.study_sections import Alphas, Count, Layers, Section

Steered = Annotated[
    tuple[Annotated[int | str, AfterValidator(check_steered)], ...], Field(min_length=1)
]


class LayerChoice(Section):
    """Blocks that are steered, and blocks whose null spaces are measured besides.

    `steer: auto` leaves the choice to `steering_calibration`; it is kept as `(auto,)`.
    """

    steer: Steered
    geometry: Layers

    @field_validator("steer", mode="before")
    @classmethod
    def _one_word(cls, steer: object) -> object:
        return (AUTO,) if steer == AUTO else steer

    @model_validator(mode="after")
    def _auto_alone(self) -> "LayerChoice":
        if AUTO in self.steer and len(self.steer) > 1:
            raise ValueError("steer: auto stands alone, or blocks are named")
        return self

    @property
    def automatic(self) -> bool:
        """Whether the steered blocks are chosen by calibration."""
        return self.steer == (AUTO,)


class Calibration(Section):
    """The sweep of blocks and doses, on test prompts that no verdict reads.

    prompts: of the next-token sweep; texts: those of them that are continued. choose: how many
    blocks `layers.steer: auto` takes. target_kl: nats of the 95th percentile over prompts at the
    dose of a block. multiples: doses of the sweep, of that one; those up to 1 may be chosen.
    """

    prompts: Annotated[int, Field(ge=8)] = 24
    texts: Annotated[int, Field(ge=4)] = 20
    max_new_tokens: Count = 16
    choose: Count = 2
    target_kl: Annotated[float, Field(gt=0, le=10)] = 1.0
    multiples: Alphas = (0.5, 1.0)

    @model_validator(mode="after")
    def _consistent(self) -> "Calibration":
        if 1.0 not in self.multiples or len(set(self.multiples)) < len(self.multiples):
            raise ValueError(f"multiples differ and hold 1, got {list(self.multiples)}")
        if self.texts > self.prompts or self.choose > CANDIDATES:
            raise ValueError(
                f"texts may not exceed prompts, nor choose the {CANDIDATES} candidates"
            )
        return self
