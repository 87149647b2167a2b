"""Test prompts for files that bring none: every second question is kept out of the contrast."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
#: Test prompts that are taken from one file at most.
MOST_TESTS = 50
#: What is left for the contrast at least.
_FEWEST = 2
#: The choices below a question, from the line before the first; or an "Answer:" at its end.
_CHOICES = re.compile(r"\s*\n\s*(?:choices|options)?:?\s*\(?[A1]\)\s.*", re.DOTALL | re.IGNORECASE)
_ANSWER = re.compile(r"\s*\n\s*answer:\s*", re.IGNORECASE)


def split(
    items: Sequence[Item], fewest: int = _FEWEST, group: Callable[[Item], Hashable] = bool
) -> tuple[list[Item], list[Item]]:
    """Items for the contrast, at least `fewest` of them, and those for tests.

    Every second item of a group becomes a test, so that the contrast has its groups in the shares
    in which the file has them.
    """
    room = max(0, min(MOST_TESTS, len(items) - fewest))
    seen: Counter[Hashable] = Counter()
    chosen = set()
    for number, item in enumerate(items):
        seen[group(item)] += 1
        if seen[group(item)] % 2 == 0:
            chosen.add(number)
    if not chosen:  # every item is a group of its own
        chosen = set(range(1, len(items), 2))
    tests = set(sorted(chosen)[:room])
    kept = [item for number, item in enumerate(items) if number not in tests]
    return kept, [items[number] for number in sorted(tests)]


def open_question(question: str) -> str:
    """A question without its choices, so that it is answered in words."""
    bare = _CHOICES.sub("", question)
    if (end := _ANSWER.search(bare)) and end.end() == len(bare):
        bare = bare[: end.start()]
    return bare.strip() or question.strip()
