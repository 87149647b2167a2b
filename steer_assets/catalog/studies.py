"""Studies: every scientific setting, in one versioned file.

All scientific settings are here, because backfills from the UI cannot carry configuration and a
result must be traceable to the settings that made it. Each asset names the sections it reads;
changing a section makes exactly the assets that read it stale.
"""

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from steer_assets.catalog.layers import AUTO
from steer_assets.catalog.protocols import CONTROLLED, Protocol, ProtocolTexts
from steer_assets.catalog.sections.generation import Generation
from steer_assets.catalog.sections.study_sections import (
    Behaviour,
    Dose,
    Fluency,
    Logits,
    Numerics,
    PromptChoice,
    Scoring,
    Section,
    Spectra,
    Statistics,
    Vectors,
)
from steer_assets.catalog.sections.text_sections import TextDivergences, TextFisher, Thinking
from steer_assets.catalog.working_point import Calibration, LayerChoice
from steer_assets.storage.slugs import validate_slug


class Study(Section):
    """A whole study."""

    study: str
    title: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    control_trait: str = "tense"
    numerics: Numerics = Numerics()
    layers: LayerChoice
    prompts: PromptChoice
    spectra: Spectra
    behaviour: Behaviour
    vectors: Vectors
    logits: Logits
    calibration: Calibration = Calibration()
    dose: Dose = Dose()
    generation: Generation
    protocols: tuple[Protocol, ...] = (Protocol(name=CONTROLLED),)
    protocol_texts: ProtocolTexts | None = None
    scoring: Scoring
    fluency: Fluency = Fluency()
    thinking: Thinking = Thinking()
    text_divergences: TextDivergences = TextDivergences()
    text_fisher: TextFisher = TextFisher()
    statistics: Statistics = Statistics()

    @field_validator("study")
    @classmethod
    def _is_slug(cls, study: str) -> str:
        return validate_slug(study, "study")

    @model_validator(mode="after")
    def _arms_exist(self) -> "Study":
        wanted = {family for arms in self.generation.arms for family in arms.families}
        if unbuilt := sorted(wanted - set(self.vectors.families)):
            raise ValueError(f"generation.arms uses {', '.join(unbuilt)}, not in vectors.families")
        if self.layers.automatic:
            _require_no_blocks_by_hand(self)
        elif self.generation.multi_layer and len(self.layers.steer) < 2:
            raise ValueError("generation.multi_layer needs two blocks or more in layers.steer")
        return self

    @model_validator(mode="after")
    def _both_traits_are_steered_alike(self) -> "Study":
        if self.generation.two_traits and self.automatic:
            raise ValueError(
                "generation.two_traits needs layers.steer and alphas by hand: auto may find other "
                "blocks for the other trait"
            )
        return self

    @model_validator(mode="after")
    def _scope_has_doses(self) -> "Study":
        scope = self.generation.scope
        if self.automatic and not scope.moves_next_token:
            raise ValueError(
                f"generation.scope {scope.name} needs layers.steer and alphas by hand: auto finds "
                "doses by the next token after the prompt, which this scope does not move"
            )
        return self

    @model_validator(mode="after")
    def _protocols_run(self) -> "Study":
        names = [protocol.name for protocol in self.protocols]
        if len(set(names)) != len(names):
            raise ValueError("two protocols have one name")
        if CONTROLLED not in names:
            raise ValueError(f"the protocol {CONTROLLED} is always needed")
        texts = self.protocol_texts
        if self.switched_protocols and texts is None:
            raise ValueError("protocol_texts: say what protocols with switches are run on")
        if self.switched_protocols and "base_plus_orthogonal_matched" not in self.vectors.families:
            raise ValueError("protocols need base_plus_orthogonal_matched in vectors.families")
        if texts is not None:
            _within(texts, self)
        return self

    @property
    def switched_protocols(self) -> tuple[Protocol, ...]:
        """Protocols with switches, which are compared with `controlled`."""
        return tuple(protocol for protocol in self.protocols if protocol.switches)

    @property
    def automatic_doses(self) -> bool:
        """Whether doses are those that calibration finds."""
        return not all(arms.alphas for arms in self.generation.arms)

    @property
    def automatic(self) -> bool:
        """Whether anything is left to calibration."""
        return self.layers.automatic or self.automatic_doses

    def settings(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Values of dotted setting names, JSON-like; an asset's freshness depends on them."""
        everything = self.model_dump(mode="json")
        chosen: dict[str, Any] = {}
        for name in names:
            value: Any = everything
            for step in name.split("."):
                value = value[step]
            chosen[name] = value
        return chosen


def _require_no_blocks_by_hand(study: Study) -> None:
    """Raise ValueError where blocks are named, or counted on, that calibration is to choose."""
    if any(arms.layers for arms in study.generation.arms):
        raise ValueError("generation.arms may not name layers where layers.steer is auto")
    if study.generation.multi_layer:
        raise ValueError(
            "generation.multi_layer needs layers.steer by hand: auto may find one block"
        )
    if study.protocol_texts is not None and study.protocol_texts.layers != (AUTO,):
        raise ValueError("protocol_texts.layers must be auto where layers.steer is")


def _within(texts: ProtocolTexts, study: Study) -> None:
    """Protocols with switches use a subset of the prompts and arms of `controlled`."""
    for environment, n in texts.prompts.items():
        if n > study.prompts.test[environment]:
            raise ValueError(
                f"protocol_texts.prompts.{environment} is {n}, but prompts.test has "
                f"{study.prompts.test[environment]}"
            )
    for name, part, whole in (
        ("samples", texts.samples, study.generation.samples),
        ("seeds", texts.seeds, len(study.vectors.orthogonal_seeds)),
    ):
        if part > whole:
            raise ValueError(f"protocol_texts.{name} is {part}, but controlled has {whole}")
    if outside := [name for name in texts.layers if name not in study.layers.steer]:
        raise ValueError(f"protocol_texts.layers names {outside}, which is not in layers.steer")
