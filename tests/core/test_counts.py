"""What a request costs in counts that do not depend on the machine: what adds to them fails, and says by how much."""

from __future__ import annotations

import gc
import itertools
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from types import FrameType
from typing import Any

import pytest

from taler_paywall import Rule
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.operations import Payment, SessionId
from taler_paywall.resource import resource_of
from taler_paywall.session import Cookies, Keys, Order
from taler_paywall.wsgi import PaywallMiddleware as WSGIPaywallMiddleware

#: For one request, beside the application's own: functions of Python and of C that are called, and lines of Python that
#: are run, for a loop need not call anything (CPython 3.11; later ones need less). Whoever has to raise one of these
#: says in the change what the reader gets for it.
LIMITS = {
    "free": (14, 15),
    "free, beside a thousand templates": (18, 40),
    "paid": (133, 248),
    "paid, new page": (176, 352),
    "wsgi free": (24, 23),
    "wsgi paid": (154, 308),
}
#: Bytes that a free request takes at most while it lasts, beside the application's own.
FREE_BYTES = {"free": 1000, "free, beside a thousand templates": 1000, "wsgi free": 1200}

SITE, BACKEND, KEY = "http://127.0.0.1:8000", "http://127.0.0.1:9966/", "a key for tests only: 0123456789abcdef"
OPTIONS: dict[str, Any] = {
    "backend": BACKEND,
    "token": "secret-token:x",
    "secret_key": KEY,
    "public_url": SITE,
    "recheck_after": 3600,
}
ARTICLES = Rule("/articles/{slug}/*", "KUDOS:1")
RULES = [*(Rule(f"/section/topic-{number}/{{slug}}", "KUDOS:1") for number in range(999)), ARTICLES]
FREE, BESIDE, PAID = "/about/the-paper", "/section/the-paper", "/articles/one"


async def application(_: Any, __: Any, send: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Answer like a small view."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"content"})


def wsgi_application(_: Any, start_response: Callable[[str, list[tuple[str, str]]], Any]) -> Iterable[bytes]:
    """Answer like a small view."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"content"]


def bought(middleware: PaywallMiddleware | WSGIPaywallMiddleware) -> bytes:
    """Put a payment into the middleware's cache; return the Cookie header of the browser that has made it."""
    resource, now = resource_of(ARTICLES, {"slug": "one"}), int(time.time())
    order = Order(SessionId("S" * 32), "O" * 32, resource.tag, 0, 0, "KUDOS:1", "", now + 86_400, now, "paid")
    payment = Payment(order.order_id, resource.name, "KUDOS:1")
    middleware._site.cache.put(order.key(resource.name), payment, 3600)
    cookies = Cookies(Keys([KEY.encode()], f"{SITE} {BACKEND}"), secure=False, max_age=86_400)
    (cookie,) = cookies.order_cookies([], order)
    return b"theme=dark; " + cookie.partition(b";")[0] + b"; _ga=GA1.1.1"


def asgi_request(app: Any, path: str, cookie: bytes, *, anew: bool = False) -> Callable[[], int]:
    """Return what asks an ASGI application once, for another page each time if wanted, and returns the status."""
    headers = [(b"host", b"news.example"), (b"accept", b"text/html"), (b"cookie", cookie)]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "root_path": "", "query_string": b"", "headers": headers}
    scope |= {"path": path, "raw_path": path.encode()}
    said: list[int] = []
    pages = itertools.count()

    async def send(message: dict[str, Any]) -> None:
        said.append(message.get("status", 0))

    def ask() -> int:
        said.clear()
        if anew:
            page = f"{path}/page-{next(pages)}"
            scope.update(path=page, raw_path=page.encode())
        # Nothing is waited for: the first step is the last one.
        with pytest.raises(StopIteration):
            app(scope, None, send).send(None)
        return said[0]

    return ask


def wsgi_request(app: Any, path: str, cookie: bytes) -> Callable[[], int]:
    """Return what asks a WSGI application once, and returns the status of its answer."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "", "RAW_URI": path}
    environ |= {"HTTP_HOST": "news.example", "HTTP_ACCEPT": "text/html", "HTTP_COOKIE": cookie.decode()}
    said: list[int] = []

    def start_response(status: str, _: Any) -> None:
        said.append(int(status[:3]))

    def ask() -> int:
        said.clear()
        b"".join(app({**environ}, start_response))
        return said[0]

    return ask


#: By name: the request, and the same without the paywall.
Pair = tuple[Callable[[], int], Callable[[], int]]


@pytest.fixture(scope="module")
def requests() -> dict[str, Pair]:
    """Return a free and a paid request of both adapters, each with the same to the application alone."""
    asgi = PaywallMiddleware(application, RULES, **OPTIONS)
    wsgi = WSGIPaywallMiddleware(wsgi_application, RULES, **OPTIONS)
    cookie, wsgi_cookie = bought(asgi), bought(wsgi)
    return {
        "free": (asgi_request(asgi, FREE, cookie), asgi_request(application, FREE, cookie)),
        "free, beside a thousand templates": (
            asgi_request(asgi, BESIDE, cookie),
            asgi_request(application, BESIDE, cookie),
        ),
        "paid": (asgi_request(asgi, PAID, cookie), asgi_request(application, PAID, cookie)),
        "paid, new page": (
            asgi_request(asgi, PAID, cookie, anew=True),
            asgi_request(application, PAID, cookie, anew=True),
        ),
        "wsgi free": (wsgi_request(wsgi, FREE, wsgi_cookie), wsgi_request(wsgi_application, FREE, wsgi_cookie)),
        "wsgi paid": (wsgi_request(wsgi, PAID, wsgi_cookie), wsgi_request(wsgi_application, PAID, wsgi_cookie)),
    }


def calls(ask: Callable[[], int]) -> Counter[str]:
    """Return the functions that one request calls, and how often, once everything has been seen."""
    found: Counter[str] = Counter()

    def note(frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            found[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            found[called.__qualname__] += 1

    for _ in range(3):
        assert ask() == 200
    sys.setprofile(note)
    try:
        ask()
    finally:
        sys.setprofile(None)
    return found


def lines(ask: Callable[[], int]) -> Counter[str]:
    """Return how many lines of which functions one request runs, once everything has been seen."""
    found: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            found[frame.f_code.co_qualname] += 1
        return note

    for _ in range(3):
        assert ask() == 200
    # What measures the coverage of the tests traces as well.
    before = sys.gettrace()
    sys.settrace(note)
    try:
        ask()
    finally:
        sys.settrace(before)
    return found


@pytest.mark.parametrize("name", LIMITS)
def test_functions_called_and_lines_run(name: str, requests: dict[str, Pair]) -> None:
    """A request calls no more functions than it did, and runs no more lines."""
    for what, counted, limit in zip(("calls", "lines"), (calls, lines), LIMITS[name], strict=True):
        ours, bare = map(counted, requests[name])
        added = ours - bare
        assert added.total() <= limit, f"{added.total() - limit} more {what} than before, of {added}"


def test_the_number_of_templates_costs_nothing(requests: dict[str, Pair]) -> None:
    """A free request behind a thousand templates calls what it calls behind one."""
    alone = asgi_request(PaywallMiddleware(application, [ARTICLES], **OPTIONS), FREE, b"")
    assert calls(requests["free"][0]) == calls(alone)


def taken(ask: Callable[[], int]) -> tuple[int, int]:
    """Return how many bytes a request takes while it lasts, and how many a hundred of them leave behind."""
    ask()
    gc.collect()
    tracemalloc.start()
    try:
        ask()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        ask()
        _, peak = tracemalloc.get_traced_memory()
        for _ in range(100):
            ask()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before, after - before


@pytest.mark.parametrize("name", FREE_BYTES)
def test_memory_of_a_free_request(name: str, requests: dict[str, Pair]) -> None:
    """A free path builds next to nothing, and keeps nothing."""
    (ours, kept), (bare, kept_by_the_test) = map(taken, requests[name])
    assert ours - bare <= FREE_BYTES[name], f"{ours - bare - FREE_BYTES[name]} bytes more than before"
    assert kept - kept_by_the_test < 1000, f"a hundred requests leave {kept} bytes behind"


def test_a_paid_request_checks_one_signature(requests: dict[str, Pair]) -> None:
    """The order cookie is sufficient by itself: neither the session's nor any other cookie is looked at."""
    assert calls(requests["paid"][0])["Signer.unsign"] == 1
