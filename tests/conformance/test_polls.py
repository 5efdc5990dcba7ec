"""Polls and proofs: the paywall's own addresses for pages and clients that wait for a payment, or prove an old one."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import pytest
from reader import Reader
from running import ROOT, SECRET_KEY, TOKEN, Process, free_port

from taler_paywall.asgi import Message, PaywallMiddleware
from taler_paywall.reserved import MAX_WAITING
from taler_paywall.settings import Options
from taler_paywall.testing.client import serving
from taler_paywall.testing.wallet import TalerWallet
from taler_paywall.transport import TOTAL_TIMEOUT

from .asgi_drive import Bench, Wire, unreachable
from .front import ASGI, ASGI_HERE, HERE, WSGI, Front
from .origin_asgi import origin
from .rules import RULES
from .till import Till
from .waiting import AT_ONCE, OURS, WAIT, Asked, begun, content_of, polls_at, threads_of, until_polls_at

POLLS: Final = 200
#: How many of them begin together: on a busy machine more would not all be answered in time.
AT_A_TIME: Final = 20
MAX_POLLS: Final = 3
#: Seconds that are longer than what a request has that does not wait.
LONGER: Final = int(TOTAL_TIMEOUT) + 1

under_asgi = pytest.mark.parametrize("front", ASGI, indirect=True)
under_asgi_servers = pytest.mark.parametrize("front", [name for name in ASGI if name != ASGI_HERE], indirect=True)
under_wsgi = pytest.mark.parametrize("front", WSGI, indirect=True)


def few_polls() -> PaywallMiddleware:
    """Make a site where few may wait, configured by the environment."""
    return PaywallMiddleware(origin, RULES, max_polls=MAX_POLLS)


@pytest.fixture
def asked(reader: Reader, name: str) -> Asked:
    """Ask a reader to pay."""
    return Asked.of(reader, name)


@pytest.fixture
def other(readers: Callable[[], Reader], name: str) -> Asked:
    """Ask another reader to pay for the same."""
    return Asked.of(readers(), name)


def test_what_a_poll_tells(asked: Asked, readers: Callable[[], Reader], purse: TalerWallet, sandbox: Till) -> None:
    """A poll tells how to pay, that it was paid, and what was given back; other browsers' orders are unknown."""
    unpaid = asked.poll()
    assert unpaid.status_code == 200
    assert unpaid.headers["cache-control"] == "no-store"
    assert set(unpaid.json()) == {"paid", "taler_pay_uri"}
    stranger = Asked(readers(), asked.status_url).poll()
    assert (stranger.status_code, stranger.json()["code"]) == (404, 2005)
    assert asked.reader.http.get(f"{OURS}poll-payment").status_code == 400

    purse.claim(asked.status_url)
    assert urlsplit(asked.poll().json()["taler_pay_uri"]).path.split("/")[-2:] == [asked.order_id, asked.session_id]
    purse.pay(asked.status_url)
    assert asked.poll().json() == {"paid": True, "refunded": False}
    sandbox.give_back(asked.order_id)
    assert asked.poll().json() == {"paid": True, "refunded": True, "refund_amount": "KUDOS:0.5"}


def test_a_proof(asked: Asked, name: str, other: Asked, purse: TalerWallet, sandbox: Till) -> None:
    """The merchant's signature moves a purchase to another browser, which then reads it; nothing else does."""
    purse.pay(asked.status_url)
    assert asked.reader.visit(f"/paid/{name}").status_code == 200
    bought = next(purchase for purchase in purse.purchases if purchase.order_id == asked.order_id)
    proof = {"sig": bought.signature, "h_contract": bought.h_contract, "session_id": other.session_id}

    for order_id, changed, headers, status, code in (
        (asked.order_id, {"sig": "0"}, {}, 400, 26),
        (asked.order_id, {"sig": "0" * 103}, {}, 403, 2201),
        (asked.order_id, {"session_id": asked.session_id}, {}, 403, 44),
        (asked.order_id, {}, {"Origin": "https://evil.example"}, 403, 44),
        ("UNKNOWN", {}, {}, 404, 2005),
        (asked.order_id, {"more": "x" * 5000}, {}, 413, 32),
    ):
        refused = other.prove(order_id, proof | changed, **headers)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert other.reader.visit(f"/paid/{name}").status_code == 302

    accepted = other.prove(asked.order_id, proof)
    assert (accepted.status_code, accepted.json()) == (200, {"refunded": False})
    assert "set-cookie" not in accepted.headers
    assert other.reader.visit(f"/paid/{name}").status_code == 200
    assert len(sandbox.orders_for(name)) == 2


@under_asgi
@pytest.mark.parametrize("claimed", [False, True], ids=["unclaimed", "claimed"])
def test_a_payment_ends_the_wait(asked: Asked, purse: TalerWallet, sandbox: Till, *, claimed: bool) -> None:
    """A poll that waits is answered when the order is paid, whether a wallet had claimed it before or not."""
    if claimed:
        purse.claim(asked.status_url)
    with begun(sandbox, asked) as answer:
        purse.pay(asked.status_url)
    assert answer.result(AT_ONCE).json() == {"paid": True, "refunded": False}


@under_asgi
def test_an_earlier_purchase_ends_the_wait(
    asked: Asked, name: str, other: Asked, purse: TalerWallet, sandbox: Till
) -> None:
    """A poll that waits is answered when the wallet proves what it bought in another browser; then the page opens."""
    purse.pay(asked.status_url)
    assert asked.reader.visit(f"/paid/{name}").status_code == 200

    with begun(sandbox, other) as answer:
        purse.pay(other.status_url)
    told = answer.result(AT_ONCE).json()
    assert (told["paid"], told["already_paid_order_id"]) == (False, asked.order_id)
    assert other.reader.visit(f"/paid/{name}").status_code == 200


@under_asgi_servers
def test_many_polls(front: Front, asked: Asked, purse: TalerWallet, sandbox: Till) -> None:
    """Two hundred readers wait without a thread, others are served meanwhile, and who goes is not waited for."""
    assert front.process
    with front.reader() as other, ExitStack() as stack:
        assert asked.poll().status_code == 200
        before = threads_of(front.process.popen.pid)
        for count in range(AT_A_TIME, POLLS + 1, AT_A_TIME):
            for number in range(count - AT_A_TIME, count, MAX_WAITING):
                reader = stack.enter_context(front.reader())
                Asked.of(reader, f"{asked.order_id}-{number}").wait_outside(stack, MAX_WAITING)
            until_polls_at(sandbox, count)
        assert threads_of(front.process.popen.pid) <= before + 1

        purse.pay(other.visit(f"/paid/{front.name.replace(' ', '-')}-meanwhile").headers["location"])
        assert polls_at(sandbox) == POLLS
        log = front.log
    until_polls_at(sandbox, 0)
    assert asked.poll().status_code == 200
    assert not [line for line in front.log.removeprefix(log).splitlines() if "rror" in line or "Traceback" in line]


@under_asgi_servers
def test_a_poll_with_a_body(asked: Asked, purse: TalerWallet, sandbox: Till) -> None:
    """A body that a GET should not have does not end the wait, however it comes, and hides nobody who goes."""
    with ExitStack() as stack:
        [whole] = asked.wait_outside(stack, 1, "Content-Length: 5")
        chunked, gone = asked.wait_outside(stack, 2, "Transfer-Encoding: chunked")
        chunks = b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
        for connection, body in ((whole, b"hello"), (chunked, chunks), (gone, chunks)):
            for byte in body:
                connection.sendall(bytes([byte]))
        until_polls_at(sandbox, 3)
        gone.close()
        until_polls_at(sandbox, 2)
        purse.pay(asked.status_url)
        assert [content_of(connection)["paid"] for connection in (whole, chunked)] == [True, True]


def test_who_has_gone_is_sent_nothing(sandbox: Till, name: str) -> None:
    """When the server tells that the reader has gone, the wait ends without a word."""
    options: Options = {"backend": sandbox.url, "token": TOKEN, "secret_key": SECRET_KEY, "public_url": HERE}
    with serving(PaywallMiddleware(origin, RULES, **options)) as transport, Reader(HERE, transport) as reader:
        asked = Asked.of(reader, name)
        bench = Bench(options, reader.cookies())
    query = f"order_id={asked.order_id}&timeout={WAIT}".encode()
    wire = Wire.of()

    async def receive() -> Message:
        await anyio.to_thread.run_sync(until_polls_at, sandbox, 1)
        return {"type": "http.disconnect"}

    bench.call(bench.around(unreachable), bench.scope(f"{OURS}poll-payment", query_string=query), receive, wire.send)
    assert wire.sent == []
    until_polls_at(sandbox, 0)


@under_wsgi
def test_nothing_waits(front: Front, asked: Asked) -> None:
    """A poll is answered at once, whatever it asks for: threads are few."""
    started = time.monotonic()
    assert asked.poll(WAIT).json()["paid"] is False
    assert time.monotonic() - started < AT_ONCE


def test_more_polls_than_are_allowed(sandbox: Till, purse: TalerWallet, tmp_path: Path) -> None:
    """The next poll is told to come back, at once; one that ends makes room for one that waits to its end."""
    port = free_port()
    site = Process(
        tmp_path,
        *("uvicorn", "--factory", "tests.conformance.test_polls:few_polls", "--host", "127.0.0.1", "--port", str(port)),
        PYTHONPATH=str(ROOT / "tests"),
        TALER_PAYWALL_BACKEND=sandbox.url,
        TALER_PAYWALL_TOKEN=TOKEN,
        TALER_PAYWALL_SECRET_KEY=SECRET_KEY,
        TALER_PAYWALL_PUBLIC_URL=f"http://127.0.0.1:{port}",
    )
    with ExitStack() as stack:
        stack.callback(site.end)
        site.wait_for(f"http://127.0.0.1:{port}/")
        asked = Asked.of(stack.enter_context(Reader(f"http://127.0.0.1:{port}")), "few")
        opened = asked.wait_outside(stack, MAX_POLLS)
        until_polls_at(sandbox, MAX_POLLS)

        refused = asked.poll(WAIT)
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/json")
        assert int(refused.headers["retry-after"]) > 0
        assert asked.poll().status_code == 200, "this one does not wait"

        opened[0].close()
        until_polls_at(sandbox, MAX_POLLS - 1)
        started = time.monotonic()
        assert asked.poll(LONGER).json()["paid"] is False
        assert time.monotonic() - started >= LONGER
        purse.pay(asked.status_url)
        assert content_of(opened[1])["paid"] is True
        assert asked.poll(WAIT).json() == {"paid": True, "refunded": False}
