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
from taler_paywall.cache import MemoryCache
from taler_paywall.operations import Payment, PaymentKey, SessionId
from taler_paywall.resource import resource_of
from taler_paywall.session import Cookies, Keys, Order
from taler_paywall.wsgi import PaywallMiddleware as WSGIPaywallMiddleware

#: For one request, beside the application's own: functions of Python and of C that are called, and lines of Python that
#: are run, for a loop need not call anything (CPython 3.11; later ones need less). Whoever has to raise one of these
#: says in the change what the reader gets for it.
LIMITS = {
    "free": (14, 15),
    "free, beside a thousand templates": (18, 40),
    "paid": (136, 260),
    "paid, new page": (179, 355),
    "refused": (926, 1733),
    "wsgi free": (24, 23),
    "wsgi paid": (157, 308),
    "wsgi refused": (968, 1805),
}
#: Bytes that a request takes at most while it lasts, beside the application's own.
BYTES = {
    "free": 1100,
    "free, beside a thousand templates": 1000,
    "paid": 2900,
    "refused": 11_500,
    "wsgi free": 1200,
    "wsgi paid": 3500,
    "wsgi refused": 11_500,
}
#: Bytes that a payment takes in the cache (design, section 11: a million in 400 MB).
PAYMENT_BYTES = 400

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
    middleware.site.memory.payments.put(order.key(resource.name), payment, 3600)
    cookies = Cookies(Keys([KEY.encode()], f"{SITE} {BACKEND}"), secure=False, max_age=86_400)
    (cookie,) = cookies.order_cookies([], order)
    return b"theme=dark; " + cookie.partition(b";")[0] + b"; _ga=GA1.1.1"


def asgi_request(app: Any, path: str, cookie: bytes = b"", *, anew: bool = False) -> Callable[[], int]:
    """Return what asks an ASGI application once, for another page each time if wanted, and returns the status.

    Who has no cookie fetches ahead, which makes no order.
    """
    headers = [(b"host", b"news.example"), (b"accept", b"text/html")]
    headers.append((b"cookie", cookie) if cookie else (b"sec-purpose", b"prefetch"))
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


def wsgi_request(app: Any, path: str, cookie: bytes = b"") -> Callable[[], int]:
    """Return what asks a WSGI application once, and returns the status of its answer; see `asgi_request`."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "", "RAW_URI": path}
    environ |= {"HTTP_HOST": "news.example", "HTTP_ACCEPT": "text/html"}
    environ |= {"HTTP_COOKIE": cookie.decode()} if cookie else {"HTTP_SEC_PURPOSE": "prefetch"}
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
    for site in (asgi.site, wsgi.site):
        # The backend was asked how prices are written, and does not say.
        assert site._paywall
        currencies = site._paywall._currencies
        currencies._asked, currencies._pause = int(time.time()), 3600
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
        "refused": (asgi_request(asgi, PAID), asgi_request(application, PAID)),
        "wsgi free": (wsgi_request(wsgi, FREE, wsgi_cookie), wsgi_request(wsgi_application, FREE, wsgi_cookie)),
        "wsgi paid": (wsgi_request(wsgi, PAID, wsgi_cookie), wsgi_request(wsgi_application, PAID, wsgi_cookie)),
        "wsgi refused": (wsgi_request(wsgi, PAID), wsgi_request(wsgi_application, PAID)),
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
        assert ask() in {200, 402}
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
        assert ask() in {200, 402}
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


def taken(ask: Callable[[], int]) -> int:
    """Return how many bytes a request takes while it lasts."""
    ask()
    gc.collect()
    tracemalloc.start()
    try:
        ask()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        ask()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


def kept(ask: Callable[[], int]) -> int:
    """Return how many pieces of memory a thousand requests leave behind."""
    # Python's own stores of free objects are full after some thousands.
    for _ in range(5000):
        ask()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        ask()
    gc.collect()
    return sys.getallocatedblocks() - before


@pytest.mark.parametrize("name", BYTES)
def test_memory_of_a_request(name: str, requests: dict[str, Pair]) -> None:
    """A free path builds next to nothing, any other no more than it did, and none keeps anything."""
    ours, bare = map(taken, requests[name])
    assert ours - bare <= BYTES[name], f"{ours - bare - BYTES[name]} bytes more than before"
    assert kept(requests[name][0]) < 200


def test_memory_of_a_payment() -> None:
    """What is remembered of a million payments fits into the budget."""
    held, count = MemoryCache(), 10_000
    tracemalloc.start()
    try:
        for number in range(count):
            key = PaymentKey(
                f"{number:032}", f"/articles/{{slug}}/*?slug=the-night-train-{number}", SessionId(f"{number:<032}")
            )
            held.put(key, Payment(key.order_id, key.resource, "KUDOS:1"), 3600)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / count <= PAYMENT_BYTES, f"{taken / count:.0f} bytes for each payment"


def test_a_stream_is_passed_on_as_it_is() -> None:
    """Of a paid answer the first message gets headers; every later one is the very object that was sent."""
    sent = [{"type": "http.response.body", "body": b"event", "more_body": number < 2} for number in range(3)]
    received: list[Any] = []

    async def stream(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for message in sent:
            await send(message)

    async def receive(message: Any) -> None:
        received.append(message)

    app = PaywallMiddleware(stream, RULES, **OPTIONS)
    scope = {"type": "http", "method": "GET", "path": PAID, "headers": [(b"cookie", bought(app))]}
    with pytest.raises(StopIteration):
        app(scope, None, receive).send(None)
    assert [name for name, _ in received[0]["headers"]] == [b"cache-control", b"vary"]
    assert [id(message) for message in received[1:]] == [id(message) for message in sent]


def test_a_paid_request_checks_one_signature(requests: dict[str, Pair]) -> None:
    """The order cookie is sufficient by itself: neither the session's nor any other cookie is looked at."""
    assert calls(requests["paid"][0])["Signer.unsign"] == 1
