"""Models: sources of weights. The key becomes the partition of the dimension `model`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from steer_assets.storage.slugs import validate_slug


class ModelSource(BaseModel):
    """A file inside an installed package, a hub id with a revision, a folder, or a GGUF file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["package", "hub", "folder", "gguf"]
    location: Annotated[str, Field(min_length=1, max_length=4000)]
    revision: str = ""

    @model_validator(mode="after")
    def _pinned(self) -> "ModelSource":
        if self.kind == "hub" and not self.revision:
            raise ValueError("a hub id needs a revision (a commit), so that runs can be repeated")
        return self


class Markup(BaseModel):
    """What begins and ends a section of thinking, as the model writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    opening: Annotated[str, Field(min_length=1, max_length=200)]
    closing: Annotated[str, Field(min_length=1, max_length=200)]


class ModelEntry(BaseModel):
    """One model of the catalog.

    thinking: markup of its section of thinking, where it is not found in the chat template or the
    tokenizer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    title: Annotated[str, Field(min_length=1)]
    source: ModelSource
    license: str = "unknown"
    thinking: Markup | None = None

    @field_validator("model")
    @classmethod
    def _is_slug(cls, model: str) -> str:
        return validate_slug(model, "model")
