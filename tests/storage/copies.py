"""Copies of a data folder that was made once: a sync of all parts takes longer than most tests."""

import shutil
from pathlib import Path

from steer_assets.storage.database.syncing import signatures
from steer_assets.storage.database.warehouse import connect
from steer_assets.storage.layout import Layout


def copied(source: Layout, root: Path) -> Layout:
    """A copy of a synced data folder that is synced too: the files of a copy have other inodes."""
    layout = Layout(Path(shutil.copytree(source.root, root)))
    found = signatures(layout)
    with connect(layout.database, read_only=False) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO _parts SELECT unnest(?), unnest(?)",
            [list(found), list(found.values())],
        )
    return layout
