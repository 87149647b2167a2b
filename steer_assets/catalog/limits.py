"""Estimates that need more prompts than a trait has, and chat markup that is probably unintended.

The thresholds are statistical, not those of a study: a study may use fewer prompts than exist.
"""

import re
from collections.abc import Iterator
from math import ceil, sqrt

from steer_assets.catalog.layouts.reading import Reading
from steer_assets.catalog.prompt_texts.sentences import Location
from steer_assets.catalog.prompts import Prompt
from steer_assets.catalog.traits import ENVIRONMENTS, Trait

#: Fewest pairs for a probe, halves of v and held-out null spaces.
_PAIRS_HALVED = 4
#: Fewest test prompts for a spectrum, an interval, and bootstrap intervals.
_SPECTRUM, _INTERVAL, _BOOTSTRAP = 3, 2, 10
#: Two one-sided tests at 0.05 have power 0.8 if margin / standard error is z(0.95) + z(0.9)
#: (Schuirmann 1987); the difference of two arms whose scores correlate 0.5 has a standard deviation
#: of one SD over prompts.
_STANDARD_ERRORS = 1.645 + 1.282
_MARGIN = 0.2
#: Markers of common chat templates.
MARKUP = re.compile(
    r"<\|[a-z_]{2,40}\|>|</?s>|<(?:start|end)_of_turn>|<bos>|\[/?INST\]|<</?SYS>>|<｜[^｜\n]{1,40}｜>",
    re.IGNORECASE,
)


def limits(trait: Trait) -> Iterator[str]:
    """Sentences on estimates that are impossible or imprecise with this number of prompts."""
    n_pairs = trait.n_pairs
    if n_pairs < _PAIRS_HALVED:
        yield (
            f"{n_pairs} contrast pairs: too few to say how stable v is (its halves, a probe, "
            f"held-out pairs); {_PAIRS_HALVED} at least, fifty are better"
        )
    counts = {e: sum(p.environment == e for p in trait.tests()) for e in ENVIRONMENTS}
    missing = [name for name, n in counts.items() if not n]
    for name, n in counts.items():
        if 0 < n < _BOOTSTRAP:
            yield f"{counted(n)} of {name}: {_few(n)}"
    if missing:
        yield f"no test prompts of {', '.join(missing)}: nothing is estimated there"
    total = sum(counts.values())
    if total < _SPECTRUM:
        yield (f"{counted(total)} in all: no null space of neutral prompts; {_SPECTRUM} at least")
    if total >= _INTERVAL and (shown := _STANDARD_ERRORS / sqrt(total)) > _MARGIN:
        yield (
            f"{counted(total)} in all: differences under about {shown:.1f} standard deviations "
            f"will hardly be excluded (the usual margin is {_MARGIN}); "
            f"{ceil((_STANDARD_ERRORS / _MARGIN) ** 2)} prompts can exclude that much"
        )


def counted(n: int) -> str:
    """A number of test prompts as text."""
    return f"{n} test prompt{'s' if n != 1 else ''}"


def _few(n: int) -> str:
    if n < _INTERVAL:
        return f"no interval and no verdict; {_INTERVAL} prompts at least, ten are better"
    return f"intervals by t and wide; {_BOOTSTRAP} prompts or more are resampled"


def templated(reading: Reading) -> list[tuple[Location, str]]:
    """Locations of prompts with chat markup that are not declared raw, with the markup."""
    found: dict[Location, str] = {}
    for place, prompt in _places(reading.trait):
        if not prompt.raw and (markup := MARKUP.search(prompt.text)):
            found.setdefault(place, markup.group())
    return list(found.items())


def _places(trait: Trait) -> Iterator[tuple[Location, Prompt]]:
    form = "pairs" if hasattr(trait.contrast, "pairs") else "answers"
    listed = form == "pairs" or hasattr(trait.contrast, "answers")
    for number, prompt in enumerate(trait.pairs("contrast")):
        yield (("contrast", form, number // 2) if listed else ("contrast",)), prompt
    seen = dict.fromkeys(ENVIRONMENTS, 0)
    for prompt in trait.tests():
        environment = next(e for e in ENVIRONMENTS if e == prompt.environment)
        yield ("test", environment, seen[environment]), prompt
        seen[environment] += 1
