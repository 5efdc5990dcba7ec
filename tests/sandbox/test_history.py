"""The merchant looks through the orders, and deletes some (merchant API, sections 5.1 and 5.2)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from running import TLS

from .shop import REFUNDABLE, Process, Shop, coin, fresh_url, until_waiting
from .traffic import answered, empty, refused

HOUR = 3600


@pytest.fixture
def controlled(processes: Any) -> Process:
    """Start a sandbox that has no orders, whose clock can be put forward."""
    started: Process = processes("--port", "0", "--control")
    return started


@pytest.fixture
def shop(controlled: Process) -> Iterator[Shop]:
    opened = Shop(controlled.url)
    yield opened
    opened.http.close()


@pytest.fixture(scope="module")
def busy(process: Process) -> Iterator[Shop]:
    """Ask the sandbox that all tests share, where the number of orders does not matter."""
    opened = Shop(process.url)
    yield opened
    opened.http.close()


def put_clock(process: Process, ahead: int) -> None:
    assert httpx.put(f"{process.control}clock", params={"shift": ahead}, trust_env=False, verify=TLS).status_code == 200


def entries(shop: Shop, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answered(shop.history(**query), 200, orders=list)["orders"]
    return found


def ids(shop: Shop, **query: Any) -> list[str]:
    return [entry["order_id"] for entry in entries(shop, **query)]


def test_entries_tell_what_an_order_is_and_how_it_stands(shop: Shop) -> None:
    """An entry has the order's id, row, time, price, summary, and what became of the money."""
    assert entries(shop) == []
    made = shop.order(summary="One", amount="KUDOS:2.50")
    (entry,) = entries(shop)
    assert abs(entry.pop("timestamp")["t_s"] - time.time()) < 10
    assert entry == {
        "order_id": made["order_id"],
        "row_id": 1,
        "amount": "KUDOS:2.5",
        "summary": "One",
        "refundable": False,
        "paid": False,
        "refund_amount": "KUDOS:0",
        "pending_refund_amount": "KUDOS:0",
    }
    bought = shop.bought(body=REFUNDABLE)
    assert [entry["refundable"] for entry in entries(shop, paid="yes")] == [True]
    assert shop.refund(bought["order_id"], "KUDOS:2").status_code == 200
    assert shop.post(bought["order_id"], "refund", {"h_contract": bought["h_contract"]}).status_code == 200
    assert shop.refund(bought["order_id"], "KUDOS:5").status_code == 200
    (entry,) = entries(shop, paid="yes")
    assert (entry["refund_amount"], entry["pending_refund_amount"]) == ("KUDOS:5", "KUDOS:3")
    assert (entry["paid"], entry["refundable"]) == (True, False)


def test_orders_are_refundable_until_the_refund_deadline(controlled: Process, shop: Shop) -> None:
    """What the contract allows ends with its deadline, whatever the merchant may still grant."""
    shop.bought(body=REFUNDABLE)
    shop.bought()
    assert [entry["refundable"] for entry in entries(shop)] == [True, False]
    put_clock(controlled, HOUR)
    assert [entry["refundable"] for entry in entries(shop)] == [False, False]


def test_orders_are_found_by_how_they_stand(shop: Shop) -> None:
    """The filters paid, refunded and wired take yes, no and all; nothing is ever wired."""
    unpaid = shop.order()["order_id"]
    paid = shop.bought()["order_id"]
    refunded = shop.bought(body=REFUNDABLE)["order_id"]
    assert shop.refund(refunded, "KUDOS:1").status_code == 200
    everything = [unpaid, paid, refunded]
    assert ids(shop) == ids(shop, paid="all", refunded="ALL", wired="all") == ids(shop, wired="no") == everything
    assert ids(shop, paid="yes") == [paid, refunded]
    assert ids(shop, paid="NO") == [unpaid]
    assert ids(shop, refunded="yes") == [refunded]
    assert ids(shop, refunded="no", paid="yes") == [paid]
    assert ids(shop, wired="yes") == []


def test_orders_are_found_by_session_url_and_summary(shop: Shop) -> None:
    """An order belongs to the session that it was made for, once paid to the one that it was paid in."""
    url = fresh_url()
    meant = shop.order(summary="Über den Wolken", body={"session_id": "one"}, fulfillment_url=url)["order_id"]
    moved = shop.bought("two", body={"session_id": "one"})["order_id"]
    assert ids(shop, session_id="one") == [meant]
    assert ids(shop, session_id="two") == [moved]
    assert ids(shop, fulfillment_url=url) == [meant]
    assert ids(shop, summary_filter="ÜBER") == ids(shop, summary_filter="r den w") == [meant]
    assert ids(shop, summary_filter="100%") == []


def test_pages_of_the_history(shop: Shop) -> None:
    """The sign of the limit is the direction, offsets are exclusive, and the old names still count."""
    made = [shop.order(order_id=f"n{number}")["order_id"] for number in range(1, 24)]
    assert ids(shop) == made[:20]
    assert ids(shop, limit=3) == ids(shop, limit=3, offset=0) == ids(shop, delta=3) == made[:3]
    assert ids(shop, limit=2, offset=3) == ids(shop, delta=2, start=3) == made[3:5]
    assert ids(shop, limit=-2) == ids(shop, delta=-2) == [made[22], made[21]]
    assert ids(shop, limit=-2, offset=3) == [made[1], made[0]]
    assert ids(shop, limit=-200) == made[::-1]
    assert ids(shop, limit=1, delta=5) == made[:1]
    assert ids(shop, limit=0) == []


def test_orders_are_found_by_date(controlled: Process, shop: Shop) -> None:
    """A date is where the list begins: the oldest, or with a negative limit the newest."""
    early = shop.order()["order_id"]
    put_clock(controlled, HOUR)
    late = shop.order()["order_id"]
    between = int(time.time()) + HOUR // 2
    dates: list[dict[str, int]] = [{"date_s": between}, {"date": between}, {"date_ms": between * 1000}]
    for date in dates:
        assert ids(shop, **date) == [late]
        assert ids(shop, **date, limit=-20) == [early]


@pytest.mark.parametrize(
    "query",
    [
        *({"paid": "maybe"}, {"refunded": ""}, {"wired": "1"}, {"limit": "x"}, {"limit": "1.5"}, {"delta": "--1"}),
        *({"offset": "-1"}, {"start": "9" * 20}, {"date_s": "never"}, {"date_ms": "-5"}, {"timeout_ms": "-1"}),
    ],
)
def test_malformed_history_queries_are_refused(busy: Shop, query: dict[str, str]) -> None:
    """A query that makes no sense gets code 26."""
    refused(busy.history(**query), 400, 26)


def test_the_history_is_the_merchants_own(busy: Shop) -> None:
    """Nobody lists or deletes orders without the token, or of an instance that does not exist."""
    refused(busy.http.get("private/orders"), 401, 40)
    refused(busy.http.get("instances/nobody/private/orders", headers=busy.owner), 404, 2000)
    refused(busy.http.delete("private/orders/x"), 401, 40)


def test_polls_for_orders_end_with_the_first_that_fits(controlled: Process, shop: Shop) -> None:
    """A long poll waits for an order to be made, or to be paid, whichever was asked for."""
    found: dict[str, list[str]] = {}

    def poll(paid: str) -> None:
        own = Shop(shop.url)
        found[paid] = ids(own, paid=paid, timeout_ms=60_000)
        own.http.close()

    made = {}
    for paid in ("no", "yes"):
        thread = threading.Thread(target=poll, args=(paid,))
        thread.start()
        until_waiting(controlled.control, 1)
        if paid == "no":
            made = shop.order()
        else:
            shop.claim(made)
            assert shop.post(made["order_id"], "pay", {"coins": [coin()]}).status_code == 200
        thread.join(timeout=30)
        assert found[paid] == [made["order_id"]]


def test_polls_for_orders_end_with_the_time(shop: Shop) -> None:
    """Without an order that fits, the list is empty in the end; backwards there is nothing to wait for."""
    started = time.monotonic()
    assert ids(shop, timeout_ms=300) == []
    assert 0.3 <= time.monotonic() - started < 20
    started = time.monotonic()
    assert ids(shop, limit=-5, timeout_ms=60_000) == []
    assert time.monotonic() - started < 20


def test_unclaimed_orders_can_be_deleted(shop: Shop) -> None:
    """An order that no wallet has is deleted with all that is known of it, and its id is free again."""
    made = shop.order(order_id="A")
    empty(shop.delete("A"), 204)
    refused(shop.ask("A"), 404, 2005)
    refused(shop.public("A", token=made["token"]), 404, 2005)
    refused(shop.delete("A"), 404, 2005)
    assert ids(shop) == []
    assert shop.order(order_id="A", summary="Another")["token"] != made["token"]


def test_claimed_orders_are_deleted_by_force_only(controlled: Process, shop: Shop) -> None:
    """While a wallet may still pay, the merchant has to insist; after the deadline it need not."""
    first, second = shop.order()["order_id"], shop.order()["order_id"]
    for order_id in (first, second):
        shop.claim({"order_id": order_id, "token": _token(shop, order_id)})
        refused(shop.delete(order_id), 409, 2520)
        refused(shop.delete(order_id, force="no"), 409, 2520)
        refused(shop.delete(order_id, force="perhaps"), 400, 26)
    empty(shop.delete(first, force="YES"), 204)
    put_clock(controlled, 25 * HOUR)
    empty(shop.delete(second), 204)


def _token(shop: Shop, order_id: str) -> str:
    url: str = shop.status(order_id)["order_status_url"]
    return url.partition("token=")[2]


def test_paid_orders_are_never_deleted(busy: Shop) -> None:
    """Money was taken for them."""
    order_id = busy.bought()["order_id"]
    refused(busy.delete(order_id), 409, 2521)
    refused(busy.delete(order_id, force="YES"), 409, 2521)


def test_polls_on_an_order_end_when_it_is_deleted(controlled: Process, shop: Shop) -> None:
    """Who waits for an order hears at once that it is gone."""
    order_id = shop.order()["order_id"]
    answers: list[httpx.Response] = []

    def poll() -> None:
        own = Shop(shop.url)
        answers.append(own.ask(order_id, timeout_ms=60_000))
        own.http.close()

    thread = threading.Thread(target=poll)
    thread.start()
    until_waiting(controlled.control, 1)
    empty(shop.delete(order_id), 204)
    thread.join(timeout=30)
    refused(answers[0], 404, 2005)
