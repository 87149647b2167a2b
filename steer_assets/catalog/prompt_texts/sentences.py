"""Validation errors as sentences: file, line, field, what was expected."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

Location = tuple[int | str, ...]
LineOf = Callable[[Location], int]
#: Location of a repeated value, location of its first occurrence, and its text.
Repeat = tuple[Location, Location, str]
#: Type of the error of `refuse_repeats`.
REPEATED = "repeated"
_MOST_REPEATS = 20
_LONGEST_SHOWN = 120


def sentences(path: Path, line_of: LineOf, error: ValidationError) -> str:
    """One sentence per error: file, line, field, what was expected."""
    lines: list[str] = []
    for detail in error.errors():
        # Locations include tags of a union's members, which do not occur in the file.
        location = tuple(step for step in detail["loc"] if not str(step).startswith("<"))
        if detail["type"] == REPEATED:
            lines += _repeats(path, line_of, location, detail["ctx"]["repeats"])
            continue
        field = ".".join(str(step) for step in location) or "file"
        # pydantic puts the class of an error before the words of our own validators.
        said = detail["msg"].removeprefix("Value error, ")
        lines.append(f"{path}:{line_of(location)}: {field}: {said}")
    return "\n".join(lines)


def _repeats(path: Path, line_of: LineOf, at: Location, repeats: list[Repeat]) -> Iterator[str]:
    """A sentence for every repeated value, with the line of its first occurrence."""
    for again, first, text in repeats[:_MOST_REPEATS]:
        field = ".".join(str(step) for step in (*at, *again))
        yield (
            f"{path}:{line_of((*at, *again))}: {field}: is the same as in line "
            f"{line_of((*at, *first))}: {text!r}"
        )
    if len(repeats) > _MOST_REPEATS:
        yield f"{path}: {len(repeats) - _MOST_REPEATS} further values occur again"


def refuse_repeats(values: Iterable[tuple[Location, str]]) -> None:
    """Raise an error, which `sentences` reports by line, for values equal up to case.

    values: location of each below the validated field, and its text.
    """
    first: dict[str, Location] = {}
    repeats: list[Repeat] = []
    for place, text in values:
        before = first.setdefault(text.casefold(), place)
        if before != place:
            shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
            repeats.append((place, before, shown))
    if repeats:
        raise PydanticCustomError(
            REPEATED,
            "must be distinct; repeated: {shown}",
            {"repeats": repeats, "shown": repeats[0][2]},
        )
