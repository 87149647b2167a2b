"""`steer serve`: the reports of the data folder in a browser, read-only, on this machine.

Dagster's pages link to reports, and a browser does not follow a `file://` link from a page.
"""

import posixpath
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

from steer_assets.commands import terminal
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout

_LOOPBACK = "127.0.0.1"
_NAMES = {_LOOPBACK, "localhost", "[::1]"}
_INDEX = "index.html"


class ReportHandler(SimpleHTTPRequestHandler):
    """Files below one folder, by GET and HEAD; no listings, no links that lead outside.

    Requests that name another host are refused: a page from elsewhere could otherwise read reports
    through a host name that resolves to this machine.
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A file, or an error."""
        if self._refused():
            return
        super().do_GET()

    def do_HEAD(self) -> None:
        """The headers of a file, or an error."""
        if self._refused():
            return
        super().do_HEAD()

    def end_headers(self) -> None:
        """Adds: no guessing of types, no caching, since reports are made again in place."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """Refuses: a folder is shown by its index page only."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""

    def _refused(self) -> bool:
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        if host not in _NAMES:
            self.send_error(HTTPStatus.FORBIDDEN, "unknown host")
            return True
        root = Path(self.directory).resolve()
        asked = posixpath.normpath(unquote(urlsplit(self.path).path)).lstrip("/")
        try:
            inside = (root / asked).resolve().is_relative_to(root)
        except (OSError, ValueError):
            inside = False
        hidden = any(part.startswith(".") for part in Path(asked).parts if part != ".")
        if not inside or hidden:
            self.send_error(HTTPStatus.NOT_FOUND)
        return not inside or hidden


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of `folder` on the loopback address; port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    return ThreadingHTTPServer((_LOOPBACK, port), partial(ReportHandler, directory=str(folder)))


def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=0, max=65535)] = 3001,
) -> None:
    """Show the reports in a browser, read-only, on this machine alone, until interrupted."""
    folder = Layout(data_folder()).root / "reports"
    try:
        running = server(folder, port)
    except OSError as error:
        raise OSError(f"port {port} cannot be used ({error}); choose another --port") from error
    with running:
        terminal.say(f"reports   http://{_LOOPBACK}:{running.server_port}/{_INDEX}")
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            terminal.say("stopped")
