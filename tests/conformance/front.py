"""A paywalled origin application, wherever it runs: in this process, or under a real server."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anyio.from_thread import start_blocking_portal
from reader import Reader
from running import SECRET_KEY, TOKEN, Process, free_port
from servers import BY_NAME, SERVERS, Protocol

from taler_paywall.settings import Options

from .here import AsgiHere, Here, WsgiHere

ASGI_HERE: Final = "asgi in process"
WSGI_HERE: Final = "wsgi in process"
IN_PROCESS: Final = (ASGI_HERE, WSGI_HERE)
ASGI: Final = (ASGI_HERE, *(server.name for server in SERVERS if server.protocol == "asgi"))
WSGI: Final = (WSGI_HERE, *(server.name for server in SERVERS if server.protocol == "wsgi"))
FRONTS: Final = ASGI + WSGI
#: Where the sites in this process believe to be; each elsewhere, or to a wallet their articles would be the same.
HERE: Final = "http://127.0.0.1:8000"
HERE_TOO: Final = "http://127.0.0.1:8001"


@dataclass(frozen=True)
class Front:
    """A running site.

    Args:
        name: of the server.
        protocol: of the application.
        url: its base URL, no slash at the end.
        process: of the server, None for a site in this process.
        transport: the way to a site in this process, None for the others.
    """

    name: str
    protocol: Protocol
    url: str
    process: Process | None
    transport: Here | None

    def reader(self) -> Reader:
        """Open a browser that has never been here; the caller closes it."""
        return Reader(self.url, self.transport)

    @property
    def log(self) -> str:
        """What the server has written."""
        return self.process.output if self.process else self.transport.log if self.transport else ""


class Fronts:
    """Starts each site once, when it is first asked for; all end together."""

    def __init__(self, home: Path, backend: str) -> None:
        self._home = home
        self._backend = backend
        self._started: dict[tuple[str, str], Front] = {}
        self._stack = ExitStack()

    def __getitem__(self, name: str) -> Front:
        return self.mounted(name, "")

    def mounted(self, name: str, root: str, *options: str, **settings: str) -> Front:
        """Return a site that its server serves at a path of its own.

        Args:
            name: of the server.
            root: the path.
            options: that tell it to the server.
            settings: environment variables that do.
        """
        if (name, root) not in self._started:
            started = self._here(name, root) if name in IN_PROCESS else self._under(name, root, *options, **settings)
            self._started[name, root] = started
        return self._started[name, root]

    def close(self) -> None:
        """End all sites."""
        self._stack.close()

    def _under(self, name: str, root: str, *options: str, **settings: str) -> Front:
        server = BY_NAME[name]
        home = self._home / f"{name}{root}".replace(" ", "-").replace("/", "-")
        home.mkdir()
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        settings |= {
            "TALER_PAYWALL_PUBLIC_URL": url + root,
            "TALER_PAYWALL_BACKEND": self._backend,
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
        }
        app = f"tests.conformance.served_{server.protocol}:app"
        # Some servers take options in front of the application alone.
        module, *arguments = server.command(app, port)
        process = Process(home, module, *options, *arguments, **settings)
        self._stack.callback(process.end)
        process.wait_for(f"{url}{root}/")
        return Front(name, server.protocol, url, process, None)

    def _here(self, name: str, root: str) -> Front:
        options: Options = {"backend": self._backend, "token": TOKEN, "secret_key": SECRET_KEY}
        if name == ASGI_HERE:
            from .origin_asgi import Several

            asgi = Several(HERE + root, options)
            portal = self._stack.enter_context(start_blocking_portal())
            self._stack.callback(portal.call, asgi.aclose)
            return Front(name, "asgi", HERE, None, AsgiHere(asgi, portal, root))
        from .origin_wsgi import Several as SeveralWsgi

        wsgi = SeveralWsgi(HERE_TOO + root, options)
        self._stack.callback(wsgi.close)
        return Front(name, "wsgi", HERE_TOO, None, WsgiHere(wsgi, root))
