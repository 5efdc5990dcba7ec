"""The ways to put a site behind nginx that the document describes, and what runs in each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from reader import Reader
from running import SECRET_KEY, TOKEN, Process, Sandbox, free_port
from servers import BY_NAME, Server

from .document import configuration
from .nginx import BACKEND_NAME, SITE_NAME, Certificates, Nginx

ASGI: Final = "tests.proxy.site_asgi:app"
WSGI: Final = "tests.proxy.site_wsgi:app"
AT_ROOT: Final = "TLS at nginx"
STRIPPED: Final = "A path prefix that nginx strips"
PASSED_ON: Final = "A path prefix that is passed on"
BACKEND: Final = "The merchant backend"
BACKEND_BELOW: Final = "The merchant backend under a path of the site"
FILES: Final = "Files that nginx sends"
CACHE: Final = "The cache of nginx"
EVENTS: Final = "Server-sent events"
WEBSOCKETS: Final = "Websockets"
UPLOADS: Final = "Uploads"


@dataclass(frozen=True)
class Setup:
    """One way.

    Args:
        section: of the document, whose server it is.
        server: that the site runs under.
        app: the site.
        options: of the server.
        settings: environment of the server.
        routes_prefix: whether the application routes the prefix itself, so that it is no part of ``public_url``.
    """

    section: str
    server: Server
    app: str
    options: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    routes_prefix: bool = False

    @property
    def prefix(self) -> str:
        return "" if self.section == AT_ROOT else "/news"


UVICORN: Final = BY_NAME["uvicorn"]
GUNICORN: Final = BY_NAME["gunicorn threads"]
# It takes no options after the application.
WAITRESS: Final = Server(
    "waitress", "wsgi", lambda app, port: ["waitress", f"--listen=127.0.0.1:{port}", "--url-prefix=/news", app]
)
ROOT_UVICORN: Final = Setup(AT_ROOT, UVICORN, ASGI)
ROOT_GUNICORN: Final = Setup(AT_ROOT, GUNICORN, WSGI)
STRIPPED_UVICORN: Final = Setup(STRIPPED, UVICORN, ASGI, ("--root-path", "/news"))
PASSED_GUNICORN: Final = Setup(PASSED_ON, GUNICORN, WSGI, settings={"SCRIPT_NAME": "/news"})
SETUPS: Final = {
    "at the root, uvicorn": ROOT_UVICORN,
    "at the root, gunicorn": ROOT_GUNICORN,
    "stripped, uvicorn": STRIPPED_UVICORN,
    "stripped, gunicorn": Setup(STRIPPED, GUNICORN, WSGI),
    "passed on, mounted": Setup(PASSED_ON, UVICORN, "tests.proxy.site_asgi:mounted"),
    "passed on, routed": Setup(PASSED_ON, UVICORN, "tests.proxy.site_asgi:routing", routes_prefix=True),
    "passed on, hypercorn": Setup(PASSED_ON, BY_NAME["hypercorn"], ASGI, ("--root-path", "/news")),
    "passed on, gunicorn": PASSED_GUNICORN,
    "passed on, waitress": Setup(PASSED_ON, WAITRESS, WSGI),
    "passed on, granian": Setup(PASSED_ON, BY_NAME["granian"], ASGI, ("--url-path-prefix", "/news")),
    "passed on, granian wsgi": Setup(PASSED_ON, BY_NAME["granian wsgi"], WSGI, ("--url-path-prefix", "/news")),
}


@dataclass(frozen=True)
class Proxied:
    """A site behind nginx.

    Args:
        url: its public one, no slash at the end.
        nginx: in front of it.
        process: the site's server.
        backend: the backend's public URL.
        certificates: that its readers trust.
    """

    url: str
    nginx: Nginx
    process: Process
    backend: str
    certificates: Certificates

    @property
    def origin(self) -> str:
        return f"https://{SITE_NAME}:{self.nginx.port}"

    @contextmanager
    def reader(self, *, http2: bool = False) -> Iterator[Reader]:
        """Open a browser that has never been here."""
        transport = httpx.HTTPTransport(verify=self.certificates.trusting, http2=http2)
        with Reader(self.url, transport) as reader:
            yield reader


class Proxies:
    """Starts each setup once, when it is first asked for; all end together."""

    def __init__(self, home: Path, sandbox: Sandbox, certificates: Certificates) -> None:
        self._home = home
        self._sandbox = sandbox
        self._certificates = certificates
        self._started: dict[tuple[object, ...], Proxied] = {}
        self._numbers = itertools.count()
        self._stack = ExitStack()

    def get(self, setup: Setup, *sections: str, change: Callable[[str], str] = str, backend: str = "") -> Proxied:
        """Return a running site.

        Args:
            setup: of the site.
            sections: of the document whose blocks are added to the server.
            change: of the configuration, for counterchecks.
            backend: path of the backend at the site; "/" for a name of its own.
        """
        key = (setup.section, setup.server.name, setup.app, sections, change, backend)
        if key not in self._started:
            self._started[key] = self._start(setup, change(configuration(setup.section, *sections)), backend)
        return self._started[key]

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    def _start(self, setup: Setup, text: str, backend: str) -> Proxied:
        home = self._home / str(next(self._numbers))
        home.mkdir()
        port = free_port()
        nginx = Nginx(home, self._certificates, text, {8000: port, 9966: self._sandbox.port})
        origin = f"https://{SITE_NAME}:{nginx.port}"
        name = BACKEND_NAME if backend == "/" else SITE_NAME
        public = f"https://{name}:{nginx.port}{backend}" if backend else self._sandbox.url
        settings = {
            "TALER_PAYWALL_BACKEND": self._sandbox.url,
            "TALER_PAYWALL_BACKEND_PUBLIC_URL": public,
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
            "TALER_PAYWALL_PUBLIC_URL": origin if setup.routes_prefix else origin + setup.prefix,
        }
        process = setup.server.start(home, setup.app, port, *setup.options, **(settings | setup.settings))
        self._stack.callback(process.end)
        process.wait_for(f"http://127.0.0.1:{port}{'' if setup.section == STRIPPED else setup.prefix}/")
        self._stack.enter_context(nginx)
        return Proxied(origin + setup.prefix, nginx, process, public, self._certificates)
