"""Definitions that a definition reaches by name, through the rooms of stages, with hashes."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from steer_assets.paths import PACKAGE
from steer_assets.storage.files.source_code import code_of

ROOMS = (
    "assets", "pipeline", "resources", "lm", "geometry", "scoring", "stats", "parallel_batches"
)  # fmt: skip
#: Modules of other rooms that affect stored results.
RULES = {"reporting.broken_texts"}
#: Last names of modules that run stages and do not affect their results.
CARRIERS = {"stage", "dagster_asset", "ui_metadata", "freshness", "column_lineage",
            "failure_messages", "resuming", "progress", "tracking", "processes", "active_study",
            "store", "partitions", "conditions", "orphaned_runs"}  # fmt: skip
#: Definitions that stages reach through attributes of their run.
BY_ATTRIBUTE = {"language_model": ("resources.language_models", "LanguageModels")}

#: Calls that a module makes when it is imported, such as the registration of an attention.
AT_IMPORT = "<import>"

Name = tuple[str, str]


@dataclass(frozen=True)
class Source:
    """Top-level definitions of a module, and what its imports of this package name."""

    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, tuple[str, str | None]]


def _file(module: str, root: Path) -> Path | None:
    at = root.joinpath(*module.split("."))
    for path in (at.with_suffix(".py"), at / "__init__.py"):
        if path.is_file():
            return path
    return None


def _names(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        yield AT_IMPORT
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _imports(tree: ast.Module, root: Path) -> Iterator[tuple[str, tuple[str, str | None]]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level:
            continue
        package, _, module = (node.module or "").partition(".")
        if package != PACKAGE.name:
            continue
        for alias in node.names:
            inner = f"{module}.{alias.name}".strip(".")
            is_module = _file(inner, root) is not None
            yield alias.asname or alias.name, (inner, None) if is_module else (module, alias.name)


@cache
def source(module: str, root: Path = PACKAGE) -> Source:
    path = _file(module, root)
    tree = ast.parse(path.read_text("utf-8") if path else "")
    definitions: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        inner = statement.body if isinstance(statement, ast.If) else [statement]
        for one in inner:
            for name in _names(one):
                definitions.setdefault(name, []).append(_bare(one))
    return Source(definitions, dict(_imports(tree, root)))


def _bare(statement: ast.stmt) -> ast.stmt:
    """Without the registration as a stage: its version is compared by itself."""
    if isinstance(statement, ast.FunctionDef):
        statement.decorator_list = [
            d
            for d in statement.decorator_list
            if not (isinstance(d, ast.Call) and getattr(d.func, "id", "") == "stage")
        ]
    return statement


def _in_scope(module: str) -> bool:
    parts = module.split(".")
    return (parts[0] in ROOMS or module in RULES) and parts[-1] not in CARRIERS


def _used(module: str, name: str, root: Path) -> Iterator[Name]:
    """What a definition names: definitions of its own module, imported ones, parts of modules."""
    here = source(module, root)
    if name not in here.definitions and name in here.imports:  # passed on under the same name
        inner, symbol = here.imports[name]
        yield inner, symbol or name
    for statement in here.definitions.get(name, []):
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute):
                if node.attr in BY_ATTRIBUTE:
                    yield BY_ATTRIBUTE[node.attr]
                if isinstance(node.value, ast.Name) and node.value.id in here.imports:
                    inner, symbol = here.imports[node.value.id]
                    if symbol is None:
                        yield inner, node.attr
            # A quoted annotation is a name as well.
            word = node.value if isinstance(node, ast.Constant) else getattr(node, "id", None)
            if not isinstance(word, str):
                continue
            inner, symbol = here.imports.get(word, (module, word))
            if symbol is not None:
                yield inner, symbol


def reach(module: str, name: str, root: Path = PACKAGE) -> dict[str, str]:
    """Hashes of all definitions that one reaches, itself among them, by `module.name`."""
    found: dict[str, str] = {}
    waiting, seen = [(module, name)], set()
    while waiting:
        at = waiting.pop()
        if at in seen or not _in_scope(at[0]):
            continue
        seen.add(at)
        # Names first: hashing changes the tree.
        waiting += _used(*at, root)
        statements = source(at[0], root).definitions.get(at[1])
        if statements:
            waiting.append((at[0], AT_IMPORT))
            parts = [at[1], *_codes(at[0], at[1], root)]
            found[".".join(at)] = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
    return found


@cache
def _codes(module: str, name: str, root: Path) -> tuple[str, ...]:
    return tuple(code_of(deepcopy(one)) for one in source(module, root).definitions[name])


def digest(reached: dict[str, str]) -> str:
    return hashlib.sha256(" ".join(sorted(reached.values())).encode()).hexdigest()[:32]
