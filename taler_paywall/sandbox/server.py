"""The sandbox as an ASGI application, and as a process."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taler_paywall.errors import TalerPaywallError
from taler_paywall.sandbox import identity, links, play
from taler_paywall.sandbox.backend import DEFAULT_INSTANCE, Backend
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.routes import ENDPOINTS
from taler_paywall.sandbox_secret import SandboxSecret


class ServerError(TalerPaywallError):
    """The server cannot start; the message says why."""


def create_app(backend: Backend, secret: SandboxSecret | None = None) -> Starlette:
    """Build the application.

    Args:
        backend: the merchant behind it.
        secret: what it can prove to know, None for nothing.
    """
    app = Starlette(
        routes=[
            *ENDPOINTS,
            Mount(f"/instances/{DEFAULT_INSTANCE}", _default_instance),
            Mount("/instances/{instance}", routes=ENDPOINTS),
            Route("/sandbox/pay", play.post_pay, methods=["POST"]),
            Route("/sandbox/refund", play.post_refund, methods=["POST"]),
            Route("/sandbox/proof", identity.get_proof),
            Mount("/sandbox/static", StaticFiles(packages=[("taler_paywall.sandbox", "static")])),
        ],
        middleware=[Middleware(_OpenToAllOrigins)],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _bug},
    )
    app.router.redirect_slashes = False
    app.state.backend = backend
    app.state.secret = secret
    return app


def run(app: Starlette, listener: socket.socket, *, announce: Callable[[], None], exit_with_stdin: bool) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        app: what to serve.
        listener: a bound socket.
        announce: called as soon as connections are accepted.
        exit_with_stdin: end as well when standard input is closed, because the parent has died.
    """
    config = uvicorn.Config(app, log_level="warning", access_log=False, proxy_headers=False)
    asyncio.run(_Server(config, app, announce).serve_until_told(listener, exit_with_stdin=exit_with_stdin))


def listen(host: str, port: int) -> socket.socket:
    """Take a port on a loopback address; 0 takes any free one.

    Raises:
        ServerError: the host is not a loopback address, or the port is in use.
    """
    address = "127.0.0.1" if host == "localhost" else host
    try:
        ip = ipaddress.ip_address(address)
    except ValueError as error:
        raise ServerError(f"{host} is not an IP address") from error
    if not ip.is_loopback:
        raise ServerError(f"{host} is not a loopback address: play money must stay on this machine")
    family = socket.AF_INET if isinstance(ip, ipaddress.IPv4Address) else socket.AF_INET6
    # The protocol is named because asyncio turns Nagle's algorithm off (40 ms per answer) only where it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ServerError(f"cannot listen on {host}, port {port}: {error}") from error
    return listener


class _Server(uvicorn.Server):
    """A server that ends with status 0 on a signal, and tells when it has started."""

    def __init__(self, config: uvicorn.Config, app: Starlette, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._backend: Backend = app.state.backend
        self._announce = announce

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: uvicorn would raise them again in the end, and the process would die of them."""
        yield

    async def serve_until_told(self, listener: socket.socket, *, exit_with_stdin: bool) -> None:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._end)
        if exit_with_stdin:
            threading.Thread(target=self._watch_stdin, args=(loop,), daemon=True).start()
        await self.serve([listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Long polls are answered now, so that nobody has to wait for them.
        self._backend.bell.close()
        await super().shutdown(sockets)

    def _end(self) -> None:
        self.should_exit = True

    def _watch_stdin(self, loop: asyncio.AbstractEventLoop) -> None:
        # Standard input that is not even open has ended too.
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        # The loop may have ended on a signal meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._end)


class _OpenToAllOrigins:
    """Lets scripts of any site use the public endpoints, as wallets in browsers must (Fetch standard, CORS)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "/private/" in scope["path"] or "/sandbox/" in scope["path"]:
            await self._app(scope, receive, send)
            return

        async def send_open(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Access-Control-Allow-Origin"] = "*"
            await send(message)

        if scope["method"] == "OPTIONS":
            allowed = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "*"}
            await Response(status_code=204, headers=allowed)(scope, receive, send_open)
        else:
            await self._app(scope, receive, send_open)


async def _default_instance(scope: Scope, receive: Receive, send: Send) -> None:
    """Send users of the old name of the default instance to its address at the root (merchant API, instances)."""
    request = Request(scope)
    # Never two slashes: they would lead to another host.
    path = request.url.path.partition(f"/instances/{DEFAULT_INSTANCE}/")[2].lstrip("/")
    query = f"?{request.url.query}" if request.url.query else ""
    await RedirectResponse(links.root_path(request) + path + query, 308)(scope, receive, send)


async def _api_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return JSONResponse(error.body, error.code.status)


async def _http_error(request: Request, error: Exception) -> Response:
    """Say in the merchant API's terms that the router found nothing."""
    if not isinstance(error, HTTPException):
        raise error
    code = Code.GENERIC_METHOD_INVALID if error.status_code == Code.GENERIC_METHOD_INVALID.status else None
    wrong = ApiError(code or Code.GENERIC_ENDPOINT_UNKNOWN, f"{request.method} is not possible here")
    return JSONResponse(wrong.body, wrong.code.status, error.headers)


async def _bug(_: Request, __: Exception) -> Response:
    """Answer in the merchant API's terms even then; the server logs the exception."""
    wrong = ApiError(Code.GENERIC_INTERNAL_INVARIANT_FAILURE, "the sandbox has a bug; its log says more")
    return JSONResponse(wrong.body, wrong.code.status)
