"""A visit asks the backend several times, and ends in time all the same."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from running import SECRET_KEY

from taler_paywall import asgi, transport, wsgi
from taler_paywall.settings import Options
from taler_paywall.testing.client import serving

SECONDS = 2.0
#: One answer comes in time, a second one does not.
PACE = 0.6 * SECONDS
SLACK = 3
SITE = "https://news.example"


class Slow(BaseHTTPRequestHandler):
    """A backend that thinks for a while, has the order already, and then does not know the token."""

    over = Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(409, b'{"code": 2503, "hint": "exists"}')

    def do_GET(self) -> None:
        self.answer(401, b'{"code": 40, "hint": "unauthorized"}')

    def answer(self, status: int, body: bytes) -> None:
        self.over.wait(PACE)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def slow() -> Iterator[str]:
    """Run that backend, and return its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def unreachable(*_: Any) -> Any:
    raise AssertionError("the application was called")


async def never(scope: Any, receive: Any, send: Any) -> None:
    unreachable()


@pytest.mark.parametrize("adapter", [asgi, wsgi], ids=["asgi", "wsgi"])
def test_a_visit_ends_in_time(
    adapter: Any, slow: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Several slow answers have the time of one visit together: the last is not waited for."""
    monkeypatch.setattr(adapter, "TOTAL_TIMEOUT", SECONDS)
    monkeypatch.setattr(transport, "ENOUGH", SECONDS / 5)
    options: Options = {"backend": slow, "token": "secret-token:x", "secret_key": SECRET_KEY, "public_url": SITE}
    site = adapter.PaywallMiddleware(never if adapter is asgi else unreachable, {"/paid": "KUDOS:1"}, **options)
    with serving(site) as served, httpx.Client(base_url=SITE, transport=served) as client:
        started = time.monotonic()
        with caplog.at_level(logging.WARNING, "taler_paywall"):
            assert client.get("/paid").status_code == 503
        assert PACE < time.monotonic() - started < SLACK * SECONDS
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("unknown reason=backend-unreachable resource='/paid' ")
