"""A site in this process behind either adapter, in front of a backend that need not be honest."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
import trustme
from anyio.from_thread import BlockingPortal, start_blocking_portal
from conformance.wsgi_calls import call
from core.test_transport_time import full_port
from msgspec.structs import replace
from running import TOKEN, free_port

from taler_paywall import asgi, wsgi
from taler_paywall.resource import Rule

from .corpus import Attack, Jar, Request, asgi_scope, render, wsgi_environ
from .hostile import PUBLIC, Books, Hostile
from .scenarios import SCENARIOS

SITE: Final = "https://t.test"
OLD, NEW, REMOVED = (f"the {age} key, which is as long as it has to be" for age in ("old", "new", "removed"))
SECRET: Final = b"SECRET that costs money"
Adapter = Literal["asgi", "wsgi"]
ADAPTERS: Final[tuple[Adapter, ...]] = ("asgi", "wsgi")
both: Final = pytest.mark.parametrize("adapter", ADAPTERS)
#: What the application says of its pages, and what only readers who have paid may hear.
HEADERS: Final = (
    ("Content-Type", "text/plain"),
    ("Cache-Control", "public, max-age=3600, s-maxage=3600"),
    ("CDN-Cache-Control", "max-age=600"),
    ("Cloudflare-CDN-Cache-Control", "max-age=600"),
    ("Surrogate-Control", "max-age=600"),
    ("ETag", '"v1"'),
    ("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT"),
)


def rules(price: str = "EUR:1") -> list[Rule]:
    return [
        Rule("POST /article", "EUR:2", page="/"),
        Rule("/article", price),
        Rule("/premium/{name}/*", price),
        Rule("/search", price, query=["id"]),
    ]


async def _asgi_app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": SECRET})


def _wsgi_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", list(HEADERS))
    return [SECRET]


@dataclass(frozen=True)
class Answer:
    """What a client sees; header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str:
        return ", ".join(self.all(name))

    @property
    def granted(self) -> bool:
        """Whether it holds what costs money, or gives it away by what is said of it."""
        return SECRET in self.body or bool(self.all("etag") or self.all("last-modified"))

    @property
    def cookies(self) -> str:
        """The cookies that it sets, as a browser sends them back."""
        return "; ".join(value.partition(";")[0] for value in self.all("set-cookie") if "Max-Age=0" not in value)


class Shop:
    """The site: it serves the secret at every address to whoever comes through.

    Args:
        adapter: that the paywall is.
        backend: its address.
        portal: where an event loop runs.
        price: of everything but a POST.
        options: other than the usual.
    """

    def __init__(
        self, adapter: Adapter, backend: str, portal: BlockingPortal, price: str = "EUR:1", **options: Any
    ) -> None:
        usual: dict[str, Any] = {
            "backend": backend,
            "backend_public_url": PUBLIC,
            "token": TOKEN,
            "secret_key": OLD,
            "public_url": SITE,
        }
        self._portal = portal
        self._adapter: Adapter = adapter
        self._backend = backend
        self._asgi = self._wsgi = None
        if adapter == "asgi":
            self._asgi = asgi.PaywallMiddleware(_asgi_app, rules(price), **usual | options)
        else:
            self._wsgi = wsgi.PaywallMiddleware(_wsgi_app, rules(price), **usual | options)

    def close(self) -> None:
        if self._asgi:
            self._portal.call(self._asgi.aclose)
        if self._wsgi:
            self._wsgi.close()

    @contextmanager
    def twin(self, **options: Any) -> Iterator[Shop]:
        """Open another worker of the site, which remembers nothing."""
        with closing(Shop(self._adapter, self._backend, self._portal, **options)) as shop:
            yield shop

    def send(self, attack: Attack) -> Answer:
        """Ask as an entry of the corpus says, whose cookies have been made."""
        if self._asgi:
            return self._portal.call(_answer_of, self._asgi, asgi_scope(attack, "httptools"), attack)
        assert self._wsgi
        answer = call(self._wsgi, wsgi_environ(attack, "httptools", raw=True))
        headers = tuple((name.lower(), value) for name, value in answer.started[-1][1])
        return Answer(answer.status, headers, b"".join(answer.pieces))

    def visit(self, path: str, cookies: str | bytes = "", **headers: str) -> Answer:
        """Ask for a page as a program does."""
        return self.send(visiting(path, cookies, **headers))


def visiting(path: str, cookies: str | bytes = "", method: str = "GET", body: str = "", **headers: str) -> Attack:
    """Return the request of a program for a page."""
    pairs = {"Accept": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    if cookies:
        pairs["Cookie"] = cookies if isinstance(cookies, str) else cookies.decode("latin-1")
    request = Request(method, path, tuple(pairs.items()), body)
    return Attack("", "", "", request, path, "", "")


async def _answer_of(app: asgi.PaywallMiddleware, scope: asgi.Scope, attack: Attack) -> Answer:
    sent: list[asgi.Message] = []

    async def receive() -> asgi.Message:
        return {"type": "http.request", "body": attack.request.body.encode("latin-1"), "more_body": False}

    async def send(message: asgi.Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start["headers"])
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest))


@contextmanager
def address(books: Books) -> Iterator[str]:
    """Return where the site looks for a backend that plays the books' scenario."""
    match books.scenario:
        case "conn_refused" | "breaker_open":
            yield f"http://127.0.0.1:{free_port()}/"
        case "dns_fail":
            yield "http://backend.invalid/"
        case "connect_hang":
            with full_port() as port:
                yield f"http://127.0.0.1:{port}/"
        case "tls_bad":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
            with Hostile(books, tls) as backend:
                yield backend.url
        case _:
            with Hostile(books) as backend:
                yield backend.url


@contextmanager
def serving(adapter: Adapter, backend: str, **options: Any) -> Iterator[Shop]:
    """Open a site that has never been asked, in front of a backend."""
    with start_blocking_portal() as portal, closing(Shop(adapter, backend, portal, **options)) as shop:
        yield shop


@contextmanager
def opened(adapter: Adapter, scenario: str = "paid", **options: Any) -> Iterator[tuple[Shop, Books]]:
    """Open a site and a backend of its own, which plays a scenario."""
    books = Books(SCENARIOS, scenario)
    with address(books) as url, serving(adapter, url, **options) as shop:
        yield shop, books


def rendered(attack: Attack, jar: Jar) -> Attack:
    """Return an entry whose cookies have been made."""
    headers = tuple((name, render(value, jar)) for name, value in attack.request.headers)
    return replace(attack, request=replace(attack.request, path=render(attack.request.path, jar), headers=headers))


def check(answer: Answer, planted: str = "") -> None:
    """Look at what is true of every answer: who gets the secret, what caches may keep, and how cookies are set."""
    assert answer.granted == (answer.status == 200)
    directives = {part.strip() for part in answer.header("cache-control").split(",")}
    assert "private" in directives if answer.granted else directives == {"no-store"}
    assert not directives & {"public", "s-maxage=3600"}
    assert not [name for name, _ in answer.headers if name.endswith(("cdn-cache-control", "surrogate-control"))]
    # Only an address that means several things is refused before any cookie is read.
    assert "cookie" in answer.header("vary").lower() or answer.status == 400
    assert all(value.isprintable() for _, value in answer.headers)
    for cookie in answer.all("set-cookie"):
        assert cookie.startswith("__Host-")
        assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(cookie.split("; "))
    if answer.status == 503:
        assert answer.header("retry-after")
        told = {name for name, _ in answer.headers} & {"location", "taler", "link", "set-cookie"}
        assert not told
        # Shorter ones stand in any text.
        assert len(planted) < 8 or planted not in answer.body.decode()
