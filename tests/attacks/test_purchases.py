"""What a browser has bought: two hundred things in few and small cookies, and nothing else by any of them."""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from socket import IPPROTO_TCP, SHUT_RDWR, TCP_NODELAY, create_connection, socket
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any, Final, Unpack

import pytest
from conformance import origin_asgi, origin_wsgi
from playwright.sync_api import sync_playwright
from reader import Reader
from running import SECRET_KEY, TOKEN, Sandbox, SoldOrder, free_port
from servers import BY_NAME
from tab import ARGUMENTS, CHROMIUM, Tab

from taler_paywall import Rule, asgi, wsgi
from taler_paywall.session import MAX_BYTES, MAX_ORDERS
from taler_paywall.settings import Options, RuleList
from taler_paywall.testing.client import serving
from taler_paywall.testing.wallet import TalerWallet

SERVERS: Final = ["uvicorn", "gunicorn threads"]
SINGLY, TABS, ROUNDS = 104, 8, 12
#: What other sites on the same host have left in the browser.
OTHERS: Final = "x" * 2048

Behind = Callable[..., AbstractContextManager[Reader]]


class Relay(ThreadingTCPServer):
    """Stands between the site and its backend, whose port is given, and counts what the site asks."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passage)
        self.backend = port
        self.calls = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


class _Passage(BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with create_connection(("127.0.0.1", self.server.backend)) as backend:
            for end in (backend, self.request):
                # Small parts would wait for each other.
                end.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            Thread(target=_copy, args=(backend, self.request, len), daemon=True).start()
            _copy(self.request, backend, self.count)

    def count(self, part: bytes) -> None:
        self.server.calls += len(re.findall(rb"(?m)^(?:GET|POST) /private/", part))


def _copy(source: socket, target: socket, note: Callable[[bytes], object]) -> None:
    """Hand everything on; when one side has broken off, the other is told."""
    with suppress(OSError):
        while part := source.recv(65_536):
            note(part)
            target.sendall(part)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(SHUT_RDWR)


class Shop:
    """A site that can be started again, its backend behind the relay."""

    def __init__(self, server: str, home: Path, relay: Relay, sandbox: Sandbox) -> None:
        self._server = BY_NAME[server]
        self._home = home
        self.relay = relay
        self._sandbox = sandbox
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Start it, again at the same port."""
        app = f"tests.conformance.served_{self._server.protocol}:app"
        settings = {
            "TALER_PAYWALL_PUBLIC_URL": self.url,
            "TALER_PAYWALL_BACKEND": self.relay.url,
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
        }
        self.process = self._server.start(self._home, app, self._port, **settings)
        self.process.wait_for(f"{self.url}/")

    @property
    def orders(self) -> list[SoldOrder]:
        """What this site has asked to be paid."""
        return [order for order in self._sandbox.orders() if order.fulfillment_url.startswith(f"{self.url}/")]


@pytest.fixture
def relay(sandbox: Sandbox) -> Iterator[Relay]:
    """Count what is asked of the sandbox."""
    with Relay(sandbox.port) as started:
        Thread(target=started.serve_forever, daemon=True).start()
        yield started
        started.shutdown()


@pytest.fixture(params=SERVERS)
def shop(request: pytest.FixtureRequest, relay: Relay, sandbox: Sandbox, tmp_path: Path) -> Iterator[Shop]:
    started = Shop(request.param, tmp_path, relay, sandbox)
    yield started
    started.process.end()
    assert "Traceback" not in started.process.output


@pytest.fixture(params=[asgi, wsgi], ids=["asgi", "wsgi"])
def behind(request: pytest.FixtureRequest, sandbox: Sandbox) -> Behind:
    """Open browsers in front of sites in this process, with rules and options of their own, at an address of theirs."""
    application = origin_asgi.origin if request.param is asgi else origin_wsgi.origin
    port = free_port()

    @contextmanager
    def opened(rules: RuleList, **options: Unpack[Options]) -> Iterator[Reader]:
        url = f"http://127.0.0.1:{port}"
        given: Options = {"backend": sandbox.url, "token": TOKEN, "secret_key": SECRET_KEY, "public_url": url}
        site: Any = request.param.PaywallMiddleware(application, rules, **{**given, **options})
        with serving(site) as transport, Reader(url, transport) as one:
            yield one

    return opened


@pytest.fixture
def purse(tmp_path: Path) -> Iterator[TalerWallet]:
    with TalerWallet(tmp_path / "wallet.sqlite") as opened:
        yield opened


def sent(reader: Reader) -> tuple[int, int]:
    """Return how many order cookies of the paywall the browser would send now, and how many bytes with the session."""
    pairs = reader.http.build_request("GET", "/").headers["cookie"].split("; ")
    assert f"other={OTHERS}" in pairs
    ours = [pair for pair in pairs if pair.startswith("taler_")]
    return sum("_order_" in pair for pair in ours), len("; ".join(ours))


def few_and_small(reader: Reader) -> None:
    """Check what the paywall makes the browser send."""
    orders, size = sent(reader)
    assert orders <= MAX_ORDERS == 12
    assert size <= MAX_BYTES == 4096


def buy(reader: Reader, purse: TalerWallet, page: str, asked: str) -> None:
    """Ask, pay, go where the wallet leads to, and read."""
    paid = purse.pay(reader.visit(asked).headers["location"])
    assert (paid.how, paid.fulfillment_url) == ("paid", reader.base_url + page)
    back = reader.come_back(reader.base_url + page)
    read = reader.visit(back.headers["location"]) if back.status_code == 303 else back
    assert (read.status_code, str(read.url)) == (200, reader.base_url + asked)


def buy_in_tabs(reader: Reader, purse: TalerWallet, pages: list[str]) -> None:
    """Ask for several pages at the same time, pay one after another, and read at the same time."""
    with ThreadPoolExecutor(len(pages)) as tabs:
        asked = list(tabs.map(reader.visit, pages))
        assert [purse.pay(answer.headers["location"]).how for answer in asked] == ["paid"] * len(pages)
        assert [answer.json()["path"] for answer in tabs.map(reader.come_back, pages)] == pages
    assert sent(reader)[0] < MAX_ORDERS + len(pages)


def test_two_hundred_purchases_in_one_browser(shop: Shop, purse: TalerWallet) -> None:
    """One by one, and in eight tabs at once; then, in a new worker and any order, all is read without the wallet."""
    pages = [f"/paid/p{number}-{secrets.token_hex(4)}" for number in range(SINGLY + TABS * ROUNDS)]
    with Reader(shop.url) as reader:
        reader.http.cookies.set("other", OTHERS, domain="127.0.0.1", path="/")
        # A server may give a connection up at the very moment in which the reader uses it again.
        reader.http.headers["Connection"] = "close"
        for number, page in enumerate(pages[:SINGLY]):
            buy(reader, purse, page, f"{page}/part?number={number}" if number % 2 else page)
            few_and_small(reader)
        for first in range(SINGLY, len(pages), TABS):
            buy_in_tabs(reader, purse, pages[first : first + TABS])

        shop.process.end()
        shop.start()
        for page in random.Random(5).sample(pages, len(pages)):
            before = shop.relay.calls
            answer = reader.visit(page)
            assert (answer.status_code, answer.json()["path"]) == (200, page)
            assert shop.relay.calls - before <= 2
        few_and_small(reader)

    orders = shop.orders
    assert len(orders) == len({order.fulfillment_url for order in orders}) == len(pages) == 200
    assert all(order.paid for order in orders)


@pytest.mark.parametrize("shop", SERVERS[:1], indirect=True)
def test_fourteen_purchases_in_chromium(shop: Shop) -> None:
    """A real browser drops the oldest cookies as it is told to, and reads all that it has bought."""
    pages = [f"/paid/c{number}-{secrets.token_hex(4)}" for number in range(14)]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser,
    ):
        tab = Tab(browser.new_context())
        names: set[str] = set()
        for page in pages:
            assert tab.open(f"{shop.url}{page}?from=here") == 402
            tab.button("Pay with play money").click()
            tab.wait_for(f"{shop.url}{page}?from=here")
            held = {cookie["name"]: cookie["value"] for cookie in tab.context.cookies() if "_order_" in cookie["name"]}
            assert len(held) <= MAX_ORDERS
            assert sum(len(name) + len(value) + 3 for name, value in held.items()) < MAX_BYTES
            names |= held.keys()
        assert len(names) == len(pages) > len(held), "some were dropped"
        for page in pages:
            assert tab.open(shop.url + page) == 200
            assert page in tab.text
    assert len(shop.orders) == len(pages)


def bought(reader: Reader, purse: TalerWallet, page: str) -> str:
    """Buy a page, read it, and return how the wallet paid."""
    how = purse.pay(reader.visit(page).headers["location"]).how
    assert reader.visit(page).status_code == 200
    return how


def test_cheap_opens_nothing_dear(behind: Behind, purse: TalerWallet) -> None:
    """A purchase is for its rule, its method and its query, wherever its cookie is sent."""
    rules = [
        Rule("POST /run", "KUDOS:2", page="/prices"),
        Rule("/run", "KUDOS:0.1"),
        Rule("/dear", "KUDOS:5"),
        Rule("/shop", lambda found: "KUDOS:3" if found.parts.get("id") == "dear" else "KUDOS:0.1", query=["id"]),
    ]
    with behind(rules) as reader:
        for cheap in ("/run", "/shop?id=cheap", "/shop"):
            assert bought(reader, purse, cheap) == "paid"
        held = reader.cookies()
        for dear in ("/dear", "/shop?id=dear", "/shop?id=DEAR&x=cheap"):
            assert reader.visit(dear).status_code == 302
        assert reader.visit("/shop?id=cheap&id=dear").status_code == 400
        assert reader.press("/run", {}).status_code == 402
        for asked in set(reader.cookies("_order_")) - set(held):
            for value in held.values():
                reader.hold({asked: value})
                assert [reader.visit(dear).status_code for dear in ("/dear", "/shop?id=dear")] == [302, 302]


def test_a_raised_price(behind: Behind, purse: TalerWallet) -> None:
    """Who was shown a price pays that and reads; the next one is asked for the new price."""
    price = ["KUDOS:0.5"]
    page = "/paid/one"
    with behind([Rule("/paid/{name}", lambda _: price[0])]) as reader:
        asked = reader.visit(page).headers["location"]
        price[0] = "KUDOS:2"
        assert reader.visit(page).headers["location"] == asked
        paid = purse.pay(asked)
        assert paid.purchase
        assert str(paid.purchase.amount) == "KUDOS:0.5"
        assert reader.visit(page).json()["payment"]["amount"] == "KUDOS:0.5"
        reader.drop()
        assert reader.http.get(page, headers={"Accept": "application/json"}).json()["amount"] == "KUDOS:2"


def test_attributes_of_cookies(behind: Behind) -> None:
    """Where the site is served over https its cookies are bound to it; over plain HTTP they work."""
    rules, page = {"/paid/{name}": "KUDOS:0.5"}, "/paid/one"
    for public_url, secure in (("", False), ("https://news.example", True)):
        with behind(rules, **Options(public_url=public_url) if public_url else {}) as reader:
            cookies = reader.visit(page).headers.get_list("set-cookie")
        assert len(cookies) == 2
        for cookie in cookies:
            name, *attributes = cookie.split("; ")
            assert name.startswith("__Host-taler_" if secure else "taler_")
            assert {"Path=/", "HttpOnly", "SameSite=Lax"} <= set(attributes)
            assert ("Secure" in attributes) is secure
            assert "Domain" not in cookie


def test_cookies_of_older_settings(behind: Behind, purse: TalerWallet) -> None:
    """With another key the cookies of a buyer are none; the wallet proves the purchase, once, and he reads on."""
    rules, page = {"/paid/{name}": "KUDOS:0.5"}, "/paid/one"
    with behind(rules) as before:
        assert bought(before, purse, page) == "paid"
    with behind(rules, secret_key=SECRET_KEY[::-1]) as after:
        after.hold(before.cookies())
        assert bought(after, purse, page) == "proved"
        assert after.visit(page).status_code == 200
