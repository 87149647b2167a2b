"""A trait from rows of CSV, JSON lines, or a JSON list.

A row may be:

- a contrast pair: `positive`, `negative`, each after its own system turn if `positive_system`,
  `negative_system` are present; or a `context`, with an optional `environment`, and in one row
  `positive_template` and `negative_template`, each with `{context}` once;
- a question with two answers: `question`, `answer_matching_behavior` and
  `answer_not_matching_behavior` (or `matching`, `not_matching`), after `system`;
- a `statement` and its `label` (1 or 0, true or false, yes or no, positive or negative);
- a test prompt, which requests neither pole: `test`, and its `environment` (default
  `in_distribution`);
- the description of the trait: `title`, `description`, `positive_pole`, `negative_pole`, at most
once.

`raw: yes` means that the texts of its row already have chat markup. In JSON, `positive`, `negative`
and `test` may be lists of turns, or `{"raw": text}`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts import answers, statements
from steer_assets.catalog.layouts.reading import Reading, validated
from steer_assets.catalog.layouts.tables import Row
from steer_assets.catalog.prompt_texts.sentences import Location
from steer_assets.catalog.traits import ENVIRONMENTS

IN_DISTRIBUTION = "in_distribution"
_SIDES = ("positive", "negative")
_SYSTEMS = ("positive_system", "negative_system")
_NAMES = ("title", "description", "positive_pole", "negative_pole")
_TEMPLATES = ("positive_template", "negative_template")
FIELDS = (
    *_SIDES, *_SYSTEMS, "context", *_TEMPLATES,
    *answers.FIELDS, "test", "environment", "raw", *_NAMES,
)  # fmt: skip
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")


class Draft:
    """Parts of a trait collected from rows, with the line of each."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.about = {"title": name, "description": f"From {path.name}."}
        self.poles = {"positive": "positive", "negative": "negative"}
        self.pairs: list[dict[str, Any]] = []
        self.contexts: list[str] = []
        self.placed: dict[str, list[str]] = {}
        self.are_placed = False
        self.templates: dict[str, str] = {}
        self.answers = answers.Answers(path)
        self.statements = statements.Statements(path)
        self.tests: dict[str, list[Any]] = {}
        self.lines: dict[Location, int] = {}

    def _refuse(self, line: int, what: str) -> CatalogError:
        return CatalogError(f"{self.path}:{line}: {what}")

    def add(self, line: int, row: dict[str, Any]) -> None:
        """Add the parts of one row."""
        answered, stated = answers.is_answered(row), statements.is_stated(row)
        lax = answered or stated
        for field, value in row.items():
            if field not in FIELDS and not lax:
                raise self._refuse(line, f"{field}: unknown field; known: {', '.join(FIELDS)}")
            structured = field in (*_SIDES, "test") and isinstance(value, dict | list)
            if not (isinstance(value, str) or structured or lax or field == "raw"):
                raise self._refuse(line, f"{field}: expected text")
        if lax and "raw" in row:
            what = "an answered question" if answered else "a statement with its label"
            raise self._refuse(line, f"raw: {what} cannot be raw; give a pair")
        if answered:
            self.answers.add(line, row)
        elif stated:
            self.statements.add(line, row)
        elif unused := [field for field in answers.FIELDS if field in row]:
            raise self._refuse(line, f"{unused[0]}: without both of its answers")
        raw = self._raw(line, row)
        if any(side in row for side in (*_SIDES, *_SYSTEMS)):
            self._add_pair(line, row, raw)
        if "context" in row:
            self._add_context(line, row)
        self._add_test(line, row, raw)
        self._add_names(line, row)

    def _raw(self, line: int, row: dict[str, Any]) -> bool:
        said = str(row.get("raw", "no")).strip().lower()
        if said not in (*_YES, *_NO):
            raise self._refuse(line, f"raw: expected yes or no, found {row['raw']!r}")
        return said in _YES

    def _add_pair(self, line: int, row: dict[str, Any], raw: bool) -> None:
        for side, other in (_SIDES, _SIDES[::-1]):
            if side not in row:
                at = f"; a pair has {_SIDES[0]} and {_SIDES[1]}"
                raise self._refuse(line, f"{side}: missing" + at if other in row else "pair" + at)
        self.lines["contrast", "pairs", len(self.pairs)] = line
        self.pairs.append(
            {
                side: self._said(line, row, side, raw, row.get(system, ""))
                for side, system in zip(_SIDES, _SYSTEMS, strict=True)
            }
        )

    def _said(
        self, line: int, row: dict[str, Any], field: str, raw: bool, system: str = ""
    ) -> object:
        """The prompt of a field: text, turns, or raw text."""
        value = row[field]
        if isinstance(value, str) and not (raw and system):
            if system:
                return [
                    {"role": "system", "content": system},
                    {"role": "user", "content": value},
                ]
            return {"raw": value} if raw else value
        if raw or system:
            raise self._refuse(line, f"{field}: expected text beside raw, or beside a system turn")
        return value

    def _add_context(self, line: int, row: dict[str, Any]) -> None:
        """In a row that also has a test prompt, the environment is that of the test prompt."""
        named = "environment" in row and "test" not in row
        environment = self._environment(line, row) if named else IN_DISTRIBUTION
        group = self.placed.setdefault(environment, [])
        self.lines["contrast", "contexts", environment, len(group)] = line
        self.lines["contrast", "contexts", len(self.contexts)] = line
        group.append(row["context"])
        self.contexts.append(row["context"])
        self.are_placed |= named

    def _environment(self, line: int, row: dict[str, Any]) -> str:
        environment: str = row.get("environment", IN_DISTRIBUTION)
        if environment not in ENVIRONMENTS:
            known = ", ".join(ENVIRONMENTS)
            raise self._refuse(line, f"environment: {environment!r} is none of {known}")
        return environment

    def _add_test(self, line: int, row: dict[str, Any], raw: bool) -> None:
        if "test" not in row:
            if "environment" in row and "context" not in row:
                raise self._refuse(
                    line, "environment: without a test prompt or a context that it belongs to"
                )
            return
        environment = self._environment(line, row)
        prompts = self.tests.setdefault(environment, [])
        self.lines["test", environment, len(prompts)] = line
        prompts.append(self._said(line, row, "test", raw))

    def _add_names(self, line: int, row: dict[str, Any]) -> None:
        for field in (*_TEMPLATES, *_NAMES):
            if field not in row:
                continue
            place: Location = ("contrast", field) if field in _TEMPLATES else (field,)
            if place in self.lines:
                raise self._refuse(
                    line, f"{field}: is given twice, first in line {self.lines[place]}"
                )
            self.lines[place] = line
            if field in _TEMPLATES:
                self.templates[field] = row[field]
            elif field.endswith("_pole"):
                self.poles[field.removesuffix("_pole")] = row[field]
            else:
                self.about[field] = row[field]

    def reading(self, name: str) -> Reading:
        """The trait."""
        contrast, notes = self._contrast()
        value = {
            "trait": name, **self.about, "poles": self.poles, "contrast": contrast,
            "test": self.tests,
        }  # fmt: skip
        return validated(self.path, value, notes, self.line_of)

    def _contrast(self) -> tuple[dict[str, Any], tuple[str, ...]]:
        templated = bool(self.contexts or self.templates)
        listed = [one.line for one in self.answers.given]
        listed += [one.line for one in self.statements.given]
        given = (self.pairs, templated, self.answers.given, self.statements.given)
        if sum(map(bool, given)) > 1:
            first = listed[0] if listed else next(
                n for place, n in self.lines.items()
                if place[:1] == ("contrast",) and place[1:2] != ("pairs",)
            )  # fmt: skip
            raise self._refuse(
                first,
                "contrast: give pairs, or templates with contexts, or answered questions, or "
                "statements with labels, only one",
            )
        if self.statements.given:
            return self.statements.contrast(self.tests, self.lines)
        if self.answers.given:
            return self.answers.contrast(self.tests, self.lines)
        if templated:
            contexts = self.placed if self.are_placed else self.contexts
            return {**self.templates, "contexts": contexts}, ()
        return {"pairs": self.pairs}, ()

    def line_of(self, location: Location) -> int:
        """Line of the longest known prefix of a location."""
        for size in range(len(location), 0, -1):
            if location[:size] in self.lines:
                return self.lines[location[:size]]
        return 1


def read(path: Path, name: str, rows: Iterator[Row]) -> Reading:
    """The trait `name` from the rows of a file."""
    draft = Draft(path, name)
    for line, row in rows:
        draft.add(line, row)
    return draft.reading(name)
