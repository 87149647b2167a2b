"""Objects as files of a folder, which hosts may share over a network."""

import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from steer_assets.processes import is_left_over, temporary_beside
from steer_assets.storage.depot.objects import DepotError, Found, MissingObjectError
from steer_assets.storage.files.atomic import fsync


class FolderObjects:
    """An object is a file: written under another name, flushed to the disk, then renamed or linked.

    A link, unlike a rename, fails where there is a file of this name.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def address(self) -> str:
        """The folder."""
        return str(self._root)

    @contextmanager
    def _told(self, name: str) -> Iterator[Path]:
        """The file of an object; errors of the file system become those of a depot."""
        try:
            yield self._root / name
        except FileNotFoundError as error:
            raise MissingObjectError(f"{name} is not in the depot {self.address}") from error
        except OSError as error:
            raise DepotError(f"{name} in the depot {self.address}: {error.strerror}") from error

    @contextmanager
    def _written(self, name: str, write: Callable[[Path], object]) -> Iterator[tuple[Path, Path]]:
        """A temporary file with the content, on the disk, and the file of the object."""
        with self._told(name) as path:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = temporary_beside(path)  # names the process; threads write the same object
            temporary = beside.with_name(f"{beside.name}.{threading.get_ident()}")
            try:
                write(temporary)
                fsync(temporary)
                yield temporary, path
                fsync(path.parent)
            finally:
                temporary.unlink(missing_ok=True)

    def create(self, name: str, content: bytes) -> bool:
        """Write a new object; False if there is one of this name."""
        with self._written(name, lambda path: path.write_bytes(content)) as (temporary, path):
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
        return True

    def put(self, name: str, content: bytes) -> None:
        """Write an object."""
        with self._written(name, lambda path: path.write_bytes(content)) as (temporary, path):
            temporary.replace(path)

    def put_file(self, name: str, path: Path) -> None:
        """Write the content of a file as an object."""
        with self._written(name, lambda copy: shutil.copyfile(path, copy)) as (temporary, target):
            temporary.replace(target)

    def read(self, name: str) -> bytes:
        """The content of an object."""
        with self._told(name) as path:
            return path.read_bytes()

    def fetch(self, name: str, path: Path) -> None:
        """Write the content of an object to a file."""
        with self._told(name) as source:
            shutil.copyfile(source, path)

    def find(self, name: str) -> Found | None:
        """An object by its name."""
        try:
            with self._told(name) as path:
                status = path.stat()
        except MissingObjectError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return Found(name, status.st_size, status.st_mtime)

    def list(self, prefix: str, after: str = "") -> Iterator[Found]:
        """Objects below a folder, by name; what a dead writer left is removed."""
        names, cut = [], len(str(self._root)) + 1
        for place, _, inside in os.walk(self._root / prefix):
            for name in inside:  # strings: a journal has many
                if not name.startswith("."):
                    names.append(f"{place[cut:]}/{name}".lstrip("/"))
                elif is_left_over(path := Path(place, name)):
                    with suppress(OSError):  # of a reader who may not
                        path.unlink(missing_ok=True)
        for name in sorted(names):
            if name > after and (found := self.find(name)) is not None:
                yield found

    def delete(self, name: str) -> None:
        """Remove an object."""
        with self._told(name) as path:
            path.unlink(missing_ok=True)
