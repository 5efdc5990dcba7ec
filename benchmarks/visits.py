"""How often the merchant backend is asked for each kind of visit, counted at a real sandbox over HTTP."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.server import SECONDS
from benchmarks.shop import KEY, SITE, TOKEN, Sandbox, application
from benchmarks.table import BenchmarkError, Limit, Row
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.testing.client import BROWSER, serving
from taler_paywall.testing.wallet import TalerWallet

RULES: Final = {"/articles/{slug}/*": "KUDOS:0.5"}
PAGE: Final = "/articles/one"
POLL: Final = "/.well-known/taler-paywall/poll-payment"
PICTURE: Final = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "same-origin"}
READERS: Final = 20
#: Seconds that the backend thinks while many ask at once, so that they do: threads take their time to start.
PACE: Final = 0.5
#: Ceilings (design, section 11).
LIMITS: Final = {
    "new visitor, first of the process": 2,
    "new visitor": 2,
    "unpaid reload": 1,
    "paid, cached": 0,
    "paid, not cached": 1,
}

Paywalled = Callable[..., Any]


@dataclass(frozen=True)
class Visit:
    """What one kind of visit took.

    Args:
        kind: in plain words.
        calls: of the backend, in their order: method and path, order IDs left out.
    """

    kind: str
    calls: tuple[str, ...]


def measure(sandbox: Sandbox) -> Iterator[Row]:
    """Yield the number of calls for each kind of visit; under WSGI they are the same."""
    for visit in visits(sandbox, lambda **options: PaywallMiddleware(application, RULES, **options)):
        limit = LIMITS.get(visit.kind)
        yield Row(
            group="d",
            name=visit.kind,
            unit="calls",
            value=len(visit.calls),
            limit=None if limit is None else Limit("value", limit),
            more={"calls": ", ".join(visit.calls)},
        )


def visits(sandbox: Sandbox, paywalled: Paywalled) -> Iterator[Visit]:
    """Pay visits of every kind, each as its name says, and count.

    Args:
        sandbox: counts what it is asked.
        paywalled: makes a site with ``/about`` and `RULES` under either protocol, from the paywall's options.
    """
    with ExitStack() as stack:
        shop = _Shop(sandbox, paywalled, stack)
        yield from shop.unpaid()
        yield from shop.paid()
        yield from shop.wallets_elsewhere()
        yield from shop.own_page()


class _Shop:
    """Sites with one key, so that what was bought at one is known to all; each new one has an empty cache."""

    def __init__(self, sandbox: Sandbox, paywalled: Paywalled, stack: ExitStack) -> None:
        self._sandbox = sandbox
        self._paywalled = paywalled
        self._stack = stack
        self._site = self.site()

    def site(self, **options: str) -> httpx.BaseTransport:
        """Start a site with an empty cache, that knows nothing of the backend."""
        app = self._paywalled(backend=self._sandbox.url, token=TOKEN, secret_key=KEY, public_url=SITE, **options)
        return self._stack.enter_context(serving(app))

    def reader(self, site: httpx.BaseTransport | None = None, like: httpx.Client | None = None) -> httpx.Client:
        """Open a browser, with the cookies of another if there is one."""
        browser = httpx.Client(transport=site or self._site, base_url=SITE, headers=BROWSER)
        if like:
            browser.cookies.update(like.cookies)
        return self._stack.enter_context(browser)

    def wallet(self) -> TalerWallet:
        """Open a new wallet."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        return self._stack.enter_context(TalerWallet(Path(folder, "wallet.sqlite")))

    def count(self, kind: str, status: int, *visits: Callable[[], httpx.Response]) -> Visit:
        """Pay visits, all at once, and count what they take; another answer than expected is no such visit."""
        before = len(self._sandbox.requests)
        self._sandbox.pace = PACE if len(visits) > 1 else 0.0
        together = threading.Barrier(len(visits), timeout=SECONDS)

        def pay(visit: Callable[[], httpx.Response]) -> int:
            together.wait()
            return visit().status_code

        with ThreadPoolExecutor(len(visits)) as threads:
            answers = set(threads.map(pay, visits))
        self._sandbox.pace = 0.0
        if answers != {status}:
            raise BenchmarkError(f"{kind}: {answers} instead of {status}")
        # How prices are written is asked once an hour, by whoever comes then.
        calls = [call for call in self._sandbox.requests[before:] if call != "GET /config"]
        return Visit(kind, tuple(re.sub(r" /(.*orders)(/.+)?", _without_id, call) for call in calls))

    def unpaid(self) -> Iterator[Visit]:
        """Visits of those who have bought nothing."""
        reader = self.reader()
        yield self.count("free page", 200, lambda: reader.get("/about"))
        yield self.count("new visitor, first of the process", 302, lambda: self.reader().get(PAGE))
        yield self.count("new visitor", 302, lambda: reader.get(PAGE))
        yield self.count("unpaid reload", 302, lambda: reader.get(PAGE))
        yield self.count("unpaid, session cookie alone", 302, lambda: _without_orders(reader).get(PAGE))
        yield self.count("second article of a reader", 302, lambda: reader.get("/articles/two"))
        tabs = [self.reader(like=reader) for _ in range(READERS)]
        asking = [lambda tab=tab: tab.get("/articles/three") for tab in tabs]
        yield self.count(f"unpaid, {READERS} requests of one session at once", 302, *asking)

    def paid(self) -> Iterator[Visit]:
        """Visits of somebody who has bought, and later gets the money back."""
        reader, wallet = self.reader(), self.wallet()
        bought = wallet.pay(reader.get(PAGE).headers["location"]).contract_terms or {}
        yield self.count("paid, not cached", 200, lambda: reader.get(PAGE))
        yield self.count("paid, cached", 200, lambda: reader.get(PAGE))
        tabs = [self.reader(self.site(), reader)] * READERS
        asking = [lambda tab=tab: tab.get(PAGE) for tab in tabs]
        yield self.count(f"paid, not cached, {READERS} requests at once", 200, *asking)
        yield self.count("paid, session cookie alone", 200, lambda: _without_orders(self.reader(like=reader)).get(PAGE))
        again = self.reader()
        wallet.pay(again.get(PAGE).headers["location"])
        yield self.count("bought before, wallet has proved it", 200, lambda: again.get(PAGE))
        refund = {"refund": "KUDOS:0.5", "reason": "benchmark"}
        url = f"{self._sandbox.url}private/orders/{bought['order_id']}/refund"
        httpx.post(url, json=refund, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False).raise_for_status()
        yield self.count("refunded", 402, lambda: self.reader(self.site(), again).get(PAGE))

    def wallets_elsewhere(self) -> Iterator[Visit]:
        """Visits of somebody whose order another wallet holds."""
        reader = self.reader()
        self.wallet().claim(reader.get(PAGE).headers["location"])
        yield self.count("picture, order held by another wallet", 402, lambda: reader.get(PAGE, headers=PICTURE))
        yield self.count("order held by another wallet", 302, lambda: reader.get(PAGE))

    def own_page(self) -> Iterator[Visit]:
        """Visits of a site that asks for the payment itself."""
        site = self.site(unpaid="page")
        self.reader(site).get(PAGE)
        reader = self.reader(site)
        yield self.count("new visitor, page of our own", 402, lambda: reader.get(PAGE))
        page = reader.get(PAGE).text
        script = re.findall(r'src="([^"]+\.js[^"]*)"', page)[0]
        yield self.count("script of our own page", 200, lambda: reader.get(script))
        order_id = re.findall(r"order_id=([0-9A-Z]+)", page)[0]
        poll = {"order_id": order_id, "timeout": "0"}
        yield self.count("poll of our own page, nobody waits", 200, lambda: reader.get(POLL, params=poll))


def _without_id(path: re.Match[str]) -> str:
    return f" {path[1]}/ID" if path[2] else f" {path[1]}"


def _without_orders(reader: httpx.Client) -> httpx.Client:
    """Lose the order cookies of a browser."""
    for cookie in [cookie for cookie in reader.cookies.jar if "_order_" in cookie.name]:
        reader.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
    return reader
