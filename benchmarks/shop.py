"""The parts that the benchmarks share: an application, a real sandbox that counts its requests, a wallet."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks.table import BenchmarkError
from taler_paywall.asgi import ASGIApp, PaywallMiddleware, Receive, Scope, Send
from taler_paywall.sandbox.backend import DEFAULT_INSTANCE, Backend
from taler_paywall.sandbox.process import listen
from taler_paywall.sandbox.server import create_app
from taler_paywall.sandbox.state.database import Database
from taler_paywall.sandbox.wallet.purse import open_purse
from taler_paywall.sandbox.wallet.wallet import Wallet, http_client
from taler_paywall.settings import RuleList

SITE = "http://127.0.0.1:8000"
TOKEN = "secret-token:bench"
KEY = "a key for benchmarks only: 0123456789abcdef"
BODY = b"x" * 1000

Cookies = dict[bytes, bytes]


async def application(_: Scope, __: Receive, send: Send) -> None:
    """Answer like a small view: two headers and 1,000 bytes."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


@dataclass
class Sandbox:
    """A sandbox behind real HTTP that counts what it is asked.

    Args:
        url: its base URL.
        requests: methods and paths, in their order.
        pace: how long it thinks about each request, in seconds.
    """

    url: str
    requests: list[str] = field(default_factory=list)
    pace: float = 0.0

    @contextlib.contextmanager
    def unasked(self) -> Iterator[None]:
        """Measure without the backend.

        Raises:
            BenchmarkError: it was asked all the same.
        """
        before = len(self.requests)
        yield
        if asked := self.requests[before:]:
            raise BenchmarkError(f"the backend was asked during the measurement: {asked[:3]}")

    def paywalled(self, rules: RuleList, **options: Any) -> PaywallMiddleware:
        """Return the application behind a paywall with this backend."""
        return PaywallMiddleware(
            application, rules, backend=self.url, token=TOKEN, secret_key=KEY, public_url=SITE, **options
        )


@contextlib.contextmanager
def running_sandbox() -> Iterator[Sandbox]:
    """Run a sandbox in a thread, on a free port of 127.0.0.1."""
    with contextlib.closing(listen("127.0.0.1", 0)) as listener, contextlib.closing(Database(None)) as database:
        sandbox = Sandbox(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        backend = create_app(Backend(database, currency="KUDOS", tokens={DEFAULT_INSTANCE: TOKEN}))

        async def counting(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                sandbox.requests.append(f"{scope['method']} {scope['path']}")
                if sandbox.pace:
                    await asyncio.sleep(sandbox.pace)
            await backend(scope, receive, send)

        server = uvicorn.Server(uvicorn.Config(counting, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield sandbox
        finally:
            server.should_exit = True
            thread.join()


@dataclass
class Answer:
    """What a request got: status and headers."""

    status: int
    headers: list[tuple[bytes, bytes]]

    @property
    def location(self) -> str:
        """Where it leads to."""
        return dict(self.headers)[b"location"].decode()


async def nothing() -> MutableMapping[str, Any]:
    """Return the body of a request without one."""
    return {"type": "http.request", "body": b"", "more_body": False}


def scope_of(path: str, cookies: Cookies | None = None) -> Scope:
    """Return the scope of a browser's navigation, as uvicorn makes it."""
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (b"accept-language", b"en-US,en;q=0.5"),
        (b"accept-encoding", b"gzip, deflate, br"),
        (b"connection", b"keep-alive"),
        (b"sec-fetch-dest", b"document"),
        (b"sec-fetch-mode", b"navigate"),
        (b"sec-fetch-site", b"none"),
    ]
    if cookies:
        headers.append((b"cookie", b"; ".join(b"%s=%s" % pair for pair in cookies.items())))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 40_000),
        "server": ("127.0.0.1", 8000),
    }


async def ask(app: ASGIApp, scope: Scope) -> Answer:
    """Request once."""
    messages: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    await app(scope, nothing, send)
    return Answer(messages[0]["status"], list(messages[0]["headers"]))


async def visit(app: ASGIApp, path: str, cookies: Cookies) -> Answer:
    """Request a path as a browser that keeps its cookies."""
    answer = await ask(app, scope_of(path, cookies))
    for name, value in answer.headers:
        if name == b"set-cookie":
            key, _, rest = value.partition(b"=")
            cookies[key] = rest.partition(b";")[0]
    return answer


async def buy(app: ASGIApp, path: str, cookies: Cookies) -> None:
    """Visit a path, and pay what is asked for with a new wallet."""
    asked = await visit(app, path, cookies)
    await pay(asked.location)


async def pay(url: str) -> None:
    """Pay the order of this status URL with a new wallet."""
    with tempfile.TemporaryDirectory() as directory:
        purse, connection = open_purse(Path(directory) / "wallet.sqlite")
        with contextlib.closing(connection):
            async with http_client() as client:
                await Wallet(purse, client).pay(url)
