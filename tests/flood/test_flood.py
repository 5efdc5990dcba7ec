"""Visitors without cookies make so many orders in a minute and no more; nobody else notices them."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice, takewhile
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from reader import Reader
from running import eventually
from servers import Protocol
from shared_cache.redis_server import RedisServer

from .crowd import Heard, Request, flood
from .pages import text_of
from .world import UNTRUSTING, Site, World

VISITORS = 2000
WHY = "Too many have begun to buy here in a short time. Please come back in a minute."
PROTOCOLS: list[Protocol] = ["asgi", "wsgi"]
#: uvicorn reads X-Forwarded-For itself where its peer is on this machine, unless told otherwise.
ARGUMENTS = {"asgi": UNTRUSTING, "wsgi": ()}

OpenSite = Callable[..., Site]


@pytest.fixture(params=PROTOCOLS)
def open_site(request: pytest.FixtureRequest, world: World) -> OpenSite:
    """Start sites under uvicorn or under gunicorn."""
    protocol: Protocol = request.param
    return lambda **options: world.site(protocol, *ARGUMENTS[protocol], **options)


@pytest.fixture
def pages() -> Iterator[str]:
    """Return addresses that nobody has asked for yet."""
    return (f"/articles/{number}" for number in range(1_000_000))


@dataclass
class Minute:
    """How many orders there may be: those of a full bucket, and what has come in since it was touched first."""

    limit: int

    def __post_init__(self) -> None:
        self._began = time.monotonic()

    def allows(self, made: int, buckets: int = 1) -> bool:
        """Tell whether so many orders of so many buckets are all that were allowed, and no more."""
        since = math.ceil((time.monotonic() - self._began) * self.limit / 60)
        return self.limit * buckets <= made <= (self.limit + since) * buckets


def test_two_thousand_visitors(world: World, open_site: OpenSite, pages: Iterator[str]) -> None:
    """So many get an order as a minute allows; all others get 429, no cookie, and cost no call of the backend."""
    site, minute = open_site(max_orders=30, max_orders_per_client=None), Minute(30)
    heard = flood(site.port, [Request(page) for page in islice(pages, VISITORS)])
    asked = world.backend.asked
    assert len(heard) == VISITORS
    assert minute.allows(world.backend.made)
    answers = Counter(answer.status for answer in heard)
    assert answers == {302: world.backend.made, 429: VISITORS - world.backend.made}
    for answer in heard:
        assert (answer.headers.get("retry-after") == "60") is (answer.status == 429)
        assert ("set-cookie" in answer.headers) is (answer.status == 302)
    # An order takes two calls at the most: it is made, and looked at.
    site_calls = {path: count for path, count in asked.items() if path != "GET /config"}
    assert set(site_calls) <= {"POST /private/orders"} | {path for path in asked if path.startswith("GET /private/")}
    assert sum(site_calls.values()) <= 2 * world.backend.made


def test_people_are_told_why(open_site: OpenSite, pages: Iterator[str]) -> None:
    """A page for people, a problem for programs, in words that say what to do."""
    site = open_site(max_orders=1)
    flood(site.port, [Request(next(pages))])
    with Reader(site.url) as reader:
        page = reader.visit(next(pages))
        assert (page.status_code, page.headers["retry-after"]) == (429, "60")
        assert page.headers["content-type"].startswith("text/html")
        assert WHY in page.text
        program = reader.http.get(next(pages), headers={"Accept": "application/json"})
        assert (program.status_code, program.headers["retry-after"]) == (429, "60")
        assert program.headers["content-type"] == "application/problem+json"
        assert program.json()["detail"] == WHY
        assert not reader.cookies()


def test_readers_go_on_during_a_flood(world: World, open_site: OpenSite, pages: Iterator[str]) -> None:
    """Who has paid reads on; who was shown an order is shown the same one again, pays it, and reads."""
    site, minute = open_site(max_orders=5, max_orders_per_client=None, recheck_after=0), Minute(5)
    over = Event()
    visitors = map(Request, takewhile(lambda _: not over.is_set(), pages))
    with Reader(site.url) as paid, Reader(site.url) as unpaid, ThreadPoolExecutor(1) as pool:
        world.buy(paid, "/articles/bought")
        shown = unpaid.visit("/articles/shown")
        running = pool.submit(flood, site.port, visitors)
        eventually(lambda: world.backend.made >= 5, "the minute's orders are made")
        refused = unpaid.visit("/articles/new")
        again = unpaid.visit("/articles/shown")
        assert (again.status_code, again.headers["location"]) == (302, shown.headers["location"])
        world.pay(shown.headers["location"])
        for _ in range(20):
            assert paid.visit("/articles/bought").content == text_of("/articles/bought")
            assert unpaid.visit("/articles/shown").content == text_of("/articles/shown")
        assert not running.done()
        over.set()
        heard = running.result()
    assert refused.status_code == 429
    assert minute.allows(world.backend.made)
    assert {answer.status for answer in heard} <= {302, 429}


def by_client(heard: list[Heard]) -> Counter[str]:
    """Return how many were given an order, by what they say of themselves."""
    return Counter(dict(answer.request.headers)["X-Forwarded-For"] for answer in heard if answer.status == 302)


def from_clients(pages: Iterator[str], number: int, count: int, before: str = "") -> list[Request]:
    """Return requests by clients who take turns, each with an address in its X-Forwarded-For."""
    clients = cycle(f"{before}203.0.113.{client}" for client in range(number))
    return [Request(next(pages), (("X-Forwarded-For", next(clients)),)) for _ in range(count)]


def test_who_lies_about_the_address_gains_nothing(world: World, open_site: OpenSite, pages: Iterator[str]) -> None:
    """T52: as long as no proxy is trusted, whoever sends X-Forwarded-For is one client, whatever stands there."""
    site, minute = open_site(max_orders=None, max_orders_per_client=5), Minute(5)
    heard = flood(site.port, from_clients(pages, 200, 400))
    assert minute.allows(sum(by_client(heard).values()))
    assert minute.allows(world.backend.made)


def test_a_trusted_proxy_tells_clients_apart(world: World, open_site: OpenSite, pages: Iterator[str]) -> None:
    """From it, each client has a budget of its own; what clients themselves have written before counts for nothing."""
    site = open_site(max_orders=None, max_orders_per_client=5, trusted_proxies=["127.0.0.1"])
    minute = Minute(5)
    heard = flood(site.port, from_clients(pages, 10, 200))
    assert by_client(heard).keys() == {f"203.0.113.{client}" for client in range(10)}
    assert all(minute.allows(orders) for orders in by_client(heard).values())
    # The last address is the one that the proxy has seen, and it is the same for all of these.
    lies = [Request(next(pages), (("X-Forwarded-For", f"198.51.100.{number}, 192.0.2.1"),)) for number in range(100)]
    assert minute.allows(len([answer for answer in flood(site.port, lies) if answer.status == 302]))
    assert minute.allows(world.backend.made, buckets=11)


def test_uvicorn_reads_the_header_of_a_proxy_on_this_machine(world: World, pages: Iterator[str]) -> None:
    """Its peer is then the client: the paywall need not know of the proxy."""
    site = world.site("asgi", max_orders=None, max_orders_per_client=5)
    minute = Minute(5)
    heard = flood(site.port, from_clients(pages, 10, 200))
    assert len(by_client(heard)) == 10
    assert all(minute.allows(orders) for orders in by_client(heard).values())


def test_a_proxy_that_nobody_has_named_is_in_the_log(open_site: OpenSite, pages: Iterator[str]) -> None:
    """Once, when the first client is told to wait for what others have done."""
    site = open_site(max_orders=None, max_orders_per_client=2)
    flood(site.port, from_clients(pages, 10, 2))
    assert "trusted_proxies" not in site.process.output
    flood(site.port, from_clients(pages, 10, 50))
    said = [line for line in site.process.output.splitlines() if "trusted_proxies" in line]
    assert [line.partition(" orders ")[0] for line in said] == ["WARNING taler_paywall"]
    assert "all come from 127.0.0.1" in said[0]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    started = RedisServer(tmp_path)
    yield started
    started.close()


def test_all_workers_share_one_budget(world: World, redis_server: RedisServer, pages: Iterator[str]) -> None:
    """With Redis, the orders of two servers of one site are counted together, and those of a client too."""
    options = {"cache": redis_server.url, "max_orders": 30, "max_orders_per_client": 20}
    one_site = {"TALER_PAYWALL_PUBLIC_URL": "http://127.0.0.1:9"}

    def start(**more: Any) -> list[Site]:
        return [world.site(kind, *ARGUMENTS[kind], environ=one_site, **options, **more) for kind in PROTOCOLS]

    everybody, one = Minute(30), Minute(20)
    for site in start():
        flood(site.port, [Request(page) for page in islice(pages, 200)])
    assert one.allows(world.backend.made)
    for site in start(trusted_proxies=["127.0.0.1"]):
        flood(site.port, from_clients(pages, 50, 200))
    assert everybody.allows(world.backend.made)


@pytest.mark.parametrize(
    "options",
    [
        {"max_orders": 10_000},
        # Everybody is on this machine, and is meant to try things out.
        {},
    ],
    ids=json.dumps,
)
def test_without_a_limit_everybody_gets_an_order(world: World, options: dict[str, Any], pages: Iterator[str]) -> None:
    """The tests above would see a flood that nothing holds back."""
    site = world.site("asgi", **options)
    heard = flood(site.port, [Request(page) for page in islice(pages, 200)])
    assert (Counter(answer.status for answer in heard), world.backend.made) == ({302: 200}, 200)
