"""YAML into validated models, with line numbers in error messages.

The parse nodes give the line of every field, so that a pydantic error location becomes `file:line:
field: what was expected`.
"""

import stat
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.prompt_texts.sentences import LineOf, Location, sentences
from steer_assets.encodings import decoded
from steer_assets.storage.files.file_stamp import Stamp, stamp

Model = TypeVar("Model", bound=BaseModel)
#: The largest built-in file of this kind has 33 kB; parsing takes seconds per MB.
MOST_YAML = 1 << 19
#: Limit for rows and JSON, which parse a thousand times faster.
_MOST_BYTES = 16 << 20
#: Longest number or date: YAML's base-60 integers take quadratic time.
_LONGEST_NUMBER = 100
_QUOTES = "text that looks like one needs quotes"
_NO_ALIAS = "names are not looked up: write out what it stands for, or put the text in quotes"


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


def lines_of(text: str, root: Location) -> LineOf:
    """Line of every location below `root` of a valid JSON text, parsed as YAML; 1 if that fails.

    YAML forbids tabs for indentation. In JSON, blanks outside strings have no meaning and a tab
    inside a string must be escaped, so tabs can be replaced.
    """

    @cache
    def node() -> yaml.Node | None:
        try:
            if len(text) > MOST_YAML:
                return None
            return yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError):
            return None

    return lambda location: _line(node(), (*root, *location))


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that a file of the catalog must not contain."""


class _Loader(yaml.SafeLoader):
    """Rejects, with a line number, constructs that expand a small file or hide part of it."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise _Refused(None, None, f"*{event.anchor}: {_NO_ALIAS}", event.start_mark)
        return super().compose_node(parent, index)

    def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if not node.tag.endswith(":str") and len(node.value) > _LONGEST_NUMBER:
            said = f"file: a number or date of {len(node.value)} characters; {_QUOTES}"
            raise _Refused(None, None, said, node.start_mark)
        return node

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and lines.setdefault(key.value, line) != line:
                said = f"{key.value}: is given twice, first in line {lines[key.value]}"
                raise _Refused(None, None, said, key.start_mark)
        return node


def _load(text: str, path: Path) -> tuple[yaml.Node | None, object]:
    """The nodes of a YAML text, which have line numbers, and its value."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise CatalogError(
            f"{path}:{line}: not valid YAML: the character {chr(error.character)!r} is not allowed"
        ) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        what = "" if isinstance(error, _Refused) else "not valid YAML: "
        raise CatalogError(f"{path}:{line}: {what}{error.problem}") from error
    # for example an impossible date, or unlimited nesting
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"{path}:1: not valid YAML: {error}") from error


def read_text(path: Path, most: int = _MOST_BYTES) -> str:
    """The text of a file; raises CatalogError if it cannot be read, is too large or is not text.

    UTF-8, with or without a byte-order mark, or UTF-16 with one.
    """
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            # reading a pipe would block
            raise CatalogError(f"{path}: cannot be read: it is no file")
        if status.st_size > most:
            raise CatalogError(f"{path}: {status.st_size} bytes; expected {most} at most")
        content = path.read_bytes()
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        text = decoded(content)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CatalogError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from error
    if (zero := text.find("\0")) >= 0:  # for example UTF-16 without its byte-order mark
        line = text.count("\n", 0, zero) + 1
        raise CatalogError(f"{path}:{line}: holds zero bytes; save the file as UTF-8")
    return text


def read(path: Path, model: type[Model], *, key_field: str) -> Model:
    """Read and validate one YAML file, whose name must equal its field `key_field`.

    Raises:
        CatalogError: the file cannot be read, is not YAML, is invalid, or has another name.
    """
    try:
        mark = stamp(path)
    except OSError:
        mark = None  # reading it reports the error
    if mark is None:
        return _read(path, model, key_field)
    entry: Model = _remembered(path, model, key_field, mark)
    return entry


@lru_cache(maxsize=1024)
def _remembered(path: Path, model: type[Model], key_field: str, mark: Stamp) -> Model:
    return _read(path, model, key_field)


def _read(path: Path, model: type[Model], key_field: str) -> Model:
    node, value = _load(read_text(path, MOST_YAML), path)
    try:
        entry = model.model_validate(value)
    except ValidationError as error:
        where = partial(_line, node)
        raise CatalogError(sentences(path, where, error)) from error
    key = getattr(entry, key_field)
    if path.name != f"{key}.yaml":
        raise CatalogError(
            f"{path}:{_line(node, (key_field,))}: {key_field}: is {key!r}, but the file is named "
            f"{path.name}; expected {key}.yaml"
        )
    return entry
