"""The sections of a study file, validated separately; `studies` combines them."""

import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_serializer,
    model_validator,
)

from steer_assets.catalog.layers import check_layer
from steer_assets.catalog.traits import ENVIRONMENTS, Environment
from steer_assets.storage.slugs import validate_slug

Layer = Annotated[int | str, AfterValidator(check_layer)]
Layers = Annotated[tuple[Layer, ...], Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
Alphas = Annotated[tuple[Annotated[float, Field(gt=0, le=100)], ...], Field(min_length=1)]
#: Doses, or none where the word `auto` leaves them to calibration.
DosesOrAuto = Annotated[
    Alphas,
    WrapValidator(lambda value, inner: () if value == "auto" else inner(value)),
    PlainSerializer(lambda value: list(value) or "auto"),
]
Kind = Literal["covariance", "jacobian", "fisher"]
Family = Literal[
    "base",
    "pca",
    "logistic",
    "orthogonal",
    "base_plus_orthogonal",
    "base_plus_orthogonal_matched",
    "base_plus_null",
    "base_plus_range",
    "base_range",
    "base_null",
    "subspace_k",
    "random",
    "other_trait",
    "negated",
]
Estimator = Literal[
    "sigma_1pct",
    "sigma_5pct",
    "variance_95",
    "variance_99",
    "entropy_rank",
    "participation_ratio",
    "stable_rank",
    "marchenko_pastur",
    "gavish_donoho",
]


class Section(BaseModel):
    """Base class of sections: unknown fields are errors, and instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Numerics(Section):
    """Device and precision of the language model.

    tensor_parallel: processes that each hold a part of every large weight, each on a GPU of the
    host where it has any; their number changes the last digits of results.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    tensor_parallel: Annotated[int, Field(ge=1, le=64)] = 1

    @model_serializer(mode="wrap")
    def _without_default(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What was made before there was this setting is as it would be made now.
        found: dict[str, Any] = handler(self)
        if self.tensor_parallel == 1:
            del found["tensor_parallel"]
        return found


class PromptChoice(Section):
    """Number of prompts of each kind, taken from the top of the catalog's lists.

    neutral: test prompts that null spaces are measured on, environments taking turns; all by
    default. date: the date given to chat templates that print today's date.
    """

    contrast_pairs: Annotated[int, Field(ge=4)]
    neutral: Annotated[int, Field(ge=4)] | None = None
    test: dict[Environment, Annotated[int, Field(ge=0)]]
    date: datetime.date = datetime.date(2026, 1, 1)

    @field_validator("test")
    @classmethod
    def _all_named(cls, test: dict[Environment, int]) -> dict[Environment, int]:
        if missing := [e for e in ENVIRONMENTS if e not in test]:
            raise ValueError(f"say how many prompts of {', '.join(missing)} (0 is allowed)")
        if sum(test.values()) < 4:
            raise ValueError("a paired comparison needs at least 4 test prompts in all")
        return test


class Spectra(Section):
    """Null-space measurement; `estimator` selects, per kind, the rank by which vectors are split.

    resamples: bootstrap resamples of prompts for a spectrum's band; all_tokens: whether moments are
    taken over all prompt tokens as well as over last ones.
    """

    heldout_splits: Annotated[int, Field(ge=2)] = 5
    resamples: Annotated[int, Field(ge=2)] = 200
    all_tokens: bool = True
    estimator: dict[Kind, Estimator]

    @field_validator("estimator")
    @classmethod
    def _each_kind(cls, estimator: dict[Kind, Estimator]) -> dict[Kind, Estimator]:
        for kind in ("covariance", "jacobian", "fisher"):
            if kind not in estimator:
                raise ValueError(f"name the estimator for {kind}")
            noise_aware = estimator[kind] in ("marchenko_pastur", "gavish_donoho")
            if kind != "covariance" and noise_aware:
                raise ValueError(f"{estimator[kind]} is for covariance only, not for {kind}")
        return estimator


class Behaviour(Section):
    """Prompts over which the Jacobian Gram and the Fisher pullback are averaged."""

    prompts: Annotated[int, Field(ge=2)]
    steered_alpha: Annotated[float, Field(gt=0, le=100)] = 1.0


class Vectors(Section):
    """Families of vectors to build, and their seeds."""

    families: Annotated[tuple[Family, ...], Field(min_length=1)]
    orthogonal_seeds: Seeds = (0,)
    null_seeds: Seeds = (0,)
    random_seeds: Seeds = (0,)
    subspace_sizes: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)
    subspace_directions: Count = 50

    @model_validator(mode="after")
    def _consistent(self) -> "Vectors":
        for needed in ("base", "base_plus_orthogonal"):
            if needed not in self.families:
                raise ValueError(f"the family {needed} is always needed")
        if max(self.subspace_sizes) > self.subspace_directions:
            raise ValueError("subspace_sizes may not exceed subspace_directions")
        return self


class Logits(Section):
    """Next-token distributions: prompts per environment and doses, or `auto`: the block's own."""

    prompts: Count
    alphas: DosesOrAuto


class Dose(Section):
    """Divergence by step length: in shares of |h| from unsteered, in multiples of |v| around v.

    The tolerances of the equivalence radius are in nats.
    """

    prompts: Count = 4
    relative_steps: Alphas = (0.01, 0.02, 0.05, 0.1, 0.2)
    multiples: Alphas = (0.25, 0.5, 1.0, 2.0, 4.0)
    tolerances: Alphas = (0.001, 0.01, 0.1)

    @field_validator("relative_steps", "multiples", "tolerances")
    @classmethod
    def _ascend(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(b <= a for a, b in pairwise(values)):
            raise ValueError(f"must ascend, got {list(values)}")
        return values


class Scoring(Section):
    """The scorers, and the AUROC below which a scorer's comparisons are untestable."""

    scorers: Annotated[tuple[str, ...], Field(min_length=1)]
    auroc_floor: Share = 0.7

    @field_validator("scorers")
    @classmethod
    def _distinct_slugs(cls, scorers: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(scorers)) != len(scorers):
            raise ValueError("a scorer is named twice")
        return tuple(validate_slug(name, "scorer") for name in scorers)


class Fluency(Section):
    """Texts whose fluency is measured, and the tolerated loss against unsteered texts.

    samples: the first ones of each prompt and arm.
    prompts: in round-robin order over environments.
    perplexity_factor: as a multiple of that of the unsteered text of the same prompt.
    repetition: above that of the unsteered text, as a share of n-grams. Both must be exceeded with
        95 % confidence over at least ten prompts.
    """

    samples: Count = 1
    prompts: Count = 12
    perplexity_factor: Annotated[float, Field(gt=1)] = 5.0
    repetition: Share = 0.35


class Statistics(Section):
    """Margins, confidence and resampling."""

    margin_sd: Annotated[float, Field(gt=0, le=100)] = 0.2
    margin_efficacy: Annotated[float, Field(gt=0, le=100)] = 0.2
    confidence: Share = 0.95
    significance: Share = 0.05
    n_boot: Annotated[int, Field(ge=200)] = 2000
