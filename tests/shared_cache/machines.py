"""Several servers of one site, each with its workers, as several machines behind one address would be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import httpx
from reader import Reader
from running import SECRET_KEY, TOKEN, Process, Sandbox, free_port
from servers import BY_NAME

from taler_paywall.session import Keys
from taler_paywall.testing.wallet import TalerWallet

from .redis_server import RedisServer

WEBHOOK = "/.well-known/taler-paywall/webhook"


@dataclass(frozen=True)
class Machine:
    """One server: its process, and where it answers."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Machines:
    """All of them, with a sandbox and a Redis; they are told the same public address, that of the first.

    Args:
        home: for logs and purses.
        backend: of all.
        cache: of all.
    """

    def __init__(self, home: Path, backend: Sandbox, cache: RedisServer) -> None:
        self.home = home
        self.backend = backend
        self.cache = cache
        self.port = free_port()
        self.public_url = f"http://127.0.0.1:{self.port}"
        self.started: list[Process] = []

    def start(
        self,
        server: str,
        *options: str,
        port: int | None = None,
        secrets: str = SECRET_KEY,
        known_for: float = 3600,
        recheck_after: float = 60,
        patient: bool = True,
    ) -> Machine:
        """Start a server, the first one at the public address."""
        kind = BY_NAME[server]
        port = port or (free_port() if self.started else self.port)
        settings = {
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_BACKEND": self.backend.url,
            "TALER_PAYWALL_PUBLIC_URL": self.public_url,
            "CACHE": self.cache.url,
            "SECRETS": secrets,
            "KNOWN_FOR": str(known_for),
            "RECHECK_AFTER": str(recheck_after),
        }
        if patient:
            settings["PATIENT"] = "1"
        process = kind.start(self.home, f"tests.shared_cache.site:{kind.protocol}_app", port, *options, **settings)
        self.started.append(process)
        process.wait_for(f"http://127.0.0.1:{port}/")
        return Machine(process, port)

    def close(self) -> None:
        """End whatever still runs."""
        for process in self.started:
            process.end()

    def buy(self, reader: Reader, page: str) -> str:
        """Go to a page at the public address, pay for it and read it; return the order's ID."""
        asked = reader.visit(f"{self.public_url}{page}")
        assert asked.status_code == 302, (asked.status_code, asked.text)
        with TalerWallet(self.home / f"{page.rpartition('/')[2]}.sqlite") as wallet:
            assert wallet.pay(asked.headers["location"]).how == "paid"
        assert read(reader, self.public_url, page)
        return asked.headers["location"].partition("?")[0].rpartition("/")[2]

    def notify(self, machine: Machine, order_id: str) -> None:
        """Tell one server of a refund, as the backend does."""
        secret = Keys([SECRET_KEY.encode()], f"{self.public_url} {self.backend.url}").webhook_secrets[-1]
        answer = httpx.post(
            f"{machine.url}{WEBHOOK}",
            json={"order_id": order_id, "event": "refund"},
            headers={"Authorization": f"Bearer {secret}"},
            trust_env=False,
            timeout=30,
        )
        assert answer.status_code == 204, (answer.status_code, answer.text)


def read(reader: Reader, url: str, page: str) -> bool:
    """Tell whether a page is shown; if not, nothing of it is."""
    answer = reader.visit(f"{url}{page}")
    shown = f"content of {page} by" in answer.text
    assert shown == (answer.status_code == 200), (answer.status_code, answer.text)
    return shown
