"""What a depot needs of an object store, and its errors."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class DepotError(RuntimeError):
    """The depot cannot do what was asked; the message names the object."""


class UnusableObjectError(DepotError):
    """An object that is not there, or not what it should be: trying again does not help."""


class MissingObjectError(UnusableObjectError):
    """There is no object of this name."""


class DamagedObjectError(UnusableObjectError):
    """The content of an object is not what its name or its record says."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object: its name, its size, and when it was written, in seconds since the epoch."""

    name: str
    bytes: int
    written: float


class Objects(Protocol):
    """Named objects that are whole or absent. Names are relative, with `/` between their parts.

    Every method raises DepotError where the store does not answer or refuses.
    """

    @property
    def address(self) -> str:
        """Where the objects are, for messages."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a new object; False, with nothing changed, if there is one of this name."""

    def put(self, name: str, content: bytes) -> None:
        """Write an object, in place of one of this name."""

    def put_file(self, name: str, path: Path) -> None:
        """Write the content of a file as an object, in place of one of this name."""

    def read(self, name: str) -> bytes:
        """The content of a small object; raises MissingObjectError."""

    def fetch(self, name: str, path: Path) -> None:
        """Write the content of an object to a file; raises MissingObjectError."""

    def find(self, name: str) -> Found | None:
        """An object by its name."""

    def list(self, prefix: str, after: str = "") -> Iterator[Found]:
        """Objects below the folder `prefix`, by name, from the first name greater than `after`."""

    def delete(self, name: str) -> None:
        """Remove an object, if there is one."""
