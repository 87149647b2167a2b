"""Code hashes: the syntax tree of a Python source, without parts that cannot change a result.

Docstrings, comments, layout, and the module paths of imports from this package are left out, so
that rewording or moving code does not change the hash.
"""

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

from steer_assets.paths import PACKAGE


class _Plain(ast.NodeTransformer):
    """Removes docstrings and the module paths of this package's own imports."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if node.level or (node.module or "").split(".")[0] == PACKAGE.name:
            node.module, node.level = PACKAGE.name, 0
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            assert isinstance(body, list)
            first = body[0] if body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = body[1:]
        return node


def code_of(node: ast.AST) -> str:
    """Hash of a syntax tree as text, which is more stable across versions; modifies the tree."""
    return hashlib.sha256(ast.unparse(_Plain().visit(node)).encode()).hexdigest()


def code_hash(paths: Iterable[Path]) -> str:
    """Hash of the code of several sources, independent of their paths."""
    found = sorted(code_of(ast.parse(path.read_text("utf-8"))) for path in paths)
    return hashlib.sha256("".join(found).encode()).hexdigest()
