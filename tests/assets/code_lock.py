"""What every stage computes with, locked together with its `code_version`.

A stored result is taken for current while the `code_version` of its stage is the same, so code that
a stage uses must not change without it. `code_lock.json` holds, of every stage, its version and a
hash of all definitions (functions, classes, constants) that it reaches by name, from its own
function through `assets` and `resources` into the libraries. A test compares.

After a change of code:

    raise `code_version` in the stages that the test names, then
    python -m tests.assets.code_lock --refresh

Refreshing refuses a stage whose code changed under the same version, unless results stay the same:

    python -m tests.assets.code_lock --refresh --unchanged "why results are the same"

which notes the reason. Docstrings, comments and the modules in which definitions lie are no part of
the hash: a moved or split module changes nothing, and an alias by which a module is called is code.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from steer_assets.paths import PACKAGE
from steer_assets.storage.files.source_code import code_of

LOCK = Path(__file__).with_name("code_lock.json")
ROOMS = (
    "assets", "pipeline", "resources", "lm", "geometry", "scoring", "stats", "parallel_batches"
)  # fmt: skip
#: Modules by their last name that carry a stage out, and say nothing of what it computes.
CARRIERS = {"stage", "dagster_asset", "ui_metadata", "freshness", "column_lineage",
            "failure_messages", "resuming", "progress", "tracking", "processes", "active_study",
            "store", "partitions", "conditions", "orphaned_runs"}  # fmt: skip
#: What stages reach through their run, not by a name of their own.
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
    return parts[0] in ROOMS and parts[-1] not in CARRIERS


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


def current() -> dict[str, tuple[str, dict[str, str]]]:
    """Code version and reached definitions of every stage."""
    import steer_assets.definitions  # noqa: F401 - registers the stages
    from steer_assets.assets import STAGES

    return {
        name: (stage.code_version, reach(stage.make.__module__.partition(".")[2], name))
        for name, stage in sorted(STAGES.items())
    }


def differences(
    lock: dict[str, Any], now: dict[str, tuple[str, dict[str, str]]], *, same_version: bool
) -> dict[str, str]:
    """Stages whose code is not the locked one, with a sentence each; or under the same version."""
    known = set(lock["definitions"].values())
    found = {}
    for name, (version, reached) in now.items():
        locked = lock["stages"].get(name)
        if locked is None:
            if not same_version:
                found[name] = f"{name} is not locked yet: refresh the lock"
            continue
        if locked["digest"] == digest(reached):
            continue
        changed = sorted(key for key, code in reached.items() if code not in known)
        what = ", ".join(changed) or "what it reaches (definitions it no longer uses, or now does)"
        if version == locked["code_version"]:
            found[name] = f"{name}: {what} changed under code_version {version}: raise it"
        elif not same_version:
            found[name] = f"{name}: {what} changed, code_version is raised: refresh the lock"
    return found


def refreshed(
    lock: dict[str, Any], now: dict[str, tuple[str, dict[str, str]]], unchanged: str
) -> dict[str, Any]:
    """The lock of today's code.

    Raises:
        ValueError: code changed under the same version, and nobody says why results are the same.
    """
    wrong = differences(lock, now, same_version=True)
    if wrong and not unchanged:
        raise ValueError("\n".join([*wrong.values(), "or give --unchanged with the reason"]))
    stages = {}
    for name, (version, reached) in now.items():
        before = lock["stages"].get(name, {})
        kept = before.get("unchanged", []) if before.get("code_version") == version else []
        reasons = [*kept, unchanged] if name in wrong else kept
        stages[name] = {"code_version": version, "digest": digest(reached)}
        if reasons:
            stages[name]["unchanged"] = reasons
    every = {key: code for _, reached in now.values() for key, code in reached.items()}
    return {"stages": stages, "definitions": dict(sorted(every.items()))}


def read() -> dict[str, Any]:
    return json.loads(LOCK.read_text()) if LOCK.exists() else {"stages": {}, "definitions": {}}


def main() -> int:
    parser = argparse.ArgumentParser(description="Code of stages against their code_version.")
    parser.add_argument("--refresh", action="store_true", help="lock today's code")
    parser.add_argument("--unchanged", default="", help="why results stay the same")
    asked = parser.parse_args()
    lock, now = read(), current()
    if not asked.refresh:
        wrong = differences(lock, now, same_version=False)
        print("\n".join(wrong.values()) or "the code of every stage is the locked one")
        return bool(wrong)
    try:
        LOCK.write_text(json.dumps(refreshed(lock, now, asked.unchanged), indent=1) + "\n")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
