"""The state file: kept across restarts, whole after a kill, and what happens when the disk is full."""

from __future__ import annotations

import resource
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from taler_paywall.amount import Amount

from .shop import REFUNDABLE, Process, Shop, coin, fresh_url
from .test_process import complaint
from .traffic import refused

BUYERS = 8


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


def test_everything_survives_kill(processes: Any, state: Path) -> None:
    """Killed at any moment and started again, the sandbox goes on with its keys, orders, coins and refunds."""
    options = ("--port", "0", "--state", str(state))
    first = processes(*options)
    shop, url = Shop(first.url), fresh_url()
    bought = shop.bought("one", fulfillment_url=url, body=REFUNDABLE)
    other = shop.bought("two")
    claimed = shop.order()
    shop.claim(claimed)
    assert shop.refund(bought["order_id"], "KUDOS:1").status_code == 200
    shop.http.close()
    first.kill()

    shop = Shop(processes(*options).url)
    found = shop.status(bought["order_id"], session_id="one")
    assert (found["order_status"], found["refund_amount"]) == ("paid", "KUDOS:1")
    assert found["contract_terms"] == bought["contract_terms"]
    assert shop.status(claimed["order_id"])["order_status"] == "claimed"
    refused(shop.post(claimed["order_id"], "pay", {"coins": bought["coins"]}), 409, 2150)
    again = shop.post(other["order_id"], "pay", {"coins": other["coins"], "session_id": "two"})
    assert again.json() == {"sig": other["sig"]}
    assert state.stat().st_mode & 0o777 == 0o600
    shop.http.close()


class Buyer(threading.Thread):
    """Makes orders that it pays twice with two wallets at the same time, until the sandbox dies."""

    def __init__(self, url: str, paid: dict[str, list[str]]) -> None:
        super().__init__()
        self.shop = Shop(url)
        self.paid = paid
        self.start()

    def run(self) -> None:
        try:
            while True:
                self.buy()
        except httpx.TransportError:
            self.shop.http.close()

    def buy(self) -> None:
        order_id = f"order-{secrets.token_hex(8)}"
        self.shop.claim(self.shop.order(order_id=order_id))
        rivals = [threading.Thread(target=self.pay, args=(order_id,)) for _ in range(2)]
        for rival in rivals:
            rival.start()
        for rival in rivals:
            rival.join()

    def pay(self, order_id: str) -> None:
        coins = [coin("KUDOS:2"), coin("KUDOS:3")]
        try:
            answer = self.shop.post(order_id, "pay", {"coins": coins})
        except httpx.TransportError:
            return
        if answer.status_code == 200:
            self.paid.setdefault(order_id, []).extend(one["coin_pub"] for one in coins)
        else:
            refused(answer, 409, 2160)


def test_killed_in_the_middle_of_payments(processes: Any, state: Path) -> None:
    """However often it is killed: every payment that was answered is there, whole, and no order was paid twice."""
    paid: dict[str, list[str]] = {}
    for round_ in range(3):
        started = processes("--port", "0", "--state", str(state))
        buyers = [Buyer(started.url, paid) for _ in range(BUYERS)]
        deadline, enough = time.monotonic() + 30, len(paid) + 20 + round_
        while len(paid) < enough and time.monotonic() < deadline:
            time.sleep(0.003)
        started.kill()
        for buyer in buyers:
            buyer.join(timeout=30)
        assert len(paid) >= enough
        check_ledger(state, paid)
    shop = Shop(processes("--port", "0", "--state", str(state)).url)
    assert all(shop.status(order_id)["order_status"] == "paid" for order_id in paid)
    shop.http.close()


def check_ledger(state: Path, paid: dict[str, list[str]]) -> None:
    """Check that what the file says of orders and coins agrees with itself, and with what wallets were told."""
    with closing(sqlite3.connect(state)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT serial, order_id, nonce, paid_at FROM orders").fetchall()
        coins: dict[int, list[tuple[str, Amount]]] = {}
        for coin_pub, serial, contribution in connection.execute("SELECT * FROM coins ORDER BY rowid"):
            coins.setdefault(serial, []).append((coin_pub, Amount.parse(contribution)))
    for serial, order_id, nonce, paid_at in rows:
        spent = coins.pop(serial, [])
        if paid_at is None:
            assert not spent
            assert order_id not in paid
        else:
            assert nonce is not None
            assert [str(amount) for _, amount in spent] == ["KUDOS:2", "KUDOS:3"]
            assert paid.get(order_id, [pub for pub, _ in spent]) == [pub for pub, _ in spent]
    assert not coins
    assert paid.keys() <= {order_id for _, order_id, _, _ in rows}


@contextmanager
def full_disk(process: Process) -> Iterator[None]:
    """Let a running sandbox write no file beyond its first bytes, as if there were no space left."""
    pid = process.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_a_full_disk(processes: Any, state: Path) -> None:
    """What cannot be written is refused with 52 and not done, until there is space again."""
    started = processes("--port", "0", "--state", str(state))
    shop = Shop(started.url)
    bought = shop.bought(body=REFUNDABLE)
    made, claimed = shop.order(), shop.order()
    shop.claim(claimed)
    coins = {"coins": [coin("KUDOS:2"), coin("KUDOS:3")]}
    claim = {"nonce": "0" * 52, "token": made["token"]}
    with full_disk(started):
        for _ in range(2):
            refused(shop.post_order(order_id="lost"), 500, 52)
            refused(shop.post(made["order_id"], "claim", claim), 500, 52)
            refused(shop.post(claimed["order_id"], "pay", coins), 500, 52)
            refused(shop.refund(bought["order_id"], "KUDOS:1"), 500, 52)
            refused(shop.post(bought["order_id"], "pay", {"coins": bought["coins"], "session_id": "new"}), 500, 52)
        assert shop.status(made["order_id"])["order_status"] == "unpaid"
        assert shop.status(claimed["order_id"])["order_status"] == "claimed"
        assert shop.status(bought["order_id"], session_id="one")["refund_amount"] == "KUDOS:0"
    refused(shop.ask("lost"), 404, 2005)
    assert shop.post(made["order_id"], "claim", claim).status_code == 200
    assert shop.post(claimed["order_id"], "pay", coins).status_code == 200
    assert shop.refund(bought["order_id"], "KUDOS:1").status_code == 200
    assert shop.status(bought["order_id"])["refund_amount"] == "KUDOS:1"
    shop.http.close()
    assert started.stop() == 0
    assert "Traceback" not in started.errors
    assert started.errors.count("the database: ") == 10
    with closing(sqlite3.connect(state)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_start_on_a_full_disk(processes: Any, state: Path) -> None:
    """A new file, and a new merchant in an old one, are clear errors where they cannot be written."""
    for options in ((), ("--instance", "new=secret-token:new")):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
        try:
            starting = processes("--port", "0", "--state", str(state), *options, wait=False)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        _, errors = starting.process.communicate(timeout=10)
        assert starting.process.returncode == 1
        assert "Error: " in errors
        assert "Traceback" not in errors
        processes("--port", "0", "--state", str(state)).stop()


def test_state_files_that_cannot_be_used(processes: Any, state: Path, tmp_path: Path) -> None:
    """Another currency, another kind of file, a directory and a file in use are clear errors with status 1."""
    first = processes("--port", "0", "--state", str(state))
    assert "another sandbox uses it" in complaint(processes("--port", "0", "--state", str(state), wait=False))
    first.stop()
    other = complaint(processes("--port", "0", "--state", str(state), "--currency", "EUR", wait=False))
    assert "is for the currency KUDOS, not EUR" in other
    (tmp_path / "text").write_text("not a database at all" * 100)
    assert "cannot be used" in complaint(processes("--port", "0", "--state", str(tmp_path / "text"), wait=False))
    foreign = sqlite3.connect(tmp_path / "foreign.sqlite")
    foreign.execute("CREATE TABLE x (y)")
    foreign.close()
    foreign_file = complaint(processes("--port", "0", "--state", str(tmp_path / "foreign.sqlite"), wait=False))
    assert "something else" in foreign_file
    missing = str(tmp_path / "missing" / "state")
    assert "cannot be used" in complaint(processes("--port", "0", "--state", missing, wait=False))
