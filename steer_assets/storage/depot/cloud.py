"""Objects of S3, or of another store that obstore knows; part of the extra `cluster`.

Credentials, region and endpoint come from the environment, as in `AWS_ACCESS_KEY_ID` and
`AWS_ENDPOINT_URL`. The client is not safe to use in a forked process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from steer_assets.storage.depot.objects import DepotError, Found, MissingObjectError

#: How long a request is repeated while the server does not answer.
_PATIENCE = timedelta(minutes=3)
_CHUNK = 1 << 23


class CloudObjects:
    """Objects at an address such as `s3://bucket/folder`."""

    def __init__(self, address: str) -> None:
        try:
            import obstore
            from obstore.store import from_url
        except ImportError as error:
            raise DepotError(
                f"the depot {address} needs obstore: pip install -e '.[cluster]'"
            ) from error
        self.address = address
        self._client = obstore
        plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        self._store: Any = from_url(
            address,
            client_options={"allow_http": plain},
            retry_config={"max_retries": 10_000, "retry_timeout": _PATIENCE},
        )

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Errors of the client become those of a depot."""
        errors = self._client.exceptions
        try:
            yield
        except (errors.NotFoundError, FileNotFoundError) as error:
            raise MissingObjectError(f"{name} is not in the depot {self.address}") from error
        except (errors.BaseError, OSError) as error:
            why = str(error).splitlines()[0]
            raise DepotError(f"{name} in the depot {self.address}: {why}") from error

    def create(self, name: str, content: bytes) -> bool:
        """Write a new object; False if there is one of this name."""
        with self._told(name):
            try:
                self._client.put(self._store, name, content, mode="create", use_multipart=False)
            except self._client.exceptions.AlreadyExistsError:
                return False
        return True

    def put(self, name: str, content: bytes) -> None:
        """Write an object."""
        with self._told(name):
            self._client.put(self._store, name, content)

    def put_file(self, name: str, path: Path) -> None:
        """Write the content of a file as an object, in several parts where it is large."""
        with self._told(name):
            self._client.put(self._store, name, path, chunk_size=_CHUNK)

    def read(self, name: str) -> bytes:
        """The content of an object."""
        with self._told(name):
            return bytes(self._client.get(self._store, name).bytes())

    def fetch(self, name: str, path: Path) -> None:
        """Write the content of an object to a file."""
        with self._told(name), path.open("wb") as file:
            for chunk in self._client.get(self._store, name).stream(min_chunk_size=_CHUNK):
                file.write(chunk)

    def find(self, name: str) -> Found | None:
        """An object by its name."""
        try:
            with self._told(name):
                return _found(self._client.head(self._store, name))
        except MissingObjectError:
            return None

    def list(self, prefix: str, after: str = "") -> Iterator[Found]:
        """Objects below a folder, by name."""
        with self._told(prefix):
            for some in self._client.list(self._store, prefix, offset=after or None):
                yield from map(_found, some)

    def delete(self, name: str) -> None:
        """Remove an object."""
        with self._told(name):
            self._client.delete(self._store, name)


def _found(about: Any) -> Found:
    return Found(about["path"], about["size"], about["last_modified"].timestamp())
