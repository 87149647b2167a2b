"""YAML into validated models, with errors that point at a line.

The safe loader builds the value; the same text composed into nodes gives the line of every field,
so that a pydantic error location becomes `file:line: field: what was expected`.
"""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from steer_assets.catalog.errors import CatalogError

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[int | str, ...]


def _line(node: yaml.Node | None, location: Location) -> int:
    """1-based line of the deepest node that exists along `location`."""
    line = 1
    for step in location:
        if node is None:
            break
        line = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step] if step < len(node.value) else None
        else:
            break
    return node.start_mark.line + 1 if node is not None else line


def _sentence(path: Path, node: yaml.Node | None, error: ValidationError) -> str:
    lines = []
    for detail in error.errors():
        location = detail["loc"]
        field = ".".join(str(step) for step in location) or "file"
        lines.append(f"{path}:{_line(node, location)}: {field}: {detail['msg']}")
    return "\n".join(lines)


def parse(text: str, model: type[Model], path: Path) -> Model:
    """Validate YAML `text` as `model`; `path` is for messages.

    Raises:
        CatalogError: the text is not YAML, or does not fit.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or str(error)
        raise CatalogError(f"{path}:{line}: not valid YAML: {problem}") from error
    except (ValueError, RecursionError) as error:  # e.g. an impossible date, or bottomless nesting
        raise CatalogError(f"{path}:1: not valid YAML: {error}") from error
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise CatalogError(_sentence(path, node, error)) from error


def read(path: Path, model: type[Model]) -> Model:
    """Read and validate one YAML file.

    Raises:
        CatalogError: the file cannot be read, is not YAML, or does not fit.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path}: cannot be read: {error}") from error
    return parse(text, model, path)
