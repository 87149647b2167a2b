"""Changes of one table that are in the journal, and what a sync reads to find them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from steer_assets.storage import journal
from steer_assets.storage.database.warehouse import query
from steer_assets.storage.layout import Layout
from tests.storage import synthetic
from tests.storage.rows import FORMALITY, TABLE


def part(layout: Layout, key: dict[str, str] = FORMALITY) -> str:
    return layout.relative(layout.part(TABLE, key))


def write(layout: Layout, key: dict[str, str] = FORMALITY, *, score: float) -> str:
    with journal.changing(layout, [part(layout, key)]):
        return synthetic.write(layout, TABLE, key, {"score": score})


def scores(layout: Layout) -> list[float]:
    return query(layout, f"SELECT score FROM {TABLE} ORDER BY trait").to_series().to_list()


@contextmanager
def read_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Folders of tables that are listed within the block."""
    seen, plain = [], os.scandir

    def scandir(path: str = ".") -> object:
        if "/tables" in str(path):
            seen.append(str(path))
        return plain(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        yield seen
