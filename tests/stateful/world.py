"""A shop with all its real parts: two workers of one site, a sandbox whose ledger is the truth, and play wallets."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from conformance.here import AsgiHere, Here, WsgiHere
from conformance.till import Till
from running import TLS, TOKEN

from taler_paywall import Rule
from taler_paywall.asgi import PaywallMiddleware as AsgiPaywall
from taler_paywall.resource import Resource
from taler_paywall.sandbox.wallet.purchase import Purchase
from taler_paywall.sandbox.wallet.purse import open_purse
from taler_paywall.sandbox.wallet.wallet import Outcome, Wallet, WalletError
from taler_paywall.settings import Options, RuleList
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

SITE: Final = "http://127.0.0.1:8000"
DAY: Final = 86_400
MAX_AGE: Final = 100 * DAY
SECRET: Final = b"what only buyers may read"
#: Faults in which the backend gives no answer that can be believed. Of the last two each costs the whole deadline.
FAILING: Final = (
    *("truncated", "broken", "wrong-types", "error-html", "error-json", "unavailable"),
    *("unauthorized", "not-found", "redirect", "refuse"),
)
STALLING: Final = ("hang", "slow")
#: Faults that change an order; what the backend says of it then is true.
MEDDLING: Final = ("claimed", "refunded")

WorkerName = Literal["asgi", "wsgi"]


@dataclass(frozen=True)
class Goods:
    """Something that is sold.

    Args:
        name: the contract's summary; tells in the ledger what an order is for, without our own ``extra``.
        price: what it costs at first.
        paths: where it is served.
        method: that it is asked for with.
    """

    name: str
    price: str
    paths: tuple[str, ...]
    method: str = "GET"


GOODS: Final = (
    Goods("article a", "KUDOS:0.5", ("/articles/a?page=2", "/articles/a", "/articles/a/figure.png")),
    Goods("article b", "KUDOS:0.5", ("/articles/b", "/articles/b/")),
    Goods("daily", "KUDOS:1", ("/daily/today",)),
    Goods("section", "KUDOS:2", ("/premium/deep/page", "/premium")),
    Goods("translation", "KUDOS:0.1", ("/api/translate",), "POST"),
)


@dataclass(frozen=True)
class Sale:
    """One order as the backend's books have it.

    Args:
        goods: the contract's summary.
        session_id: that it was last paid or proved in.
        refunded: whether anything was given back.
        settled_at: when it can be neither refunded nor taken back by the bank any more.
    """

    order_id: str
    goods: str
    amount: str
    fulfillment_url: str
    session_id: str | None
    claimed: bool
    paid: bool
    refunded: bool
    pay_deadline: int
    settled_at: int

    @property
    def stands(self) -> bool:
        return self.paid and not self.refunded


class Books(Till):
    """The sandbox, with what it has written down."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.http = httpx.Client(trust_env=False, verify=TLS, timeout=30)

    def sales(self, after: int = 0) -> dict[str, Sale]:
        """Return all orders but the first so many, by their IDs; nothing may be under way."""
        query = (
            "SELECT proposal, nonce IS NOT NULL, paid_at IS NOT NULL, session_id,"
            " EXISTS (SELECT 1 FROM refunds WHERE order_serial = orders.serial) FROM orders WHERE serial > ?"
        )
        with tempfile.TemporaryDirectory() as folder:
            for file in self.home.glob(f"{self.state.name}*"):
                shutil.copy(file, folder)
            # Read only: closing it would otherwise write, and wait for the disk.
            with closing(sqlite3.connect(f"file:{Path(folder, self.state.name)}?mode=ro", uri=True)) as copy:
                found = [_sale(*row) for row in copy.execute(query, (after,))]
        return {sale.order_id: sale for sale in found}

    def last_serial(self) -> int:
        """Return how many orders there are."""
        return len(self.orders())

    def control(self, method: str, path: str) -> None:
        """Tell the sandbox what is to go wrong."""
        self.http.request(method, self._control + path).raise_for_status()


def _sale(proposal: str, claimed: int, paid: int, session_id: str | None, refunded: int) -> Sale:
    terms: dict[str, Any] = json.loads(proposal)
    times = {name: terms[name]["t_s"] for name in ("pay_deadline", "refund_deadline", "wire_transfer_deadline")}
    return Sale(
        order_id=terms["order_id"],
        goods=terms["summary"],
        amount=terms["amount"],
        fulfillment_url=terms["fulfillment_url"],
        session_id=session_id,
        claimed=bool(claimed),
        paid=bool(paid),
        refunded=bool(refunded),
        pay_deadline=times["pay_deadline"],
        settled_at=max(times["refund_deadline"], times["wire_transfer_deadline"]),
    )


class Clock:
    """Stands still unless it is put forward; takes the place of the module `time` where the paywall reads it."""

    def __init__(self) -> None:
        self._start = time.time()
        self.shift = 0

    def time(self) -> float:
        return self._start + self.shift

    monotonic = time


class PlayWallet:
    """A wallet of this process."""

    def __init__(self, file: Path, clock: Clock) -> None:
        self._purse, self._connection = open_purse(file)
        self._clock = clock

    def do(self, deed: Literal["pay", "claim", "collect"], url: str) -> Outcome | WalletError:
        """Pay, claim or collect what is at an address, and return what came of it."""
        return asyncio.run(self._do(deed, url))

    async def _do(self, deed: str, url: str) -> Outcome | WalletError:
        async with httpx.AsyncClient(trust_env=False, verify=TLS, timeout=30) as client:
            wallet = Wallet(self._purse, client, now=self._clock.time, retry_delays=())
            try:
                outcome: Outcome = await getattr(wallet, deed)(url)
            except WalletError as error:
                return error
            return outcome

    @property
    def purchases(self) -> list[Purchase]:
        return self._purse.purchases()

    def close(self) -> None:
        self._connection.close()


class World(httpx.BaseTransport):
    """The way to the worker whose turn it is, and everything behind it."""

    def __init__(self, books: Books, portal: BlockingPortal, patch: pytest.MonkeyPatch) -> None:
        self.books = books
        self.portal = portal
        self._patch = patch
        self._workers: dict[WorkerName, tuple[Here, AsgiPaywall | WsgiPaywall]] = {}
        self._wallets = 0
        self.turn: WorkerName = "asgi"
        #: What the application was asked for since this was last cleared.
        self.served: list[str] = []

    def begin(self) -> None:
        """Start anew: nobody knows anybody, and nothing is out of order."""
        self.clock = Clock()
        for module in ("paywall", "cache"):
            self._patch.setattr(f"taler_paywall.{module}.time", self.clock)
        self._patch.setattr("taler_paywall.breaker.MAX_FAILURES", 10**9)
        self.fault = ""
        self.books.control("DELETE", "/fault")
        self.books.control("PUT", "/clock?shift=0")
        self._known = self.books.last_serial()
        self.keys = ["the first secret key of a site that is a machine"]
        self.price = "KUDOS:1"
        self.start_workers()

    def end(self) -> None:
        """Close what the workers have opened."""
        for name in list(self._workers):
            self._stop(name)

    def start_workers(self, *names: WorkerName) -> None:
        """Start workers, or start them again: nothing that they remember survives."""
        options: Options = {
            "backend": self.books.url,
            "token": TOKEN,
            "secret_key": self.keys,
            "public_url": SITE,
            "cookie_max_age": MAX_AGE,
            # What is known while the backend is away, and when it is left alone, is shown in tests/faults.
            "serve_known_for": 0,
        }
        for name in names or ("asgi", "wsgi"):
            self._stop(name)
            if name == "asgi":
                asgi = AsgiPaywall(self._asgi_app, self._rules, **options)
                self._workers[name] = AsgiHere(asgi, self.portal), asgi
            else:
                wsgi = WsgiPaywall(self._wsgi_app, self._rules, **options)
                self._workers[name] = WsgiHere(wsgi), wsgi

    def start_backend(self) -> None:
        """Kill the backend and start it again with its state, its clock and its fault."""
        self.books.process.popen.kill()
        self.books.process.popen.wait()
        self.books.start()
        self.advance(0)
        self.switch(self.fault)

    def switch(self, fault: str) -> None:
        """Switch a fault on, or with an empty name off."""
        self.fault = fault
        if fault:
            self.books.control("PUT", f"/fault/{fault}")
        else:
            self.books.control("DELETE", "/fault")

    def advance(self, seconds: int) -> None:
        """Let time pass for all."""
        self.clock.shift += seconds
        self.books.control("PUT", f"/clock?shift={self.clock.shift}")

    def sales(self) -> dict[str, Sale]:
        """Return the orders of this run, by their IDs."""
        return self.books.sales(self._known)

    def wallet(self) -> PlayWallet:
        """Make an empty wallet."""
        self._wallets += 1
        return PlayWallet(self.books.home / f"wallet-{self._wallets}.sqlite", self.clock)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._workers[self.turn][0].handle_request(request)

    @property
    def _rules(self) -> RuleList:
        return [
            Rule("/articles/{slug}/*", "KUDOS:0.5", summary="article {slug}"),
            Rule("/daily/{day}", self._price_of, summary="daily"),
            Rule("/premium/*", "KUDOS:2", summary="section"),
            Rule("POST /api/translate", "KUDOS:0.1", summary="translation", page="/pricing"),
        ]

    def _price_of(self, _: Resource) -> str:
        return self.price

    def _stop(self, name: WorkerName) -> None:
        _, paywall = self._workers.pop(name, (None, None))
        if isinstance(paywall, AsgiPaywall):
            self.portal.call(paywall.aclose)
        elif paywall:
            paywall.close()

    async def _asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        self.served.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": SECRET})

    def _wsgi_app(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.served.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [SECRET]
