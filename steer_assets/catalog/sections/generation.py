"""The section `generation` of a study: arms, looks, and the sampling of steered texts."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from steer_assets.catalog.sections.study_sections import (
    Alphas,
    Count,
    DosesOrAuto,
    Family,
    Layers,
    Section,
)
from steer_assets.catalog.traits import ENVIRONMENTS, Environment
from steer_assets.storage.slugs import validate_slug

Slug = Annotated[str, AfterValidator(lambda name: validate_slug(name, "trait"))]


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


class TwoTraits(Section):
    """Arms that add v and another trait's v together, at every steered block.

    traits: the others; a partition's own trait is passed over, so that the traits of a study may
    all be named. times: the other vector's dose as a multiple of that of v.
    """

    traits: Annotated[tuple[Slug, ...], Field(min_length=1)]
    alphas: Alphas = (1.0,)
    times: Annotated[float, Field(gt=0, le=100)] = 1.0
    environments: Annotated[tuple[Environment, ...], Field(min_length=1)] = ENVIRONMENTS


ScopeName = Literal[
    "last_prompt_and_generated",
    "all_prompt_and_generated",
    "generated",
    "first_k",
    "last_prompt_and_first_k",
    "after_thinking",
]


class Scope(Section):
    """Where arms are added: a name, or a name and `k`.

    last_prompt_and_generated: at the last prompt token and every generated token.
    all_prompt_and_generated: at every prompt token too. generated: at generated tokens alone.
    first_k: at the first k of them; last_prompt_and_first_k: at the last prompt token too.
    after_thinking: from the token that ends the text's thinking section on.
    """

    name: ScopeName = "last_prompt_and_generated"
    k: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _k_is_used(self) -> "Scope":
        counted = self.name in ("first_k", "last_prompt_and_first_k")
        if counted and self.k is None:
            raise ValueError(
                f"{self.name} needs k, the number of tokens: {{name: {self.name}, k: 8}}"
            )
        if not counted and self.k is not None:
            raise ValueError(f"{self.name} has no k")
        return self

    @property
    def moves_next_token(self) -> bool:
        """Whether the next token after every prompt is moved."""
        return self.name.startswith(("last_prompt", "all_prompt"))

    @property
    def words(self) -> str:
        """Where arms are added, as an end of a sentence."""
        first = (
            "the first generated token" if self.k == 1 else f"the first {self.k} generated tokens"
        )
        return {
            "last_prompt_and_generated": "there and at every generated token",
            "all_prompt_and_generated": "at every prompt token and every generated token",
            "generated": "at every generated token",
            "first_k": f"at {first}",
            "last_prompt_and_first_k": f"there and at {first}",
            "after_thinking": "from the token that ends the thinking section on",
        }[self.name]


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
    decided or hopeless get no more of them; under the controlled protocol. extra: what this saves
    goes to comparisons that are open at the last look, as further samples of its prompts, up to
    this multiple of an arm's planned texts. scope: where arms are added, the same for all of them,
    because an arm is compared with v at the same scope.
    """

    samples: Count
    max_new_tokens: Count
    looks: Looks = (1.0,)
    extra: Annotated[float, Field(ge=1, le=4)] = 1.0
    temperature: Annotated[float, Field(ge=0, le=10)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    batch_rows: Count | None = None
    arms: Annotated[tuple[Arms, ...], Field(min_length=1)]
    multi_layer: MultiLayer | None = None
    two_traits: TwoTraits | None = None
    scope: Scope = Scope()

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What was made before there were these settings is as it would be made now.
        found: dict[str, Any] = handler(self)
        if self.scope == Scope():
            del found["scope"]
        if self.two_traits is None:
            del found["two_traits"]
        if self.extra == 1:
            del found["extra"]
        return found

    @model_validator(mode="after")
    def _v_is_there_alone(self) -> "Generation":
        if self.two_traits is None:
            return self
        plain = {
            (environment, alpha)
            for arms in self.arms
            if "base" in arms.families and arms.layers is None
            for environment in arms.environments
            for alpha in arms.alphas
        }
        for environment in self.two_traits.environments:
            for alpha in self.two_traits.alphas:
                if (environment, alpha) not in plain:
                    raise ValueError(
                        f"two_traits at alpha {alpha:g} in {environment} is compared with v alone, "
                        "which no arms add there at every block"
                    )
        return self

    @model_validator(mode="after")
    def _looks_exist(self) -> "Generation":
        most = max(arms.looks or 1 for arms in self.arms)
        if most > len(self.looks):
            raise ValueError(f"arms take part in {most} looks, but looks has {len(self.looks)}")
        if self.extra > 1 and len(self.looks) == 1:
            raise ValueError("extra gives what looks save, and there is one look")
        return self
