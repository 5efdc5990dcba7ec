"""A reader of the fault suite: a browser and a wallet that never wait for anybody, and what is true of their pages."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
from reader import PAGE, USER_AGENT, order_of

from taler_paywall.sandbox.wallet.purse import Purse
from taler_paywall.sandbox.wallet.wallet import Wallet, WalletError

from . import goods
from .truth import LATEST, Holding, Visit

HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": PAGE,
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


class Town:
    """What the readers of one site have in common; nothing of it tells one from another.

    Args:
        url: where the site is asked.
        public_url: of the site, if that is not its address.
    """

    def __init__(self, url: str, public_url: str = "") -> None:
        self.url = url
        self.public_url = public_url or url
        self.headers = HEADERS | {"Host": urlsplit(self.public_url).netloc}
        # Every request comes to whichever worker is first.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._transport = httpx.AsyncHTTPTransport(limits=limits, verify=False)
        self._bank = sqlite3.connect(":memory:", isolation_level=None)
        self._money = httpx.AsyncClient(trust_env=False, timeout=LATEST, verify=False)
        self._readers = 0

    def reader(self) -> Reader:
        """Return somebody new."""
        self._readers += 1
        http = httpx.AsyncClient(
            base_url=self.url, transport=self._transport, trust_env=False, timeout=LATEST, headers=self.headers
        )
        return Reader(http, Wallet(Purse(self._bank, str(self._readers)), self._money, retry_delays=()))

    async def aclose(self) -> None:
        await self._transport.aclose()
        await self._money.aclose()
        self._bank.close()


@dataclass(eq=False)
class Reader:
    """One person with a browser and a wallet.

    Args:
        holdings: the truth, by page.
        orders: the pages that orders were asked for, by their IDs.
        expired: of how many orders for a page the clock of the site may have said that they had run out.
        is_busy: whether the reader is buying something.
    """

    http: httpx.AsyncClient
    wallet: Wallet
    is_busy: bool = False
    holdings: dict[str, Holding] = field(default_factory=dict)
    orders: dict[str, str] = field(default_factory=dict)
    expired: Counter[str] = field(default_factory=Counter)

    async def visit(self, kind: str, path: str, cookie: str = "") -> Visit:
        """Ask for a page, and read as much of it as comes.

        Args:
            kind: of the reader.
            path: of the page.
            cookie: to send instead of what the browser holds.
        """
        began, body, failure = time.monotonic(), b"", ""
        answer: httpx.Response | None = None
        try:
            async with (
                asyncio.timeout(LATEST),
                self.http.stream("GET", path, headers={"Cookie": cookie} if cookie else None) as answer,
            ):
                async for chunk in answer.aiter_raw():
                    body += chunk
        except (httpx.TransportError, TimeoutError) as error:
            failure = type(error).__name__
        headers = answer.headers if answer else httpx.Headers()
        visit = Visit(
            kind=kind,
            path=path,
            began=began,
            ended=time.monotonic(),
            status=answer.status_code if answer else 0,
            location=headers.get("location", ""),
            retry_after=headers.get("retry-after", ""),
            worker=headers.get(goods.WORKER, ""),
            body=body,
            failure=failure,
            ahead=parsedate_to_datetime(date).timestamp() - time.time() if (date := headers.get("date")) else 0.0,
        )
        if visit.status == 302:
            self.orders[order_of(visit.location)] = path
        return visit

    async def leave(self, kind: str, path: str, patience: float) -> Visit:
        """Ask for a page and go away, whatever has come until then.

        Args:
            kind: of the reader.
            path: of the page.
            patience: for so many seconds.
        """
        began, body, failure = time.monotonic(), b"", ""
        address = urlsplit(str(self.http.base_url))
        try:
            async with asyncio.timeout(LATEST):
                incoming, outgoing = await asyncio.open_connection(address.hostname, address.port)
                request = self.http.build_request("GET", path)
                lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
                outgoing.write("\r\n".join([*lines, "", ""]).encode())
                await asyncio.sleep(patience)
                outgoing.close()
                body = await incoming.read()
                await outgoing.wait_closed()
        except (OSError, TimeoutError) as error:
            failure = type(error).__name__
        return Visit(kind, path, began, time.monotonic(), body=body, failure=failure, left=True)

    async def pay(self, visit: Visit) -> bool:
        """Pay the order that an answer leads to; tell whether the wallet has its receipt."""
        holding = self.holdings.setdefault(visit.path, Holding())
        holding.begun = holding.begun or time.monotonic()
        try:
            await self.wallet.pay(visit.location)
        except WalletError:
            holding.failures += 1
            return False
        holding.paid = time.monotonic()
        return True

    async def give_back(self, path: str, refund: Callable[[str], None]) -> None:
        """Have the merchant give the money for a page back.

        Args:
            path: of the page.
            refund: does it, for an order ID.
        """
        holding = self.holdings[path]
        holding.refunding = time.monotonic()
        order_id = [order for order, page in self.orders.items() if page == path][-1]
        await asyncio.to_thread(refund, order_id)
        holding.refunded = time.monotonic()

    def cookies(self, part: str = "") -> dict[str, str]:
        """Return the cookies whose names contain something."""
        return {cookie.name: cookie.value or "" for cookie in self.http.cookies.jar if part in cookie.name}

    @property
    def bought(self) -> list[str]:
        """The pages that are paid, and nobody has begun to give money back for."""
        return [page for page, held in self.holdings.items() if held.paid and held.refunding is None]

    @property
    def unfinished(self) -> str:
        """A page whose payment came to no end, empty if there is none, or if another attempt is under way."""
        begun = (page for page, held in self.holdings.items() if held.begun and not held.paid)
        return "" if self.is_busy else next(begun, "")

    @property
    def is_plain(self) -> bool:
        """Whether every page was paid with the first order for it."""
        return all(not held.failures for held in self.holdings.values())
