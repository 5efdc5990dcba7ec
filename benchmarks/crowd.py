"""Many shops and wallets at once, each with a connection: what benchmarks and tests under load have in common."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx

from benchmarks.table import BenchmarkError
from taler_paywall import contract, crockford

Worker = TypeVar("Worker")
Item = TypeVar("Item")
T = TypeVar("T")

PRICE: Final = "KUDOS:5"
#: The ways to wait for a payment: as the shop, as the buyer, or by the session alone.
KINDS: Final = ("private", "public", "session")
_SECONDS: Final = 120
#: One for all: making it takes longer than a request, and it is never used.
_TLS: Final = ssl.create_default_context()


@dataclass(frozen=True)
class Offer:
    """An order that waits for its payment.

    Args:
        session_id: that it was made for.
    """

    order_id: str
    token: str
    fulfillment_url: str
    session_id: str


@dataclass(frozen=True)
class Sale:
    """An order that a client has bought, and with which coins."""

    order_id: str
    coins: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Payment:
    """A payment; its moments are of the clock that all processes share."""

    sent: float
    answered: float


class Client:
    """A shop's and a wallet's requests.

    Args:
        url: of the sandbox.
        token: of the shop.
    """

    def __init__(self, url: str, token: str) -> None:
        self.http = httpx.AsyncClient(base_url=url, trust_env=False, verify=_TLS, timeout=_SECONDS)
        self._owner = {"Authorization": f"Bearer {token}"}

    async def order(self) -> Offer:
        """Make an order."""
        session_id, url = secrets.token_hex(8), f"http://shop.example/{secrets.token_hex(8)}"
        order = {"summary": "An article", "amount": PRICE, "fulfillment_url": url}
        body = {"order": order, "session_id": session_id}
        made = members(await self.http.post("private/orders", json=body, headers=self._owner))
        return Offer(made["order_id"], made["token"], url, session_id)

    async def status(self, order_id: str, **query: Any) -> dict[str, Any]:
        """Ask as the shop how an order stands."""
        return members(await self.http.get(f"private/orders/{order_id}", params=query, headers=self._owner))

    async def claim(self, offer: Offer) -> httpx.Response:
        """Claim an order with a fresh nonce."""
        nonce = crockford.encode(contract.public_key(secrets.token_bytes(32)))
        return await self.http.post(f"orders/{offer.order_id}/claim", json={"nonce": nonce, "token": offer.token})

    async def pay(self, offer: Offer, coins: Sequence[dict[str, Any]]) -> httpx.Response:
        """Pay an order in its session."""
        body = {"coins": coins, "session_id": offer.session_id}
        return await self.http.post(f"orders/{offer.order_id}/pay", json=body)

    async def offer(self) -> Offer:
        """Make an order and claim it.

        Raises:
            BenchmarkError: that failed.
        """
        made = await self.order()
        members(await self.claim(made))
        return made

    async def buy(self) -> Sale:
        """Make an order, claim it, pay it, and check that it is paid.

        Raises:
            BenchmarkError: one of these failed.
        """
        made, coins = await self.offer(), [coin()]
        members(await self.pay(made, coins))
        found = await self.status(made.order_id, session_id=made.session_id)
        if found["order_status"] != "paid":
            raise BenchmarkError(f"{made.order_id} is {found['order_status']} after the payment")
        return Sale(made.order_id, coins)

    async def pay_timed(self, offer: Offer) -> Payment:
        """Pay an order, and note when.

        Raises:
            BenchmarkError: that failed.
        """
        coins, sent = [coin()], time.monotonic()
        members(await self.pay(offer, coins))
        return Payment(sent, time.monotonic())

    async def wait(self, offer: Offer, kind: str) -> float:
        """Wait until an order is paid; return when that was told.

        Args:
            kind: one of KINDS.

        Raises:
            BenchmarkError: it was not, or the answer is another one than for a paid order.
        """
        query = {"timeout_ms": str(_SECONDS * 1000)}
        if kind == "private":
            found = await self.status(offer.order_id, session_id=offer.session_id, **query)
            told = found["contract_terms"]["order_id"] if found["order_status"] == "paid" else found["order_status"]
        elif kind == "public":
            query |= {"token": offer.token, "session_id": offer.session_id}
            told = members(await self.http.get(f"orders/{offer.order_id}", params=query))["fulfillment_url"]
        else:
            query |= {"fulfillment_url": offer.fulfillment_url}
            told = members(await self.http.get(f"sessions/{offer.session_id}", params=query))["order_id"]
        answered = time.monotonic()
        if told not in (offer.order_id, offer.fulfillment_url):
            raise BenchmarkError(f"the poll for {offer.order_id} was answered {told}")
        return answered


def members(answer: httpx.Response) -> dict[str, Any]:
    """Return what is in an answer that must be a success.

    Raises:
        BenchmarkError: it is none.
    """
    if answer.status_code != httpx.codes.OK:
        raise BenchmarkError(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}")
    found: dict[str, Any] = answer.json()
    return found


def coin() -> dict[str, Any]:
    """Make a coin that nobody has seen before and that is worth the price."""
    return {
        "coin_sig": crockford.encode(secrets.token_bytes(64)),
        "coin_pub": crockford.encode(secrets.token_bytes(32)),
        "ub_sig": {"cipher": "RSA", "rsa_signature": crockford.encode(secrets.token_bytes(256))},
        "h_denom": crockford.encode(secrets.token_bytes(64)),
        "contribution": PRICE,
        "exchange_url": "https://exchange.example/",
    }


@asynccontextmanager
async def crowd(url: str, token: str, size: int) -> AsyncIterator[list[Client]]:
    """Open so many clients."""
    clients = [Client(url, token) for _ in range(size)]
    try:
        yield clients
    finally:
        await asyncio.gather(*(client.http.aclose() for client in clients))


async def share(
    workers: Sequence[Worker], work: Callable[[Worker, Item], Awaitable[T]], items: Iterable[Item]
) -> list[T]:
    """Let workers do a piece of work on every item, each worker one at a time.

    Returns:
        What came of it, in no particular order.
    """
    left = iter(items)

    async def one(worker: Worker) -> list[T]:
        return [await work(worker, item) for item in left]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(worker)) for worker in workers]
    return list(itertools.chain.from_iterable(task.result() for task in tasks))
