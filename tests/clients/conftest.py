"""The site of these tests under a server of either protocol, started once, and a wallet."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from reader import Reader
from running import SECRET_KEY, TLS, TOKEN, Process, Sandbox, SoldOrder
from servers import BY_NAME, serve

from taler_paywall.testing.wallet import TalerWallet

from .headers import Client

SERVED = {"uvicorn": "tests.clients.site:app", "gunicorn threads": "tests.clients.site:wsgi_app()"}
OPTIONS = {"uvicorn": ("--factory",), "gunicorn threads": ()}


@dataclass(frozen=True)
class Shop:
    """A running site, and the merchant's books."""

    url: str
    process: Process
    sandbox: Sandbox
    http: httpx.Client

    def ask(self, client: Client, path: str, **further: str) -> httpx.Response:
        """Ask as a client does, with no header but its own."""
        headers = client.sends(self.url) | {name.replace("_", "-"): value for name, value in further.items()}
        return self.get(path, headers, client.method)

    def get(self, path: str, headers: dict[str, str], method: str = "GET", body: bytes = b"") -> httpx.Response:
        """Ask with these headers and no others."""
        return self.http.send(httpx.Request(method, self.url + path, headers=headers, content=body))

    def orders(self, name: str) -> list[SoldOrder]:
        """Return the orders for what has this name."""
        return [order for order in self.sandbox.orders() if name in order.fulfillment_url]


@pytest.fixture(scope="session", params=SERVED)
def shop(request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Run the site."""
    home = tmp_path_factory.mktemp("clients")
    settings = {
        "TALER_PAYWALL_BACKEND": sandbox.url,
        "TALER_PAYWALL_TOKEN": TOKEN,
        "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
    }
    process, url = serve(BY_NAME[request.param], home, SERVED[request.param], *OPTIONS[request.param], **settings)
    # Nothing that one client is given is another's.
    with httpx.Client(trust_env=False, verify=TLS, timeout=30, cookies=_NoCookies()) as http:
        yield Shop(url, process, sandbox, http)
    process.end()


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """Keep none."""


@pytest.fixture
def name() -> str:
    """Make up an article that nobody else asks for."""
    return f"n{secrets.token_hex(6)}"


@pytest.fixture
def readers(shop: Shop) -> Iterator[Callable[[], Reader]]:
    """Open browsers."""
    opened: list[Reader] = []

    def open_one() -> Reader:
        opened.append(Reader(shop.url))
        return opened[-1]

    yield open_one
    for one in opened:
        one.http.close()


@pytest.fixture
def reader(readers: Callable[[], Reader]) -> Reader:
    """Open a browser that has never been here."""
    return readers()


@pytest.fixture(scope="session")
def purse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TalerWallet]:
    """Open a wallet in this process."""
    with TalerWallet(tmp_path_factory.mktemp("purse") / "wallet.sqlite") as opened:
        yield opened
