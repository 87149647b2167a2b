"""Statements with a label: `statement` and `label`, as data sets of true and false sentences are.

The assistant is shown as saying them, after the same request: v is read at their last token. The
first statement of one label is paired with the first of the other, and so on; over all pairs, the
mean of the differences is the difference of the means (Marks & Tegmark 2023, "The Geometry of
Truth").
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts import heldout
from steer_assets.catalog.layouts.answers import is_answered
from steer_assets.catalog.layouts.objects import NEUTRAL
from steer_assets.catalog.prompt_texts.contrasts import PLACEHOLDER
from steer_assets.catalog.prompt_texts.sentences import Location
from steer_assets.catalog.prompts import with_answer

#: What the assistant answers with a statement.
REQUEST = "Make a statement."
#: The field that, beside `label`, makes a row one of these.
MARK = "statement"
FIELDS = (MARK, "label")
_POSITIVE, _NEGATIVE = ("1", "true", "yes", "positive"), ("0", "false", "no", "negative")
_FEWEST_PAIRS = 2


@dataclass(frozen=True, slots=True)
class _Given:
    line: int
    statement: str
    positive: bool


def is_stated(row: dict[str, Any]) -> bool:
    """Whether a row is a statement with its label, and no question with answers."""
    return all(field in row for field in FIELDS) and not is_answered(row)


class Statements:
    """The labelled statements of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.given: list[_Given] = []
        self._first: dict[str, int] = {}

    def add(self, line: int, row: dict[str, Any]) -> None:
        """Add the statement of a row."""
        text, label = row[MARK], str(row["label"]).strip().lower()
        if label.endswith(".0"):  # as tables with a missing value write whole numbers
            label = label.removesuffix(".0")
        if label not in (*_POSITIVE, *_NEGATIVE):
            raise CatalogError(
                f"{self._path}:{line}: label: expected 1 or 0, true or false, yes or no, positive "
                f"or negative; found {row['label']!r}"
            )
        if not isinstance(text, str) or not text.strip():
            raise CatalogError(f"{self._path}:{line}: {MARK}: expected text, found {text!r}")
        before = self._first.setdefault(text.casefold(), line)
        if before != line:
            raise CatalogError(
                f"{self._path}:{line}: {MARK}: is the same as in line {before}: {text[:120]!r}"
            )
        self.given.append(_Given(line, text, label in _POSITIVE))

    def contrast(
        self, tests: dict[str, list[Any]], lines: dict[Location, int]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The contrast, and notes on the conversion; held-out statements are added to `tests`."""
        held_out: list[_Given] = []
        kept = self.given
        if not tests:
            kept, held_out = heldout.split(
                self.given, 2 * _FEWEST_PAIRS, group=lambda one: one.positive
            )
            tests["in_distribution"] = [
                NEUTRAL.replace(PLACEHOLDER, one.statement) for one in held_out
            ]
        sides = [[one for one in kept if one.positive == side] for side in (True, False)]
        n_pairs = min(map(len, sides))
        if n_pairs < _FEWEST_PAIRS or not tests["in_distribution"]:
            raise CatalogError(
                f"{self._path}:{self.given[-1].line}: {MARK}: {len(self.given)} statements are too "
                "few; expected two of each label at least, and others or rows of `test` to test on"
            )
        notes = [
            f"{n_pairs} statements of each label are contrast pairs, said by the assistant after "
            f"{REQUEST!r}; they are read at their last token"
        ]
        if unpaired := len(kept) - 2 * n_pairs:
            notes.append(f"{unpaired} statements of one label have no partner and are not used")
        if held_out:
            notes.append(
                f"there are no test prompts: {len(held_out)} other statements are asked about as "
                f"{NEUTRAL!r}"
            )
        pairs = []
        for number, (positive, negative) in enumerate(zip(*sides, strict=False)):
            lines["contrast", "pairs", number] = positive.line
            pairs.append({"positive": _said(positive), "negative": _said(negative)})
        return {"pairs": pairs}, tuple(notes)


def _said(one: _Given) -> list[dict[str, str]]:
    return [turn.model_dump() for turn in with_answer(REQUEST, one.statement)]
