"""Questions with a matching and a non-matching answer, in the formats of two published collections.

`question`, `answer_matching_behavior`, `answer_not_matching_behavior`: contrastive activation
addition (Rimsky et al. 2024) and model-written evaluations (Perez et al. 2022). Statements with
`label_confidence` also belong to the latter. If an answer is a list, successive questions use its
items in turn.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts import heldout
from steer_assets.catalog.prompt_texts.sentences import Location

_MATCHING = ("answer_matching_behavior", "matching")
_NOT_MATCHING = ("answer_not_matching_behavior", "not_matching")
FIELDS = ("question", *_MATCHING, *_NOT_MATCHING, "system", "statement", "label_confidence")
#: Fields that identify a row, or the header of a table, as answered questions.
MARKS = (*_MATCHING, *_NOT_MATCHING)
_USED = ("question", *MARKS, "system")


@dataclass(frozen=True, slots=True)
class Given:
    """One row: its line, its question, and the matching and non-matching answers."""

    line: int
    question: str
    matching: tuple[str, ...]
    not_matching: tuple[str, ...]
    system: str


def is_answered(row: dict[str, Any]) -> bool:
    """Whether a row has a matching or a non-matching answer."""
    return any(field in row for field in MARKS)


class Answers:
    """The answered questions of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.given: list[Given] = []
        self._unused: Counter[str] = Counter()
        self._n_lists = 0

    def add(self, line: int, row: dict[str, Any]) -> None:
        """Add the question of a row, and one answer of each kind."""
        self._unused.update(field for field in row if not (field in _USED or _ours(field)))
        system = row.get("system", "")
        self.given.append(
            Given(
                line,
                self._text(line, "question", row.get("question")),
                self._answers(line, row, _MATCHING),
                self._answers(line, row, _NOT_MATCHING),
                self._text(line, "system", system) if system else "",
            )
        )

    def _answers(self, line: int, row: dict[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
        field = next((name for name in names if name in row), names[0])
        value = row.get(field)
        listed = value if isinstance(value, list) and value else [value]
        self._n_lists += len(listed) > 1
        return tuple(self._text(line, field, one) for one in listed)

    def _text(self, line: int, field: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise CatalogError(f"{self._path}:{line}: {field}: expected text, found {value!r}")
        return value

    def _refuse_repeats(self) -> None:
        first: dict[tuple[str, ...], int] = {}
        wrong = []
        for one in self.given:
            answers = sorted((*one.matching, *one.not_matching))
            key = tuple(text.casefold() for text in (one.system, one.question, *answers))
            if (line := first.setdefault(key, one.line)) != one.line:
                wrong.append(
                    f"{self._path}:{one.line}: question: is the same as in line {line}: "
                    f"{one.question[:120]!r}"
                )
        if wrong:
            raise CatalogError("\n".join(wrong))

    def contrast(
        self, tests: dict[str, list[Any]], lines: dict[Location, int]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The contrast, and notes on the conversion; held-out questions are added to `tests`."""
        self._refuse_repeats()
        kept, held_out = (self.given, []) if tests else heldout.split(self.given, group=_matching)
        notes = [
            f"{len(kept)} questions with a matching and a not matching answer are contrast pairs; "
            "they are read at the answer's last token"
        ]
        if held_out:
            asked = dict.fromkeys(heldout.open_question(one.question) for one in held_out)
            tests["in_distribution"] = list(asked)
            notes.append(
                f"there are no test prompts: {len(held_out)} other questions, without their "
                "choices, are asked as tests"
            )
        elif not tests:
            raise CatalogError(
                f"{self._path}:{self.given[-1].line}: test: {len(self.given)} questions are too "
                "few to keep one as a test prompt; expected 3 at least, or test prompts"
            )
        if self._n_lists:
            notes.append(f"of {self._n_lists} lists of answers one is used, by turns")
        if self._unused:
            notes.append(f"not used: {', '.join(sorted(self._unused))}")
        notes += _one_sided(kept)
        for number, one in enumerate(kept):
            lines["contrast", "answers", number] = one.line
        answers = [
            {
                "question": one.question,
                "matching": one.matching[number % len(one.matching)],
                "not_matching": one.not_matching[number % len(one.not_matching)],
                **({"system": one.system} if one.system else {}),
            }
            for number, one in enumerate(kept)
        ]
        return {"answers": answers}, tuple(notes)


def _ours(field: str) -> bool:
    """Whether a different row reader handles the field."""
    return field in ("test", "environment", "raw", "title", "description") or field.endswith(
        "_pole"
    )


def _matching(one: Given) -> str:
    return " or ".join(answer.strip() for answer in one.matching)


def _one_sided(kept: list[Given]) -> list[str]:
    """A warning if the answer text alone identifies the pole."""
    matching = {_matching(one) for one in kept}
    if len(matching) > 1:
        return []
    (answer,) = matching
    return [
        f"warning: the matching answer is {answer!r} in every question, so v cannot be told from "
        "that answer; mix questions whose matching answer is another"
    ]
