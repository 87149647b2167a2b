"""Warnings on near-duplicate prompts of a trait file, with both line numbers.

Such a file can be used, but near-duplicates are not independent, so its intervals are too narrow.
"""

from collections.abc import Iterator
from pathlib import Path

from steer_assets.catalog.layouts.objects import own_words
from steer_assets.catalog.layouts.reading import Reading
from steer_assets.catalog.prompt_texts.around_questions import (
    ContrastInstructions,
    ContrastPrefixes,
)
from steer_assets.catalog.prompt_texts.contexts import PlacedContexts
from steer_assets.catalog.prompt_texts.contrasts import Contrast
from steer_assets.catalog.prompt_texts.environments import ENVIRONMENTS
from steer_assets.catalog.prompt_texts.resemblance import MOST, resemblances, series
from steer_assets.catalog.prompt_texts.sentences import Location
from steer_assets.catalog.prompts import readable
from steer_assets.catalog.traits import Trait

_MOST_SHOWN = 20
_LONGEST_SHOWN = 120


def warnings(file: Path, reading: Reading) -> Iterator[str]:
    """A sentence for each prompt that resembles an earlier one, and for each series."""
    asked = list(places(reading.trait))
    texts = [text for _, text in asked]
    lines = [
        f"warning: {file}:{reading.line_of(asked[one.second][0])}: "
        f"{_field(asked[one.second][0])}: {_shown(texts[one.second])} says nearly the same as "
        f"{_shown(texts[one.first])} in line {reading.line_of(asked[one.first][0])} "
        f"(similarity {one.similarity:.2f})"
        for one in resemblances(texts)
    ]
    lines += [
        f"warning: {file}:{reading.line_of(asked[one.members[0]][0])}: {len(one.members)} prompts "
        f'are "{one.frame}" with other words for the dots, from {_shown(texts[one.members[0]])} '
        f"to {_shown(texts[one.members[-1]])}"
        for one in series(texts)
    ]
    yield from lines[:_MOST_SHOWN]
    if len(lines) > _MOST_SHOWN:
        yield f"warning: {file}: {len(lines) - _MOST_SHOWN} further prompts or series like these"
    if len(texts) > MOST:
        yield f"only the first {MOST} prompts were compared with each other"


def places(trait: Trait) -> Iterator[tuple[Location, str]]:
    """Contexts or questions of the contrast, and test prompts: location and text of each.

    Test prompts that were made from contexts (`objects.NEUTRAL`) are left out.
    """
    contrast = trait.contrast
    if isinstance(contrast, Contrast):
        lists = (
            {
                (environment,): getattr(contrast.contexts, environment)
                for environment in ENVIRONMENTS
            }
            if isinstance(contrast.contexts, PlacedContexts)
            else {(): contrast.contexts}
        )
        for group, contexts in lists.items():
            for number, context in enumerate(contexts):
                yield ("contrast", "contexts", *group, number), readable(context)
    if isinstance(contrast, ContrastInstructions | ContrastPrefixes):
        for number, question in enumerate(contrast.questions):
            yield ("contrast", "questions", number), readable(question)
    for environment in ENVIRONMENTS:
        for number, said in enumerate(getattr(trait.test, environment)):
            if (text := readable(said)) == own_words(text):
                yield ("test", environment, number), text


def _field(place: Location) -> str:
    return ".".join(map(str, place))


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...")
