"""Microseconds that one request takes longer than the bare application, in process and without a server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIEnvironment

import msgspec

from benchmarks import gate
from benchmarks.fresh import Way, asgi, compare, message, wsgi
from benchmarks.shop import BODY, KEY, SITE, TOKEN, Cookies, Sandbox, application, buy, visit
from benchmarks.table import BenchmarkError, Limit, Row
from taler_paywall import Rule
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.async_transport import AsyncHttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.gate import MAX_KNOWN
from taler_paywall.operations import BackendRequest, BackendResponse
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywallMiddleware

RULES: Final = {"/articles/{slug}/*": "KUDOS:0.5"}
#: How many articles are asked for, each by a reader who has bought it, and how many pages of each.
READERS, PAGES = 12, 16
FREE: Final = [message(f"/about/the-paper-{number}") for number in range(200)]
FREE_BESIDE: Final = [message(f"/section/the-paper-{number}") for number in range(200)]
BARE, BARE_WSGI = "bare application", "bare WSGI application"
FREE_LIMIT, THOUSAND_LIMIT, PAID_LIMIT = Limit("added", 2.0), Limit("added", 4.0), Limit("added", 15.0)

Readers = Mapping[str, Cookies]


def measure(sandbox: Sandbox) -> Iterator[Row]:
    """Measure every kind of request that has an answer without a call of the backend over the network."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        yield from free_paths(loop, sandbox)
        readers = loop.run_until_complete(customers(sandbox, paying=True))
        visitors = loop.run_until_complete(customers(sandbox, paying=False))
        yield from paid_path(loop, sandbox, readers)
        yield from through_wsgi(sandbox, readers)
        yield from recorded(loop, sandbox, readers, visitors)
        yield from without_order(loop, sandbox, visitors)
        yield from gate.measure(loop, sandbox)


def free_paths(loop: asyncio.AbstractEventLoop, sandbox: Sandbox) -> Iterator[Row]:
    """Measure what is not sold, beside more and more rules."""
    ways = {BARE: asgi(loop, application, FREE)}
    limits: dict[str, Limit] = {}
    for count in (1, 100, 1_000, 10_000):
        rules = f"{count:,} template rule{'s' if count > 1 else ''}"
        ways[f"free path, {rules}"] = asgi(loop, sandbox.paywalled(templates("/section-{}", count)), FREE)
        beside = asgi(loop, sandbox.paywalled(templates("/section/topic-{}", count)), FREE_BESIDE)
        ways[f"free path in a section with {rules}"] = beside
        limit = {1: FREE_LIMIT, 1_000: THOUSAND_LIMIT}.get(count)
        limits |= dict.fromkeys(list(ways)[-2:], limit) if limit else {}
    patterns = [re.compile(rf"/archive-{number}/(?P<year>[0-9]{{4}})/[a-z]+") for number in range(100)]
    expressions = [Rule(pattern, "KUDOS:0.5", page="/archive") for pattern in patterns]
    ways["free path, 100 regular expressions"] = asgi(loop, sandbox.paywalled(expressions), FREE)
    yield from compare("a", ways, limits)


def templates(prefix: str, count: int) -> list[Rule]:
    """Return so many rules, told apart by the number in their prefix."""
    return [Rule(f"{prefix.format(number)}/{{slug}}/*", "KUDOS:0.5") for number in range(count)]


async def customers(sandbox: Sandbox, *, paying: bool) -> Readers:
    """Return the cookies of readers, each of whom wants an article of its own, and has bought it or has not."""
    app = sandbox.paywalled(RULES)
    readers: dict[str, Cookies] = {}
    for number in range(READERS):
        path, cookies = f"/articles/{'paid' if paying else 'wanted'}-{number}", Cookies()
        await (buy if paying else visit)(app, path, cookies)
        # The first visit after paying marks the order as read.
        await visit(app, path, cookies)
        readers[path] = cookies
    await app.aclose()
    return readers


def asked_by(readers: Readers, foreign: Cookies | None = None, pages: int = PAGES, **headers: bytes) -> list[bytes]:
    """Return what readers ask for: several pages of their articles, with their cookies behind foreign ones."""
    return [
        message(f"{path}/page-{page}", {**(foreign or {}), **cookies}, **headers)
        for page in range(pages)
        for path, cookies in readers.items()
    ]


def paid_path(loop: asyncio.AbstractEventLoop, sandbox: Sandbox, readers: Readers) -> Iterator[Row]:
    """Measure what was bought, when the payment is remembered."""
    paid, other = (sandbox.paywalled(RULES, recheck_after=3600) for _ in range(2))
    foreign = {b"foreign_%d" % number: b"x" * 100 for number in range(72)}
    asked, loaded = asked_by(readers), asked_by(readers, foreign)
    # In turns, more pages than the gate remembers.
    unknown = asked_by(readers, pages=MAX_KNOWN // READERS + 2)
    ways = {
        BARE: asgi(loop, application, asked),
        "paid path, valid cookie, payment in the cache": asgi(loop, paid, asked, mark=b"cache-control"),
        "paid path, valid cookie, payment in the cache, page not seen lately": asgi(
            loop, other, unknown, mark=b"cache-control"
        ),
        "paid path, 8 KiB of foreign cookies": asgi(loop, paid, loaded, mark=b"cache-control"),
    }
    for app in (paid, other):
        loop.run_until_complete(opened(app, readers))
    with sandbox.unasked():
        yield from compare("a", ways, dict.fromkeys(list(ways)[1:3], PAID_LIMIT))
    for app in (paid, other):
        loop.run_until_complete(app.aclose())


async def opened(app: PaywallMiddleware, readers: Readers) -> None:
    """Let the paywall remember what was bought."""
    for path, cookies in readers.items():
        await visit(app, path, dict(cookies))


def bare_wsgi(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as the ASGI application does."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "1000")])
    return [BODY]


def through_wsgi(sandbox: Sandbox, readers: Readers) -> Iterator[Row]:
    """Measure the other adapter; the cookies are the same."""
    asked = asked_by(readers)
    paywalled = WsgiPaywallMiddleware(
        bare_wsgi, RULES, backend=sandbox.url, token=TOKEN, secret_key=KEY, public_url=SITE, recheck_after=3600
    )
    free, paid = "WSGI: free path, 1 template rule", "WSGI: paid path, valid cookie, payment in the cache"
    ways = {
        BARE_WSGI: wsgi(bare_wsgi, FREE),
        free: wsgi(paywalled, FREE),
        paid: wsgi(paywalled, asked, mark=b"cache-control"),
    }
    ways[paid].check(paid)
    with sandbox.unasked():
        yield from compare("a", ways, {free: FREE_LIMIT, paid: PAID_LIMIT})
    paywalled.close()


class Recorded:
    """The answers of a real backend, which is asked for each of them once; orders differ in their IDs alone."""

    def __init__(self, backend: AsyncHttpBackend) -> None:
        self.asked = 0
        self._backend = backend
        self._answers: dict[BackendRequest, BackendResponse] = {}

    async def send(self, request: BackendRequest, deadline: float | None) -> BackendResponse:
        """Answer from memory, about a new order with its own ID."""
        self.asked += 1
        kind = replace(request, body=None) if request.body else request
        if kind not in self._answers:
            self._answers[kind] = await self._backend.send(request, deadline)
        answer = self._answers[kind]
        if not request.body:
            return answer
        order_id = msgspec.json.decode(request.body)["order"]["order_id"]
        return replace(answer, body=msgspec.json.encode({**msgspec.json.decode(answer.body), "order_id": order_id}))


def recorded(loop: asyncio.AbstractEventLoop, sandbox: Sandbox, readers: Readers, visitors: Readers) -> Iterator[Row]:
    """Measure requests that ask the backend once, when it answers at once."""
    transport = AsyncHttpBackend(sandbox.url, sandbox.url, TOKEN, Breaker(lambda: False))
    wanted, unknown = asked_by(visitors), asked_by({path: {} for path in visitors})
    api = asked_by(visitors, accept=b"application/json", sec_fetch_mode=b"cors", sec_fetch_dest=b"empty")
    own, made, cached = "unpaid with an order cookie, backend in memory", "new visitor: order made", b"cache-control"
    kinds = {
        "paid path, payment not in the cache, backend in memory": ("redirect", asked_by(readers), 200, cached),
        f"{own}: redirect (302)": ("redirect", wanted, 302, b"location"),
        f"{own}: problem (402, JSON)": ("redirect", api, 402, cached),
        f"{own}: page, its QR code drawn before (402, HTML)": ("page", wanted, 402, cached),
        f"{made}, redirect (302), backend in memory": ("redirect", unknown, 302, b"set-cookie"),
        f"{made}, page with QR code (402, HTML), backend in memory": ("page", unknown, 402, b"set-cookie"),
    }
    ways, backends = {BARE: asgi(loop, application, wanted)}, dict[str, Recorded]()
    for name, (unpaid, messages, status, mark) in kinds.items():
        backends[name] = Recorded(transport)
        ways[name] = asgi(loop, asking(sandbox, backends[name], unpaid=unpaid), messages, status, mark)
        # The answers are recorded; the first new visitor costs two calls.
        ways[name].check(name)
    insist_on_one_call(ways, backends)
    with sandbox.unasked():
        yield from compare("a", ways)
    insist_on_one_call(ways, backends)
    loop.run_until_complete(transport.aclose())


def asking(sandbox: Sandbox, backend: Recorded, **options: str) -> PaywallMiddleware:
    """Return the application behind a paywall that remembers no payment, and asks this backend."""
    app = sandbox.paywalled(RULES, recheck_after=0, **options)
    app._perform = partial(app._perform, backend=backend)  # noqa: SLF001 - no option takes a backend of one's own
    return app


def insist_on_one_call(ways: Mapping[str, Way[Any]], backends: Mapping[str, Recorded]) -> None:
    """Ask for everything once more.

    Raises:
        BenchmarkError: the backend was not asked once for each request.
    """
    for name, backend in backends.items():
        before, requests = backend.asked, len(ways[name].messages)
        ways[name].check(name)
        if (calls := backend.asked - before) != requests:
            raise BenchmarkError(f"{name}: {calls} calls for {requests} requests")


def without_order(loop: asyncio.AbstractEventLoop, sandbox: Sandbox, visitors: Readers) -> Iterator[Row]:
    """Measure refusals without the backend: these requests must not make an order."""
    app, mark = sandbox.paywalled(RULES), b"cache-control"
    nobody: Readers = {path: {} for path in visitors}
    text, html = asked_by(nobody, sec_purpose=b"prefetch", accept=b"*/*"), asked_by(nobody, sec_purpose=b"prefetch")
    other = asked_by(_forged(visitors), sec_purpose=b"prefetch", accept=b"*/*")
    ways = {
        BARE: asgi(loop, application, text),
        "402 without an order, text": asgi(loop, app, text, 402, mark),
        "402 without an order, HTML page": asgi(loop, app, html, 402, mark),
        "402, text, forged cookie": asgi(loop, app, other, 402, mark),
    }
    # The first price that is shown asks how the currency is written.
    ways["402 without an order, text"].check("currency")
    with sandbox.unasked():
        yield from compare("a", ways)
    loop.run_until_complete(app.aclose())


def _forged(readers: Readers) -> Readers:
    """Return cookies with their signatures turned round."""

    def turned(value: bytes) -> bytes:
        signed, dot, signature = value.rpartition(b".")
        return signed + dot + signature[::-1]

    return {path: {name: turned(value) for name, value in cookies.items()} for path, cookies in readers.items()}
