"""Nothing that anybody sends opens the gate: the requests of the corpus in process, as servers hand them over."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from socketserver import BaseRequestHandler, TCPServer
from typing import Any, Final

import pytest
from anyio.from_thread import start_blocking_portal
from msgspec.structs import replace
from running import SECRET_KEY, TOKEN, Sandbox, SoldOrder

from taler_paywall import Resource, Rule
from taler_paywall.asgi import PaywallMiddleware as AsgiPaywall
from taler_paywall.session import Cookies, Keys, Order
from taler_paywall.settings import Options
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

from .corpus import Attack, Style, attacks, corpus
from .tolerant import Answer, Asgi, Wsgi

#: What is asked by visitors who have not paid; redirects and caching with other backends have tests of their own.
ENTRIES: Final = {
    attack.id: attack
    for attack in attacks("path", "method", "header", "protocol", "public", "noorder", "redirect", "caching")
    if attack.group not in {"redirect", "caching"} or attack.setup.backend == "unpaid"
}
#: Neither HTTP nor a websocket: it has no answer, and a test of its own.
WEBTRANSPORT: Final = ENTRIES.pop("protocol-005")

PUBLIC_URL: Final = "http://t.test"
OPTIONS: Final[Options] = {"token": TOKEN, "secret_key": SECRET_KEY, "public_url": PUBLIC_URL}
#: How requests come in: as servers read the request-target, and whether it is told beside the path.
WAYS: Final = (
    "asgi h11",
    "asgi httptools",
    "wsgi h11 told",
    "wsgi h11 untold",
    "wsgi httptools told",
    "wsgi httptools untold",
)
#: How many of the entries the tolerant application answers with the secret, left to itself, whichever way they come.
SERVED: Final = 151

ANY: Final = range(100, 600)
EXPECTED: Final = {
    "must_402_or_redirect": (302, 402),
    "must_be_4xx": range(400, 500),
    "must_not_leak": ANY,
    "must_not_create_order": ANY,
    "must_pass_public": (101, 200),
}
#: Entries that the design answers otherwise than the corpus, and why.
READ_DIFFERENTLY: Final = {
    "path-023": (400, 402),  # an encoded slash has two readings, and what has two readings is refused (design, 4)
}
#: Where only the decoded path is told, ``%`` cannot be told from ``%25``, which is an ordinary name and sold.
STRAY_PERCENT_SIGN: Final = "noorder-014"


@dataclass(frozen=True)
class Row:
    """What one entry is answered, by the application alone and behind the paywall."""

    bare: Answer
    behind: Answer


class Nobody(TCPServer):
    """A backend that hangs up, and counts who calls."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BaseRequestHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        self.calls = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.calls += 1
        super().process_request(request, client_address)


class Table:
    """All entries, asked of one site in one way."""

    def __init__(self, name: str, way: Asgi | Wsgi, sandbox: Sandbox, stack: ExitStack) -> None:
        self.name = name
        self._way = way
        self._sandbox = sandbox
        self._stack = stack
        self._paywalled = cache(self._paywall)
        self.nobody = stack.enter_context(Nobody())
        threading.Thread(target=self.nobody.serve_forever, kwargs={"poll_interval": 0.02}).start()
        stack.callback(self.nobody.shutdown)
        known = len(sandbox.orders())
        self.rows = {attack.id: self._row(attack) for attack in ENTRIES.values()}
        self.made = sandbox.orders()[known:]

    def orders(self, name: str) -> list[SoldOrder]:
        """Return the orders that the answer to an entry asks to pay."""
        return [order for order in self.made if self.rows[name].behind.names(order.order_id)]

    def ask(self, attack: Attack, backend: str) -> Answer:
        """Ask behind the paywall."""
        pattern = "/premium/{slug}" if "exists" in attack.setup.config else attack.protected_pattern
        public_url = attack.setup.config.get("public_base_url", PUBLIC_URL)
        return self._way.ask(self._paywalled(pattern, public_url, backend), attack)

    def _row(self, attack: Attack) -> Row:
        backend = self.nobody.url if attack.expected == "must_pass_public" else self._sandbox.url
        if "{{name}}" in str(attack.request):
            request = replace(attack.request, headers=(("Cookie", old_cookie(backend)),))
            attack = replace(attack, request=request)
        return Row(self._way.ask(self._way.tolerant, attack), self.ask(attack, backend))

    def _paywall(self, pattern: str, public_url: str, backend: str) -> AsgiPaywall | WsgiPaywall:
        patterns = dict.fromkeys([pattern, "/premium/*", "/article", "/api/v1/paid"])
        options: Options = {**OPTIONS, "public_url": public_url, "backend": backend}
        return self._way.paywalled([Rule(each, price_of) for each in patterns], options, self._stack)


def price_of(resource: Resource) -> str | None:
    """Return no price for the page that the site does not have."""
    return None if resource.parts.get("slug") == "does-not-exist" else "KUDOS:1"


def old_cookie(backend: str) -> str:
    """Return a buyer's cookie that is due to be renewed, if only the paywall looks at it."""
    keys, now = Keys((SECRET_KEY.encode(),), f"{PUBLIC_URL} {backend}"), int(time.time())
    session, tag = keys.session_id("a buyer of old"), Resource("/article", "/article", {}).tag
    order = Order(session, keys.order_id(session, "/article", 0), tag, 0, 0, "KUDOS:1", "", 0, now - 300 * 86_400)
    cookies = Cookies(keys, secure=False, max_age=400 * 86_400).order_cookies([], order)
    return cookies[0].decode().partition(";")[0]


@pytest.fixture(scope="module", params=WAYS)
def table(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Table]:
    """Ask everything in one way."""
    protocol, style, *told = request.param.split()
    with ExitStack() as stack:
        way: Asgi | Wsgi = Wsgi(style, raw=told == ["told"])
        if protocol == "asgi":
            way = Asgi(style, stack.enter_context(start_blocking_portal()))
        yield Table(request.param, way, sandbox, stack)


def expected_of(attack: Attack) -> Any:
    """Return the statuses that are right."""
    return READ_DIFFERENTLY.get(attack.id) or attack.status or EXPECTED[attack.expected]


@pytest.mark.parametrize("attack", ENTRIES.values(), ids=ENTRIES)
def test_nothing_opens_the_gate_but_a_payment(table: Table, attack: Attack, sandbox: Sandbox) -> None:
    """Every request is refused without a trace of the secret, or reaches an application that answers without it."""
    answer, orders = table.rows[attack.id].behind, table.orders(attack.id)
    assert answer.status in expected_of(attack)
    assert not answer.traces
    may_order = attack.id == STRAY_PERCENT_SIGN and table.name.endswith("untold")
    assert not orders or may_order or "must_not_create_order" not in {attack.expected, *attack.also}
    if answer.reached:
        assert answer == table.rows[attack.id].bare
        return
    assert attack.expected != "must_pass_public"
    assert not answer.read
    assert answer.header(b"cache-control") == b"no-store"
    assert len(orders) == (1 if answer.header(b"set-cookie") else 0)
    if orders:
        assert answer.status in {302, 402}
        assert b"cookie" in answer.header(b"vary").lower()
        assert answer.header(b"location").decode().startswith(sandbox.url if answer.status == 302 else "")
    else:
        assert answer.status in {400, 402, 414}


def test_every_order_is_of_an_answer_that_asks_for_it(table: Table) -> None:
    """No order is made for anybody who is not told of it."""
    assert len(table.made) == sum(len(table.orders(name)) for name in ENTRIES) > 50


def test_most_requests_show_something(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """As many requests as ever would have got the secret without the paywall."""
    served = [row.behind for row in table.rows.values() if row.bare.traces]
    leaks = [answer for answer in served if answer.reached or answer.traces]
    statuses = ", ".join(
        f"{number} by {status}" for status, number in sorted(Counter(a.status for a in served).items())
    )
    with capsys.disabled():
        print(f"\n{table.name}: {len(table.rows)} requests, {len(served)} get the secret without the paywall,", end=" ")
        print(f"{len(leaks)} behind it; refused {statuses}")
    assert not leaks
    assert len(served) == SERVED


def test_a_public_page_asks_no_backend(table: Table) -> None:
    """The backend of the public entries was never called; the same site calls it once something is sold."""
    public = [row for name, row in table.rows.items() if ENTRIES[name].expected == "must_pass_public"]
    assert len(public) == 16
    assert all(row.behind.reached for row in public)
    assert table.nobody.calls == 0
    assert table.ask(ENTRIES["path-001"], table.nobody.url).status == 503
    assert table.nobody.calls > 0
    table.nobody.calls = 0


@pytest.mark.parametrize("name", ["header-048", "header-055"])
def test_no_header_moves_the_fulfillment_url(table: Table, name: str) -> None:
    """What a wallet is told to come back to is the site's own address."""
    assert [order.fulfillment_url for order in table.orders(name)] == ["https://shop.test/article"]


def test_no_two_visitors_share_a_session(table: Table, sandbox: Sandbox) -> None:
    """Who asks without a cookie gets a session of his own, and an order under it."""
    again = table.ask(ENTRIES["caching-004"], sandbox.url)
    first = table.rows["caching-004"].behind
    assert again.status == first.status == 302
    assert first.header(b"set-cookie") != again.header(b"set-cookie")
    assert first.header(b"location") != again.header(b"location")


@pytest.mark.parametrize("style", ["h11", "httptools"])
def test_an_unknown_protocol_is_never_let_through(style: Style, sandbox: Sandbox) -> None:
    """Where the paywall cannot say no, it raises."""
    with ExitStack() as stack:
        way = Asgi(style, stack.enter_context(start_blocking_portal()))
        assert way.ask(way.tolerant, WEBTRANSPORT).traces
        rules = [Rule(WEBTRANSPORT.protected_pattern, "KUDOS:1")]
        paywall = way.paywalled(rules, {**OPTIONS, "backend": sandbox.url}, stack)
        with pytest.raises(NotImplementedError):
            way.ask(paywall, WEBTRANSPORT)
        assert len(way.tolerant.reached) == 1


def test_the_corpus_is_whole() -> None:
    """No entry was lost, no key is unknown (or it could not be read), and no reference is but a published advisory."""
    assert len({attack.id for attack in corpus()}) == 284
    refs = [ref for attack in corpus() for ref in attack.refs]
    assert len(refs) > 100
    assert [ref for ref in refs if not re.fullmatch(r"CVE-\d{4}-\d+|GHSA(-[0-9a-z]{4}){3}", ref)] == []
