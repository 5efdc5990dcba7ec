"""Rows of docs/threats.md that no other test shows: E2, E9, G18, K7 and K9, and A11 with a payment in hand."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from a2wsgi import WSGIMiddleware
from conformance.front import Front, Fronts
from conformance.raw import connect
from conformance.wsgi_calls import behind, hello
from running import Sandbox, eventually

from .hostile import Books, Hostile
from .jar import Jar
from .scenarios import SCENARIOS
from .shop import Adapter, both, check, opened

#: A visit has five seconds.
DEADLINE: Final = 20.0
#: The servers that leave it to the application whether a body is wanted; the others ask for it on their own.
ASKING: Final = ("uvicorn", "uvicorn h11", "granian", "granian wsgi")


@both
@pytest.mark.parametrize("up", ["..", "%2e%2e", ".%2E", "..;", "x/../.."])
def test_a_cheap_payment_leads_nowhere_up(up: str, adapter: Adapter) -> None:
    """Who has paid for a section does not get into its neighbour by going up from it, or down into it (A11)."""
    with opened(adapter) as (shop, books):
        jar = Jar(books, "/premium/cheap")
        cookie = f"{jar.name}={jar.value('paid', '/premium/cheap')}"
        assert shop.visit("/premium/cheap/x", cookie).granted
        for path in (f"/premium/cheap/{up}/dear/x", f"/premium/dear/{up}/cheap/x"):
            answer = shop.visit(path, cookie)
            assert answer.status == 400
            check(answer)


@both
def test_a_planted_cookie_is_shared_and_no_other(adapter: Adapter) -> None:
    """Whose genuine cookies are planted reads what is paid under them, and nothing of the reader's own (E2)."""
    with opened(adapter) as (shop, books):
        planted, own = shop.visit("/article").cookies, shop.visit("/premium/mine").cookies
        for path, cookies in (("/article", planted), ("/premium/mine", own)):
            asked = shop.visit(path, cookies)
            assert (asked.status, asked.cookies) == (402, "")
        books.pay()
        read = [shop.visit("/article", planted), shop.visit("/premium/mine", own)]
        shut = [shop.visit("/premium/mine", planted), shop.visit("/article", own), shop.visit("/article")]
        assert [answer.status for answer in (*read, *shut)] == [200, 200, 402, 402, 402]


@both
def test_signatures_are_compared_in_constant_time(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every signature of a cookie, genuine or not, is compared by what takes the same time for both (E9)."""
    compare, verdicts = hmac.compare_digest, list[bool]()

    def noting(mine: Any, theirs: Any) -> bool:
        verdicts.append(compare(mine, theirs))
        return verdicts[-1]

    with opened(adapter) as (shop, books):
        jar = Jar(books)
        genuine, forged = (f"{jar.name}={jar.value('paid', '/article', spoilt)}" for spoilt in ("", "flip_sig"))
        monkeypatch.setattr(hmac, "compare_digest", noting)
        assert shop.visit("/article", genuine).granted
        assert verdicts == [True]
        verdicts.clear()
        assert shop.visit("/article", forged).status == 402
        assert set(verdicts) == {False}


@both
def test_a_replica_that_lags_makes_no_second_order(adapter: Adapter) -> None:
    """Where a payment is not known yet, who has just read reads on, and elsewhere the same order is shown (G18)."""
    with opened(adapter) as (shop, books):
        bought = shop.visit("/article").cookies
        books.pay()
        assert shop.visit("/article", bought).granted
        books.scenario = "unpaid"
        with shop.twin() as elsewhere:
            assert [one.visit("/article", bought).status for one in (shop, elsewhere)] == [200, 402]
        assert len(books.posts) == 1


@pytest.fixture(scope="module")
def fronts(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    """Start sites on demand."""
    started = Fronts(tmp_path_factory.mktemp("fronts"), sandbox.url)
    yield started
    started.close()


@pytest.mark.parametrize("server", ASKING)
def test_nobody_is_told_to_go_on_unpaid(server: str, fronts: Fronts) -> None:
    """Who asks before a large body is sent is answered 402 at once for what is sold, and 100 for what is free (K7)."""
    assert first_status(fronts[server], "/paid/upload") == b"402"
    assert first_status(fronts[server], "/free") == b"100"


def first_status(front: Front, path: str) -> bytes:
    """Announce a body and return the status of the first answer."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
    with connect(front.url) as connection:
        connection.sendall(head.encode())
        return connection.recv(65_536).split()[1]


def test_a_wsgi_site_in_an_event_loop() -> None:
    """Under a bridge to ASGI the loop goes on while a backend says nothing, and the deadline holds (K9)."""
    books = Books(SCENARIOS, "hang")

    # It has types of its own for both protocols.
    bridge: Any = WSGIMiddleware

    async def visit(url: str) -> list[int]:
        transport = httpx.ASGITransport(bridge(behind(hello, url)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as reader:
            waiting = asyncio.create_task(reader.get("/paid/x"))
            await asyncio.to_thread(eventually, lambda: any(asked.order_id for asked in books.asked), "it is asked")
            free = await reader.get("/free")
            assert not waiting.done()
            return [free.status_code, (await waiting).status_code]

    with Hostile(books) as backend:
        assert asyncio.run(asyncio.wait_for(visit(backend.url), DEADLINE)) == [200, 503]
