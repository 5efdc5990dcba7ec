"""A wallet with a file, and merchants that fail or lie to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from taler_paywall import contract, crockford
from taler_paywall.sandbox.wallet.purse import Balance, Purchase, open_purse
from taler_paywall.sandbox.wallet.wallet import Outcome, Wallet, http_client

from .shop import Shop


class PurseFile:
    """A wallet with a file of its own, opened anew for every action, as the commands do.

    Args:
        transport: what stands between wallet and merchants.
        later: seconds by which the wallet's clock is ahead.
    """

    def __init__(self, path: Path, transport: httpx.AsyncBaseTransport | None = None, later: float = 0) -> None:
        self.path = path
        self.transport = transport
        self.later = later

    def pay(self, url: str, choice: int | None = None) -> Outcome:
        paid: Outcome = self._use(lambda wallet: wallet.pay(url, choice))
        return paid

    def claim(self, url: str) -> Outcome:
        claimed: Outcome = self._use(lambda wallet: wallet.claim(url))
        return claimed

    def collect(self, url: str) -> Outcome:
        collected: Outcome = self._use(lambda wallet: wallet.collect(url))
        return collected

    def await_refund(self, paid: Outcome) -> Outcome | None:
        refund: Outcome | None = self._use(lambda wallet: wallet.await_refund(paid))
        return refund

    def through(self, transport: httpx.AsyncBaseTransport) -> PurseFile:
        """Return the same wallet behind something."""
        return PurseFile(self.path, transport)

    @property
    def balances(self) -> list[Balance]:
        opened, connection = open_purse(self.path)
        with closing(connection):
            return opened.balances()

    @property
    def purchases(self) -> list[Purchase]:
        opened, connection = open_purse(self.path)
        with closing(connection):
            return opened.purchases()

    def forget_payment(self, shop: Shop, made: dict[str, Any]) -> None:
        """Leave the purse as a wallet that was killed between the merchant's answer and its note of it."""
        opened, connection = open_purse(self.path)
        with closing(connection):
            assert opened.find(shop.url, made["order_id"])
            change = "UPDATE purchases SET signature = NULL, paid_at = NULL WHERE order_id = ?"
            connection.execute(change, (made["order_id"],))

    def _use(self, action: Callable[[Wallet], Any]) -> Any:
        opened, connection = open_purse(self.path)

        async def run() -> Any:
            async with (
                http_client() if self.transport is None else httpx.AsyncClient(transport=self.transport) as client
            ):
                return await action(
                    Wallet(opened, client, now=lambda: time.time() + self.later, retry_delays=(0.01, 0.01))
                )

        with closing(connection):
            return asyncio.run(run())


class Passage(httpx.AsyncBaseTransport):
    """The way to the sandbox, which counts payments and proofs; others spoil what passes."""

    def __init__(self) -> None:
        self.passed: list[tuple[str, httpx.Response]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.reach(request)
        self.passed.append((request.url.path.rpartition("/")[2], answer))
        return answer

    async def reach(self, request: httpx.Request) -> httpx.Response:
        async with http_client() as client:
            content, headers = await request.aread(), {"Accept": "application/json"}
            return await client.request(request.method, str(request.url), content=content, headers=headers)

    def count(self, action: str) -> int:
        return sum(passed == action for passed, _ in self.passed)


class Troubled(Passage):
    """A merchant that fails to answer, some times."""

    def __init__(self, action: str, times: int, trouble: Callable[[], httpx.Response], *, after: bool = False) -> None:
        super().__init__()
        self.action, self.times, self.trouble, self.after = action, times, trouble, after

    async def reach(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith(f"/{self.action}") or not self.times:
            return await super().reach(request)
        self.times -= 1
        if self.after:
            await super().reach(request)
        return self.trouble()


class Liar(Passage):
    """A merchant, or somebody on the way, that changes one answer."""

    def __init__(self, action: str, spoil: Callable[[dict[str, Any]], object]) -> None:
        super().__init__()
        self.action, self.spoil = action, spoil

    async def reach(self, request: httpx.Request) -> httpx.Response:
        answer = await super().reach(request)
        if not request.url.path.endswith(f"/{self.action}"):
            return answer
        body = answer.json()
        self.spoil(body)
        return httpx.Response(answer.status_code, json=body)


def broken() -> httpx.Response:
    raise httpx.ReadError("the connection was cut")


def failing(status: int = 500) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(status, json={"code": 54, "hint": "the database is busy"})


def amounts(balance: Balance) -> tuple[str, ...]:
    return tuple(str(one) for one in (balance.withdrawn, balance.spent, balance.refunded, balance.available))


class Forger(Liar):
    """A merchant that signs whatever it likes."""

    def __init__(self, changes: dict[str, Any]) -> None:
        super().__init__("claim", self.forge)
        self.changes = changes

    def forge(self, claimed: dict[str, Any]) -> None:
        seed = b"forger" * 5 + b"!!"
        terms = {**claimed["contract_terms"], **self.changes}
        terms["merchant_pub"] = crockford.encode(contract.public_key(seed))
        h_contract = contract.contract_hash(terms)
        signature = contract.sign_hash(seed, contract.MERCHANT_CONTRACT, h_contract)
        claimed.update(contract_terms=terms, sig=crockford.encode(signature))
