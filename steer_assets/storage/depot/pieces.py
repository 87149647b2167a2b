"""Pieces of stages in progress, shared, so that another host can go on where one was killed.

Pieces verify themselves and can be made again. What a depot does not give or take is therefore only
told in the log.
"""

import logging
from pathlib import Path

from steer_assets.storage.depot.depot import Depot
from steer_assets.storage.depot.objects import DepotError, MissingObjectError
from steer_assets.storage.files.atomic import atomic_path

_log = logging.getLogger(__name__)


class SharedPieces:
    """The pieces of one folder of the data folder, as `partial/...` is, in a depot."""

    def __init__(self, depot: Depot, folder: str) -> None:
        self._objects, self._folder = depot.objects, folder

    def take(self, path: Path) -> None:
        """Bring the piece that has the name of `path` to it, if there is one."""
        try:
            with atomic_path(path) as temporary:
                self._objects.fetch(f"{self._folder}/{path.name}", temporary)
        except MissingObjectError:
            return
        except DepotError as error:
            _log.warning(f"made again, if it is there: {error}")

    def give(self, path: Path) -> None:
        """Store a piece."""
        try:
            self._objects.put_file(f"{self._folder}/{path.name}", path)
        except DepotError as error:
            _log.warning(f"a piece is not shared: {error}")

    def clear(self) -> None:
        """Remove all pieces."""
        try:
            for found in list(self._objects.list(f"{self._folder}/")):
                self._objects.delete(found.name)
        except DepotError as error:
            _log.warning(f"pieces are left for `steer gc`: {error}")
