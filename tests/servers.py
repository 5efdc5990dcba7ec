"""The servers that sites run under, each as its own manual starts it, on loopback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from running import Process, free_port

Protocol = Literal["asgi", "wsgi"]


@dataclass(frozen=True)
class Server:
    """One way to serve an application.

    Args:
        name: for the tests' names and the table in the documentation.
        protocol: of the applications that it serves.
        command: arguments of ``python -m`` for an application (``module:name``) and a port.
    """

    name: str
    protocol: Protocol
    command: Callable[[str, int], list[str]]

    def start(self, home: Path, app: str, port: int, *options: str, **settings: str) -> Process:
        """Start an application and return without waiting for it.

        Args:
            home: the home directory of the process, for its log.
            app: ``module:name``.
            port: on 127.0.0.1.
            options: further arguments of the server.
            settings: environment variables.
        """
        return Process(home, *self.command(app, port), *options, **settings)


def _uvicorn(*options: str) -> Callable[[str, int], list[str]]:
    return lambda app, port: ["uvicorn", app, "--host", "127.0.0.1", "--port", str(port), *options]


def _granian(interface: str) -> Callable[[str, int], list[str]]:
    return lambda app, port: ["granian", app, "--interface", interface, "--host", "127.0.0.1", "--port", str(port)]


def _gunicorn(*options: str) -> Callable[[str, int], list[str]]:
    return lambda app, port: ["gunicorn", app, "--bind", f"127.0.0.1:{port}", *options]


SERVERS: Final = (
    Server("uvicorn", "asgi", _uvicorn("--http", "httptools", "--loop", "uvloop")),
    Server("uvicorn h11", "asgi", _uvicorn("--http", "h11", "--loop", "asyncio")),
    Server("hypercorn", "asgi", lambda app, port: ["hypercorn", app, "--bind", f"127.0.0.1:{port}"]),
    Server("granian", "asgi", _granian("asgi")),
    Server("gunicorn sync", "wsgi", _gunicorn("--worker-class", "sync")),
    Server("gunicorn threads", "wsgi", _gunicorn("--worker-class", "gthread", "--threads", "8")),
    Server("gunicorn gevent", "wsgi", _gunicorn("--worker-class", "gevent")),
    Server("waitress", "wsgi", lambda app, port: ["waitress", f"--listen=127.0.0.1:{port}", app]),
    Server("granian wsgi", "wsgi", _granian("wsgi")),
)
BY_NAME: Final = {server.name: server for server in SERVERS}


def serve(server: Server, home: Path, app: str, *options: str, **settings: str) -> tuple[Process, str]:
    """Start an application, wait until it answers, and return its process and its base URL, without a slash.

    The site is configured by the environment: ``TALER_PAYWALL_PUBLIC_URL`` is set to its own address.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = server.start(home, app, port, *options, **{"TALER_PAYWALL_PUBLIC_URL": url} | settings)
    process.wait_for(f"{url}/")
    return process, url
