"""Many clients at once: nothing is lost or paid twice, and nobody waits in vain; the ledger itself is the judge."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.crowd import KINDS, PRICE, Client, Sale, coin, crowd, share

from .shop import TOKEN, Process, until_waiting, waiting

ORDERS = 1000
CLIENTS = 50
RACES = 200
POLLS = 500


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
def sandbox(processes: Any, state: Path) -> Process:
    started: Process = processes("--port", "0", "--state", str(state), "--control")
    return started


def _ledger(state: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute(sql).fetchall()


def _spent(state: Path) -> list[tuple[Any, ...]]:
    """Return order and coin of everything that was ever spent."""
    assert _ledger(state, "SELECT * FROM refunds") == []
    assert _ledger(state, "SELECT DISTINCT contribution FROM coins") == [(PRICE,)]
    return _ledger(state, "SELECT order_id, coin_pub FROM coins JOIN orders ON serial = order_serial")


def _paid(state: Path) -> list[str]:
    return [order_id for (order_id,) in _ledger(state, "SELECT order_id FROM orders WHERE paid_at IS NOT NULL")]


def test_fifty_clients_buy_a_thousand_things(sandbox: Process, state: Path) -> None:
    """Of 1,000 orders made, claimed, paid and checked by 50 clients each is paid once, with the coin of its buyer."""

    async def run() -> list[Sale]:
        async with crowd(sandbox.url, TOKEN, CLIENTS) as clients:
            return await share(clients, lambda client, _: client.buy(), range(ORDERS))

    sales = asyncio.run(run())
    assert sandbox.stop() == 0
    assert sorted(_paid(state)) == sorted(sale.order_id for sale in sales)
    assert sorted(_spent(state)) == sorted((sale.order_id, sale.coins[0]["coin_pub"]) for sale in sales)
    assert len(sales) == ORDERS
    assert _ledger(state, "SELECT count(*) FROM orders") == [(ORDERS,)]


async def _race(pair: tuple[Client, Client], _: int) -> Sale:
    """Let two wallets claim and pay one order; return it with the coins of the one that won."""
    offer = await pair[0].order()
    _one_won(await asyncio.gather(*(client.claim(offer) for client in pair)), 2301)
    coins = [coin(), coin()]
    attempts = (client.pay(offer, [own]) for client, own in zip(pair, coins, strict=True))
    winner = _one_won(await asyncio.gather(*attempts), 2160)
    assert (await pair[1].status(offer.order_id))["order_status"] == "paid"
    return Sale(offer.order_id, [coins[winner]])


async def _spend_twice(pair: tuple[Client, Client], _: int) -> Sale:
    """Pay two orders with one coin at once; return the one that it paid."""
    offers, own = [await client.offer() for client in pair], coin()
    attempts = (client.pay(offer, [own]) for client, offer in zip(pair, offers, strict=True))
    winner = _one_won(await asyncio.gather(*attempts), 2150)
    states = [(await pair[0].status(offer.order_id))["order_status"] for offer in offers]
    assert (states[winner], states[1 - winner]) == ("paid", "claimed")
    return Sale(offers[winner].order_id, [own])


def _one_won(answers: list[httpx.Response], code: int) -> int:
    """Check that one of two was served and the other refused; return which was served."""
    winner = [answer.status_code for answer in answers].index(200)
    assert answers[1 - winner].status_code == 409, answers[1 - winner].text
    assert answers[1 - winner].json()["code"] == code
    return winner


@pytest.mark.parametrize("race", [_race, _spend_twice])
def test_of_two_wallets_one_wins(sandbox: Process, state: Path, race: Any) -> None:
    """Of two wallets that claim and pay one order, or of two orders for one coin, exactly one gets through."""

    async def run() -> list[Sale]:
        async with crowd(sandbox.url, TOKEN, CLIENTS) as clients:
            return await share(list(zip(clients[::2], clients[1::2], strict=True)), race, range(RACES))

    sales = asyncio.run(run())
    assert sandbox.stop() == 0
    assert sorted(_paid(state)) == sorted(sale.order_id for sale in sales)
    assert sorted(_spent(state)) == sorted((sale.order_id, sale.coins[0]["coin_pub"]) for sale in sales)
    assert len(sales) == RACES


def test_five_hundred_polls_are_woken(sandbox: Process) -> None:
    """500 long polls, of shops, buyers and sessions, are each answered that their own order is paid."""

    async def run() -> None:
        async with crowd(sandbox.url, TOKEN, CLIENTS) as shops:
            offers = await share(shops, lambda shop, _: shop.offer(), range(POLLS))
        async with crowd(sandbox.url, TOKEN, POLLS) as pollers, asyncio.TaskGroup() as group:
            for number, (poller, offer) in enumerate(zip(pollers, offers, strict=True)):
                group.create_task(poller.wait(offer, KINDS[number % len(KINDS)]))
            await asyncio.to_thread(until_waiting, sandbox.control, POLLS)
            async with crowd(sandbox.url, TOKEN, CLIENTS) as payers:
                await share(payers, Client.pay_timed, offers)

    asyncio.run(run())
    assert waiting(sandbox.control) == 0
