"""MkDocs hook: the cookbook page lists every query of sql/examples, so that none can be forgotten.

A query's leading comment is its description; its file name is its question.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent.parent / "sql" / "examples"
MARK = "<!-- every query of sql/examples -->"


def on_page_markdown(markdown: str, **_context: Any) -> str:
    """Replace the mark in the cookbook page by one section per query, and links to the files."""
    markdown = re.sub(r"\]\((?:\.\./)+sql/examples/(\w+)\.sql\)", _anchor, markdown)
    return markdown.replace(MARK, "\n\n".join(map(_section, sorted(EXAMPLES.glob("*.sql")))))


def _anchor(link: re.Match[str]) -> str:
    return f"](#{link[1].replace('_', '-')})"


def _section(path: Path) -> str:
    question = path.stem.replace("_", " ").capitalize() + "?"
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines if line.startswith("--")]
    about = " ".join(line.lstrip("- ") for line in comments)
    query = "\n".join(line for line in lines if not line.startswith("--"))
    command = f"steer sql --file sql/examples/{path.name}"
    return f"## {question}\n\n{about}\n\n```sql\n{query}\n```\n\n```bash\n{command}\n```"
