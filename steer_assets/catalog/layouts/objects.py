"""Traits from one JSON object: the format of the published experiments, and persona vectors.

**Published**: `{"persona_prompts": {trait: {"contexts": [...], "positive_template": ...,
"negative_template": ...}}}`, any number of traits; a trait may also have `test`, by environment.
Without it, test prompts are made from its contexts with a neutral template (`NEUTRAL`).

**Persona vectors** (Chen et al. 2025, arXiv 2507.21509): `{"instruction": [{"pos": ..., "neg":
...}], "questions": [...], "eval_prompt": ...}`. Instructions become system turns before the
questions; every second question is held out of the contrast and becomes a test prompt without a
system turn.
"""

from pathlib import Path
from typing import Any

from steer_assets.catalog import yaml_files
from steer_assets.catalog.errors import CatalogError, UnknownNameError
from steer_assets.catalog.layouts import heldout
from steer_assets.catalog.layouts.reading import Reading, validated, whole
from steer_assets.catalog.prompt_texts.contrasts import PLACEHOLDER
from steer_assets.catalog.prompt_texts.sentences import LineOf, Location

#: Template that turns a context into a test prompt where a published file has none.
NEUTRAL = f"Write two or three sentences about this: {PLACEHOLDER}"
PUBLISHED = "persona_prompts"
INSTRUCTION = "instruction"
_TEMPLATES = ("positive_template", "negative_template")
_PERSONA_FIELDS = (INSTRUCTION, "questions", "eval_prompt", "test")


def own_words(text: str) -> str:
    """A test prompt without the text that `NEUTRAL` adds to it."""
    return text.removeprefix(NEUTRAL.removesuffix(PLACEHOLDER))


def names(value: object) -> list[str] | None:
    """Traits that a published value defines; None if it is not of that layout."""
    traits = value.get(PUBLISHED) if isinstance(value, dict) else None
    return list(traits) if isinstance(traits, dict) else None


def read(path: Path, name: str, text: str, value: object) -> Reading:
    """The trait `name` of an object.

    Raises:
        CatalogError: it is of neither layout, or is invalid.
    """
    if isinstance(value, dict) and INSTRUCTION in value:
        return _persona_vectors(path, name, text, value)
    traits = value.get(PUBLISHED) if isinstance(value, dict) else None
    if not isinstance(traits, dict) or not traits:
        raise CatalogError(
            f'{path}:1: {PUBLISHED}: expected {{"{PUBLISHED}": {{trait: ...}}}}, '
            f'{{"{INSTRUCTION}": [...], "questions": [...]}} or a list of rows'
        )
    if name not in traits:
        raise UnknownNameError(f"trait of {path.name}", name, traits)
    return _published(path, name, text, traits[name])


def _refuse_unknown(
    path: Path, line_of: LineOf, value: dict[str, Any], known: tuple[str, ...]
) -> None:
    for field in value:
        if field not in known:
            raise CatalogError(
                f"{path}:{line_of((field,))}: {field}: unknown field; known: {', '.join(known)}"
            )


def _published(path: Path, name: str, text: str, entry: object) -> Reading:
    line_of = yaml_files.lines_of(text, (PUBLISHED, name))
    if not isinstance(entry, dict):
        raise CatalogError(f"{path}:{line_of(())}: {name}: expected templates and contexts")
    known = ("contexts", *_TEMPLATES, "test")
    _refuse_unknown(path, line_of, entry, known)
    contrast = {field: entry[field] for field in known[:3] if field in entry}
    notes: tuple[str, ...] = ()
    if "test" not in entry:
        notes = (f'{name} has no "test" prompts: its contexts are asked about as {NEUTRAL!r}',)
    value = whole(
        name,
        f"From {path.name}, in the layout of the published experiments.",
        contrast,
        entry["test"] if "test" in entry else _neutral(contrast.get("contexts")),
    )

    def where(location: Location) -> int:
        # The contrast's fields are at the top level of a published entry.
        return line_of(location[1:] if location[:1] == ("contrast",) else location)

    return validated(path, value, notes, where)


def _neutral(contexts: object) -> dict[str, list[str]]:
    lists = contexts if isinstance(contexts, dict) else {"in_distribution": contexts}
    asked = {
        str(environment): [
            NEUTRAL.replace(PLACEHOLDER, text) for text in texts if isinstance(text, str)
        ]
        for environment, texts in lists.items()
        if isinstance(texts, list)
    }
    return {"in_distribution": [NEUTRAL], **{name: given for name, given in asked.items() if given}}


def _persona_vectors(path: Path, name: str, text: str, value: dict[str, Any]) -> Reading:
    line_of = yaml_files.lines_of(text, ())
    _refuse_unknown(path, line_of, value, _PERSONA_FIELDS)
    given, questions = value[INSTRUCTION], value.get("questions")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise CatalogError(f'{path}:{line_of((INSTRUCTION,))}: {INSTRUCTION}: expected a list of '
                           '{"pos": ..., "neg": ...}')  # fmt: skip
    if not isinstance(questions, list):
        raise CatalogError(f"{path}:{line_of(('questions',))}: questions: expected a list of texts")
    numbered = list(enumerate(questions))
    fewest = 1 if len(given) > 1 else 2
    kept, held_out = (numbered, []) if "test" in value else heldout.split(numbered, fewest)
    if not held_out and "test" not in value:
        raise CatalogError(
            f"{path}:{line_of(('questions',))}: questions: {len(questions)} are too few to keep "
            f'one as a test prompt; expected {fewest + 1} at least, or "test"'
        )
    instructions = [_renamed(path, line_of((INSTRUCTION, n)), one) for n, one in enumerate(given)]
    whole_value = whole(
        name,
        f"From {path.name}, in the layout of persona vectors.",
        {"instructions": instructions, "questions": [question for _, question in kept]},
        value.get("test", {"in_distribution": [question for _, question in held_out]}),
    )
    notes = [
        f"{len(instructions)} instruction pairs are system turns before {len(kept)} questions: "
        f"{len(instructions) * len(kept)} contrast pairs"
    ]
    if held_out:
        notes.append(f"{len(held_out)} other questions are test prompts, without a system turn")
    if "eval_prompt" in value:
        whole_value["evaluation"] = value["eval_prompt"]
        notes.append("the evaluation prompt is kept as `evaluation`; no scorer asks it")

    def where(location: Location) -> int:
        match location:
            case ("contrast", "questions", int(number)):
                return line_of(("questions", kept[number][0]))
            case ("test", "in_distribution", int(number)) if held_out:
                return line_of(("questions", held_out[number][0]))
            case ("contrast", "instructions", *rest):
                names = {"positive": "pos", "negative": "neg"}
                return line_of((INSTRUCTION, *(names.get(str(step), step) for step in rest)))
            case ("evaluation",):
                return line_of(("eval_prompt",))
        return line_of(location[1:] if location[:1] == ("contrast",) else location)

    _refuse_repeated_questions(path, line_of, questions)
    return validated(path, whole_value, tuple(notes), where)


def _renamed(path: Path, line: int, one: dict[str, Any]) -> dict[str, Any]:
    if set(one) != {"pos", "neg"}:
        raise CatalogError(
            f'{path}:{line}: {INSTRUCTION}: expected {{"pos": ..., "neg": ...}}, '
            f"found the fields {', '.join(one) or 'none'}"
        )
    return {"positive": one["pos"], "negative": one["neg"]}


def _refuse_repeated_questions(path: Path, line_of: LineOf, questions: list[Any]) -> None:
    """Raise an error for a question that is both a context and a test."""
    first: dict[str, int] = {}
    for number, question in enumerate(questions):
        before = first.setdefault(str(question).casefold(), number)
        if before != number:
            raise CatalogError(
                f"{path}:{line_of(('questions', number))}: questions.{number}: is the same as in "
                f"line {line_of(('questions', before))}: {question!r}"
            )
