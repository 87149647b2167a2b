"""Test prompts for files without any: every second question is held out of the contrast."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
#: Largest number of test prompts taken from one file.
MOST_TESTS = 50
#: Smallest number of items left for the contrast.
_FEWEST = 2
#: The choices after a question, from the line before the first one; or a final "Answer:".
_CHOICES = re.compile(r"\s*\n\s*(?:choices|options)?:?\s*\(?[A1]\)\s.*", re.DOTALL | re.IGNORECASE)
_ANSWER = re.compile(r"\s*\n\s*answer:\s*", re.IGNORECASE)


def split(
    items: Sequence[Item], fewest: int = _FEWEST, group: Callable[[Item], Hashable] = bool
) -> tuple[list[Item], list[Item]]:
    """Items for the contrast (at least `fewest`), and those for tests.

    Every second item of a group becomes a test, which keeps the shares of the groups in the
    contrast.
    """
    room = max(0, min(MOST_TESTS, len(items) - fewest))
    seen: Counter[Hashable] = Counter()
    chosen = set()
    for number, item in enumerate(items):
        seen[group(item)] += 1
        if seen[group(item)] % 2 == 0:
            chosen.add(number)
    if not chosen:  # every item is a group by itself
        chosen = set(range(1, len(items), 2))
    tests = set(sorted(chosen)[:room])
    kept = [item for number, item in enumerate(items) if number not in tests]
    return kept, [items[number] for number in sorted(tests)]


def open_question(question: str) -> str:
    """A question without its choices, which is then answered in free text."""
    bare = _CHOICES.sub("", question)
    if (end := _ANSWER.search(bare)) and end.end() == len(bare):
        bare = bare[: end.start()]
    return bare.strip() or question.strip()
