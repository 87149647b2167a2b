"""The scope of a study as the language model takes it, and what depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steer_assets.catalog.sections.generation import Scope as Setting
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.layout import PartitionKey

if TYPE_CHECKING:
    from steer_assets.lm.chat import Encoder
    from steer_assets.lm.forward.scope import Scope
    from steer_assets.lm.model import LanguageModel


class NoSectionError(ValueError):
    """The scope starts after a thinking section, and the model writes none."""


def scope_of(run: StageRun, model: LanguageModel) -> Scope:
    """Where arms are added.

    Raises:
        NoSectionError: `after_thinking` for a model whose texts have no thinking section.
    """
    from steer_assets.lm.forward.scope import Scope

    setting = run.study.generation.scope
    if setting.name == "after_thinking":
        if missing := section_missing(run.model, model, run.study):
            raise NoSectionError(missing)
        return Scope(section_end=model.section_end)
    return Scope(
        whole_prompt=setting.name == "all_prompt_and_generated",
        last_prompt=setting.moves_next_token,
        first=setting.k,
    )


def section_missing(name: str, model: Encoder, study: Study) -> str:
    """Why the scope has no place in the texts of a model, in a sentence; empty where it has."""
    if study.generation.scope.name != "after_thinking" or model.section_end:
        return ""
    return (
        f"generation.scope is after_thinking, but {name} writes no thinking section: take another "
        "scope, or a reasoning model"
    )


def next_token_unmoved(study: Study) -> str:
    """Why next tokens after prompts say nothing of arms, in a sentence; empty where they do."""
    scope = study.generation.scope
    if scope.moves_next_token:
        return ""
    return (
        f"under the scope {scope.name} arms are not added at the last prompt token, so that the "
        "next token after the prompt is that of the unsteered model"
    )


def sources(key: PartitionKey, study: Study) -> dict[str, str]:
    """The scope, for stages that read no other setting of `generation`; none where it is usual.

    What was made before there was this setting stays current.
    """
    scope = study.generation.scope
    return {} if scope == Setting() else {"generation.scope": hash_json(scope.model_dump())}
