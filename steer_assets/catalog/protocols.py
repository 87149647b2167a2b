"""Protocols: the published procedure as ten independent switches (specification, section 8).

A protocol is a name and the switches that are on. `controlled` has none; `reference` has all ten.
Every protocol with switches is compared with `controlled`, and with itself with each of its
switches off separately. It generates few texts: only for the arms on which the published
conclusions depend.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from steer_assets.catalog.traits import ENVIRONMENTS, Environment
from steer_assets.storage.slugs import validate_slug

Switch = Literal[
    "layer_offset",
    "label_substring",
    "no_baseline",
    "unsigned_mean_d",
    "prompt_included",
    "independent_sampling",
    "unmatched_norm",
    "finite_difference",
    "no_chat_template",
    "replaced_control",
]
SWITCHES: tuple[Switch, ...] = Switch.__args__  # type: ignore[attr-defined]
#: Switches that change which texts are sampled; the others change how texts are evaluated.
GENERATION_SWITCHES: tuple[Switch, ...] = (
    "layer_offset",
    "no_chat_template",
    "independent_sampling",
)
CONTROLLED = "controlled"
#: Labels that the published experiment distinguished by a substring of the first one.
SUBSTRING_LABELS = {
    "formality": ("formal", "informal"),
    "agreeableness": ("agreeable", "disagreeable"),
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Protocol(_Section):
    """A name and the switches that are on."""

    name: str
    switches: tuple[Switch, ...] = ()

    @field_validator("name")
    @classmethod
    def _is_slug(cls, name: str) -> str:
        return validate_slug(name, "protocol")

    @field_validator("switches")
    @classmethod
    def _in_order(cls, switches: tuple[Switch, ...]) -> tuple[Switch, ...]:
        if len(set(switches)) != len(switches):
            raise ValueError("a switch is named twice")
        return tuple(s for s in SWITCHES if s in switches)

    @model_validator(mode="after")
    def _controlled_is_sound(self) -> "Protocol":
        if self.name == CONTROLLED and self.switches:
            raise ValueError(f"{CONTROLLED} has no switch on; give this protocol another name")
        if self.name != CONTROLLED and not self.switches:
            raise ValueError(f"without a switch this is {CONTROLLED}; name those that are on")
        return self


class ProtocolTexts(_Section):
    """The prompts, samples and arms of protocols with switches, a part of those of `controlled`.

    prompts: per environment, the first ones of those used for generation.
    samples: per prompt and arm.
    seeds: the first ones of v_perp.
    alphas: doses of v and v + v_perp; the other families are taken at the headline dose.
    jacobian_prompts: points where derivatives are taken.
    probes, step: of the finite differences, in units of the residual stream.
    """

    layers: Annotated[tuple[int | str, ...], Field(min_length=1)] = ("L/2",)
    prompts: dict[Environment, Annotated[int, Field(ge=0)]]
    samples: Annotated[int, Field(ge=1)] = 1
    seeds: Annotated[int, Field(ge=1)] = 1
    alphas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (1.0,)
    jacobian_prompts: Annotated[int, Field(ge=2)] = 2
    probes: Annotated[int, Field(ge=2)] = 1000
    step: Annotated[float, Field(gt=0)] = 0.01

    @field_validator("prompts")
    @classmethod
    def _all_named(cls, prompts: dict[Environment, int]) -> dict[Environment, int]:
        if missing := [e for e in ENVIRONMENTS if e not in prompts]:
            raise ValueError(f"say how many prompts of {', '.join(missing)} (0 is allowed)")
        return prompts


def variants(protocol: Protocol) -> dict[str, tuple[Switch, ...]]:
    """Text sets that a protocol needs: its own, and one with each generation switch off."""
    off = [s for s in GENERATION_SWITCHES if s in protocol.switches]
    without = {
        f"{protocol.name}-minus-{s}": tuple(o for o in protocol.switches if o != s) for s in off
    }
    return {protocol.name: protocol.switches, **without}


def texts_of(protocol: Protocol, on: frozenset[Switch]) -> str:
    """Name of the text set for `on`, a subset of the protocol's switches.

    Raises:
        ValueError: two generation switches are off, and no such texts are made.
    """
    if not on:
        return CONTROLLED
    wanted = on & set(GENERATION_SWITCHES)
    for name, switches in variants(protocol).items():
        if wanted == set(switches) & set(GENERATION_SWITCHES):
            return name
    raise ValueError(f"{protocol.name} has no texts with {', '.join(sorted(wanted)) or 'none'}")
