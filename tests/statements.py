"""SQL statements that a block of code sends to any database of Dagster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Pool, event


@dataclass
class Cost:
    """What a block took; `cpu` are seconds of this process, `kinds` statements by first words."""

    seconds: float = 0.0
    cpu: float = 0.0
    statements: int = 0
    connections: int = 0
    kinds: dict[str, int] = field(default_factory=dict)


@contextmanager
def counted() -> Iterator[Cost]:
    """Statements that SQLAlchemy sends within the block, from every thread."""
    cost = Cost()

    def count(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        words = statement.split()
        of = words[words.index("FROM") + 1 :] if "FROM" in words else words[2:]
        kind = " ".join([words[0], *of[:1]])
        cost.statements += 1
        cost.kinds[kind] = cost.kinds.get(kind, 0) + 1

    def connect(*_: Any) -> None:
        cost.connections += 1

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Pool, "connect", connect)
    began, worked = time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - began
        cost.cpu = time.process_time() - worked
        event.remove(Engine, "before_cursor_execute", count)
        event.remove(Pool, "connect", connect)
