"""Writes traits to the user's catalog: YAML, or JSON lines where YAML would be too large."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from steer_assets.catalog.limits import MARKUP
from steer_assets.catalog.prompt_texts.contrasts import Contrast, ContrastPairs, Pair
from steer_assets.catalog.prompts import Raw, Said, readable
from steer_assets.catalog.traits import ENVIRONMENTS, Trait
from steer_assets.catalog.yaml_files import MOST_YAML


def file_of(trait: Trait) -> tuple[str, str]:
    """Name and text of a file equivalent to `trait`."""
    value = trait.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    if len(text.encode()) <= MOST_YAML:
        return f"{trait.trait}.yaml", text
    lines = (json.dumps(row, ensure_ascii=False) for row in _rows(trait, value))
    return f"{trait.trait}.jsonl", "".join(f"{line}\n" for line in lines)


def _rows(trait: Trait, value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows as `layouts/rows.py` reads them; contrasts without contexts become pairs."""
    yield {
        "title": trait.title,
        "description": trait.description,
        "positive_pole": trait.poles.positive,
        "negative_pole": trait.poles.negative,
    }
    yield from _contrast_rows(trait)
    for environment in ENVIRONMENTS:
        for said in value["test"].get(environment, ()):
            yield {"test": said, "environment": environment}


def _contrast_rows(trait: Trait) -> Iterator[dict[str, Any]]:
    contrast = trait.contrast
    if isinstance(contrast, Contrast) and all(
        isinstance(said, str) for _, said in contrast.placed()
    ):
        yield {
            "positive_template": contrast.positive_template,
            "negative_template": contrast.negative_template,
        }
        for environment, context in contrast.placed():
            yield {"context": context, "environment": environment}
        return
    for positive, negative in contrast.prompts():
        yield Pair(positive=positive, negative=negative).model_dump(mode="json")


def raw(trait: Trait) -> Trait:
    """The trait with every text that contains chat markup declared raw."""

    def declared(said: Said) -> Said:
        return Raw(raw=said) if isinstance(said, str) and MARKUP.search(readable(said)) else said

    pairs = tuple(
        Pair(positive=declared(positive), negative=declared(negative))
        for positive, negative in trait.contrast.prompts()
    )
    tests = trait.test.model_copy(
        update={e: tuple(map(declared, getattr(trait.test, e))) for e in ENVIRONMENTS}
    )
    return trait.model_copy(update={"contrast": ContrastPairs(pairs=pairs), "test": tests})
