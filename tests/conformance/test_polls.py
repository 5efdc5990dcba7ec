"""Polls and proofs: the paywall's own addresses for pages and clients that wait for a payment, or prove an old one."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from reader import Reader, order_of
from running import SECRET_KEY, TOKEN, Process, eventually, free_port

from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.testing.wallet import TalerWallet

from .front import ASGI, ASGI_HERE, WSGI, Front
from .origin_asgi import origin
from .rules import RULES
from .till import Till

OURS: Final = "/.well-known/taler-paywall/"
POLLS: Final = 200
#: Seconds that a poll asks for: more than any test takes if it is woken.
WAIT: Final = 50
#: What is answered at once is answered in a small part of that.
AT_ONCE: Final = 20
MAX_POLLS: Final = 3

under_asgi_servers = pytest.mark.parametrize("front", [name for name in ASGI if name != ASGI_HERE], indirect=True)
under_wsgi = pytest.mark.parametrize("front", WSGI, indirect=True)


def few_polls() -> PaywallMiddleware:
    """Make a site where few may wait, configured by the environment."""
    return PaywallMiddleware(origin, RULES, max_polls=MAX_POLLS)


@dataclass(frozen=True)
class Asked:
    """One reader who was asked to pay.

    Args:
        status_url: where the reader was sent.
    """

    reader: Reader
    status_url: str

    @classmethod
    def of(cls, reader: Reader, name: str) -> Asked:
        return cls(reader, reader.visit(f"/paid/{name}").headers["location"])

    @property
    def order_id(self) -> str:
        return order_of(self.status_url)

    @property
    def session_id(self) -> str:
        return parse_qs(urlsplit(self.status_url).query)["session_id"][0]

    def poll(self, timeout: int = 0) -> httpx.Response:
        query = {"order_id": self.order_id, "timeout": str(timeout)}
        return self.reader.http.get(f"{OURS}poll-payment", params=query, timeout=WAIT + 20)

    def prove(self, order_id: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        own = {"Origin": self.reader.base_url}
        return self.reader.http.post(f"{OURS}orders/{order_id}/paid", json=body, headers=own | headers)

    def wait_outside(self, stack: ExitStack, count: int = 1, *headers: str) -> list[socket.socket]:
        """Open so many connections with a poll each, and read none."""
        url = urlsplit(self.reader.base_url)
        cookies = "; ".join(f"{name}={value}" for name, value in self.reader.cookies().items())
        target = f"{OURS}poll-payment?order_id={self.order_id}&timeout={WAIT}"
        head = "\r\n".join((f"GET {target} HTTP/1.1", f"Host: {url.netloc}", f"Cookie: {cookies}", *headers))
        opened = []
        for _ in range(count):
            opened.append(stack.enter_context(socket.create_connection((url.hostname, url.port), 30)))
            opened[-1].sendall(f"{head}\r\n\r\n".encode())
        return opened


@pytest.fixture
def asked(reader: Reader, name: str) -> Asked:
    """Ask a reader to pay."""
    return Asked.of(reader, name)


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """Have something done while the test goes on."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


def waiting(till: Till) -> int:
    """Return how many long polls wait at the backend."""
    count: int = httpx.get(f"{till._control}/", trust_env=False, timeout=20).json()["waiting"]
    return count


def begun(till: Till, asked: Asked, elsewhere: ThreadPoolExecutor) -> Future[httpx.Response]:
    """Poll until something happens, and return when the backend waits for it."""
    answer = elsewhere.submit(asked.poll, WAIT)
    eventually(lambda: waiting(till) == 1, "the poll waits at the backend")
    return answer


def all_of(connection: socket.socket) -> bytes:
    """Return an answer with its body, which comes at once with the head or after it."""
    answer = connection.recv(10_000)
    return answer if answer.endswith(b"}") else answer + connection.recv(10_000)


def threads_of(pid: int) -> int:
    """Return how many threads a process and all its descendants have."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended since it was listed
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(len(list(Path(f"/proc/{member}/task").iterdir())) for member in family)


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


def test_a_proof(asked: Asked, name: str, readers: Callable[[], Reader], purse: TalerWallet, sandbox: Till) -> None:
    """The merchant's signature moves a purchase to another browser, which then reads it; nothing else does."""
    purse.pay(asked.status_url)
    assert asked.reader.visit(f"/paid/{name}").status_code == 200
    bought = next(purchase for purchase in purse.purchases if purchase.order_id == asked.order_id)
    other = Asked.of(readers(), name)
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


@under_asgi_servers
@pytest.mark.parametrize("claimed", [False, True], ids=["unclaimed", "claimed"])
def test_a_payment_ends_the_wait(
    asked: Asked, purse: TalerWallet, sandbox: Till, elsewhere: ThreadPoolExecutor, *, claimed: bool
) -> None:
    """A poll that waits is answered when the order is paid, whether a wallet had claimed it before or not."""
    if claimed:
        purse.claim(asked.status_url)
    answer = begun(sandbox, asked, elsewhere)
    assert not answer.done()
    purse.pay(asked.status_url)
    assert answer.result(AT_ONCE).json() == {"paid": True, "refunded": False}


@under_asgi_servers
def test_an_earlier_purchase_ends_the_wait(
    asked: Asked,
    name: str,
    readers: Callable[[], Reader],
    purse: TalerWallet,
    sandbox: Till,
    elsewhere: ThreadPoolExecutor,
) -> None:
    """A poll that waits is answered when the wallet proves what it bought in another browser; then the page opens."""
    purse.pay(asked.status_url)
    assert asked.reader.visit(f"/paid/{name}").status_code == 200
    other = Asked.of(readers(), name)

    answer = begun(sandbox, other, elsewhere)
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
        asked.wait_outside(stack, POLLS)
        eventually(lambda: waiting(sandbox) == POLLS, "all polls wait at the backend")
        assert threads_of(front.process.popen.pid) <= before + 1

        purse.pay(other.visit(f"/paid/{front.name.replace(' ', '-')}-meanwhile").headers["location"])
        assert waiting(sandbox) == POLLS
        log = front.log
    eventually(lambda: waiting(sandbox) == 0, "nobody is waited for")
    assert asked.poll().status_code == 200
    assert not [line for line in front.log.removeprefix(log).splitlines() if "rror" in line or "Traceback" in line]


@under_asgi_servers
def test_a_poll_with_a_body(asked: Asked, purse: TalerWallet, sandbox: Till) -> None:
    """A body that a GET should not have does not end the wait, however it comes."""
    with ExitStack() as stack:
        [whole] = asked.wait_outside(stack, 1, "Content-Length: 5")
        [chunked] = asked.wait_outside(stack, 1, "Transfer-Encoding: chunked")
        for connection, body in ((whole, b"hello"), (chunked, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")):
            for byte in body:
                connection.sendall(bytes([byte]))
        eventually(lambda: waiting(sandbox) == 2, "both wait at the backend")
        purse.pay(asked.status_url)
        assert [b'"paid":true' in all_of(connection) for connection in (whole, chunked)] == [True, True]


@under_wsgi
def test_nothing_waits(front: Front, asked: Asked) -> None:
    """A poll is answered at once, whatever it asks for: threads are few."""
    started = time.monotonic()
    assert asked.poll(WAIT).json()["paid"] is False
    assert time.monotonic() - started < AT_ONCE


def test_more_polls_than_are_allowed(sandbox: Till, purse: TalerWallet, tmp_path: Path) -> None:
    """The next poll is told to come back, at once; a poll that ends makes room, and nothing else is held up."""
    port = free_port()
    site = Process(
        tmp_path,
        *("uvicorn", "--factory", "tests.conformance.test_polls:few_polls", "--host", "127.0.0.1", "--port", str(port)),
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
        eventually(lambda: waiting(sandbox) == MAX_POLLS, "as many as are allowed wait")

        refused = asked.poll(WAIT)
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/json")
        assert int(refused.headers["retry-after"]) > 0
        assert asked.poll().status_code == 200, "this one does not wait"

        opened[0].close()
        eventually(lambda: waiting(sandbox) == MAX_POLLS - 1, "its place is free")
        purse.pay(asked.status_url)
        assert b"200 OK" in opened[1].recv(1000)
        assert asked.poll(WAIT).json() == {"paid": True, "refunded": False}
