"""Reports in a browser: what is served, and what is not."""

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from steer_assets.commands.serve import server


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    room = tmp_path / "reports"
    (room / "toy").mkdir(parents=True)
    (room / "index.html").write_text("the index")
    (room / "toy" / "formality.html").write_text("one report")
    (room / ".hidden").write_text("hidden")
    (tmp_path / "steer.duckdb").write_text("database")
    (room / "out.html").symlink_to(tmp_path / "steer.duckdb")
    with server(room, 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.server_port
        running.shutdown()
        thread.join()


def _ask(
    port: int, path: str, method: str = "GET", host: str = "127.0.0.1"
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", f"{host}:{port}")
    connection.endheaders()
    return connection.getresponse()


def test_reports_are_shown(port: int) -> None:
    for path in ("/", "/index.html", "/index.html?now#here"):
        answer = _ask(port, path)
        assert (answer.status, answer.read()) == (200, b"the index")
    answer = _ask(port, "/toy/formality.html", host="localhost")
    assert (answer.status, answer.read()) == (200, b"one report")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert _ask(port, "/toy/formality.html", "HEAD").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../steer.duckdb",
        "/%2e%2e/steer.duckdb",
        "/toy/../../steer.duckdb",
        "//..//steer.duckdb",
        "/out.html",
        "/.hidden",
        "/toy/",
        "/toy",
        "/none.html",
        "/%00",
    ],
)
def test_nothing_else_is(port: int, path: str) -> None:
    answer = _ask(port, path)
    assert answer.status in (301, 404)
    assert not {b"database", b"hidden"} & {answer.read()}
    if answer.status == 301:
        assert _ask(port, answer.headers["Location"]).status == 404


def test_another_host_name_and_other_methods_are_refused(port: int) -> None:
    assert _ask(port, "/index.html", host="reports.example").status == 403
    for method in ("POST", "PUT", "DELETE"):
        assert _ask(port, "/index.html", method).status == 501
