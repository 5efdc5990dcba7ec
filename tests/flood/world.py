"""A backend that tells what it was asked, and sites in front of it, all of them processes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from reader import Reader, order_of
from running import SECRET_KEY, TLS, TOKEN, Process, free_port
from servers import BY_NAME, Protocol

from taler_paywall.testing.wallet import TalerWallet

from .backend import ASKED

#: The peer's address is the peer's, whatever headers say.
UNTRUSTING = ("--no-proxy-headers",)


class Backend:
    """The sandbox behind HTTP, as its owner sees it."""

    def __init__(self, home: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        options = ("--factory", "--host", "127.0.0.1", "--port", str(port), "--no-access-log")
        self.process = Process(home, "uvicorn", "tests.flood.backend:create", *options, PYTHONPATH="tests")
        self.process.wait_for(f"{self.url}config")
        owner = {"Authorization": f"Bearer {TOKEN}"}
        self.http = httpx.Client(base_url=self.url, headers=owner, trust_env=False, verify=TLS, timeout=30)

    @property
    def asked(self) -> Counter[str]:
        """How often it was asked for what, by anybody."""
        return Counter(json.loads(self.http.get(ASKED).content))

    @property
    def made(self) -> int:
        """How many orders it was asked to make."""
        return self.asked["POST /private/orders"]

    def refund(self, order_id: str) -> None:
        """Give the money back."""
        body = {"refund": "KUDOS:0.5", "reason": "a test"}
        self.http.post(f"private/orders/{order_id}/refund", json=body).raise_for_status()


@dataclass
class Site:
    """A site under a server.

    Args:
        process: the server.
        url: where it is, without a slash at the end.
    """

    process: Process
    url: str
    port: int


@dataclass
class World:
    """Everything that a test has started."""

    home: Path
    backend: Backend
    started: list[Process] = field(default_factory=list)
    wallets: int = 0

    def site(self, protocol: Protocol, *arguments: str, environ: dict[str, str] | None = None, **options: Any) -> Site:
        """Start a site.

        Args:
            protocol: of the site.
            arguments: of its server.
            environ: further variables of its environment.
            options: keywords of the middleware.
        """
        server = BY_NAME["uvicorn" if protocol == "asgi" else "gunicorn threads"]
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        settings = {
            "TALER_PAYWALL_BACKEND": self.backend.url,
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
            "TALER_PAYWALL_PUBLIC_URL": url,
            "OPTIONS": json.dumps(options),
        } | (environ or {})
        process = server.start(self.home, f"tests.flood.site:{protocol}", port, *arguments, **settings)
        self.started.append(process)
        process.wait_for(f"{url}/")
        return Site(process, url, port)

    def buy(self, reader: Reader, path: str) -> str:
        """Let a reader with a new wallet buy a page and read it; return the order's ID."""
        asked = reader.visit(path)
        assert asked.status_code == 302, (asked.status_code, asked.text)
        self.pay(asked.headers["location"])
        assert reader.visit(path).status_code == 200
        return order_of(asked.headers["location"])

    def pay(self, status_url: str) -> None:
        """Pay an order with a new wallet."""
        self.wallets += 1
        with TalerWallet(self.home / f"wallet-{self.wallets}.sqlite") as wallet:
            wallet.pay(status_url)


@contextmanager
def opened(home: Path) -> Iterator[World]:
    """Start a backend; end it, and the sites, in the end."""
    world = World(home, Backend(home))
    try:
        yield world
    finally:
        world.backend.http.close()
        for process in (*world.started, world.backend.process):
            process.end()
