"""A paywalled origin application, wherever it runs: in this process, or under a real server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from reader import Reader
from running import SECRET_KEY, TOKEN, Process
from servers import BY_NAME, SERVERS, Protocol, serve

from taler_paywall.config import Options
from taler_paywall.testing.client import serving

ASGI_HERE: Final = "asgi in process"
WSGI_HERE: Final = "wsgi in process"
IN_PROCESS: Final = (ASGI_HERE, WSGI_HERE)
ASGI: Final = (ASGI_HERE, *(server.name for server in SERVERS if server.protocol == "asgi"))
WSGI: Final = (WSGI_HERE, *(server.name for server in SERVERS if server.protocol == "wsgi"))
FRONTS: Final = ASGI + WSGI
#: Where a site in this process believes to be.
HERE: Final = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Front:
    """A running site.

    Args:
        name: of the server.
        protocol: of the application.
        url: its base URL, no slash at the end.
        process: of the server, None for a site in this process.
        transport: makes the way to a site in this process, None for the others.
    """

    name: str
    protocol: Protocol
    url: str
    process: Process | None
    transport: Callable[[], httpx.BaseTransport] | None

    def reader(self) -> Reader:
        """Open a browser that has never been here; the caller closes it."""
        return Reader(self.url, self.transport() if self.transport else None)


class Fronts:
    """Starts each site once, when it is first asked for; all end together."""

    def __init__(self, home: Path, backend: str) -> None:
        self._home = home
        self._backend = backend
        self._started: dict[str, Front] = {}
        self._stack = ExitStack()

    def __getitem__(self, name: str) -> Front:
        if name not in self._started:
            self._started[name] = self._here(name) if name in IN_PROCESS else self._under(name)
        return self._started[name]

    def close(self) -> None:
        """End all sites."""
        self._stack.close()

    def _under(self, name: str) -> Front:
        server = BY_NAME[name]
        home = self._home / name.replace(" ", "-")
        home.mkdir()
        settings = {
            "TALER_PAYWALL_BACKEND": self._backend,
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
        }
        process, url = serve(server, home, f"tests.conformance.served_{server.protocol}:app", **settings)
        self._stack.callback(process.end)
        return Front(name, server.protocol, url, process, None)

    def _here(self, name: str) -> Front:
        options: Options = {
            "backend": self._backend,
            "token": TOKEN,
            "secret_key": SECRET_KEY,
            "public_url": HERE,
        }
        if name == ASGI_HERE:
            from .origin_asgi import create

            asgi = self._stack.enter_context(serving(create(**options)))
            return Front(name, "asgi", HERE, None, lambda: asgi)
        from .origin_wsgi import create as create_wsgi

        app = create_wsgi(**options)
        self._stack.callback(app.close)
        return Front(name, "wsgi", HERE, None, lambda: httpx.WSGITransport(app))
