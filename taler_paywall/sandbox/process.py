"""The sandbox as a process: its listening socket, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette

from taler_paywall.errors import TalerPaywallError
from taler_paywall.sandbox.backend import Backend
from taler_paywall.sandbox.faults import control
from taler_paywall.sandbox.faults.faults import FaultMiddleware, Faults

#: How many connections may wait to be accepted.
_BACKLOG: Final = 2048
#: How long clients may take in the end to fetch their answers, in seconds.
_LAST_ANSWERS: Final = 0.5


class ServerError(TalerPaywallError):
    """The server cannot start; the message says why."""


def listen(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """Take a port on a loopback address; 0 takes any free one.

    Args:
        allow_remote: whether the address may be any of this machine.

    Raises:
        ServerError: the host is not such an address, or the port is in use.
    """
    listener = _bind(host, port, allow_remote=allow_remote)
    listener.listen(_BACKLOG)
    return listener


def _bind(host: str, port: int, *, allow_remote: bool) -> socket.socket:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        ip = ipaddress.ip_address(address)
    except ValueError as error:
        raise ServerError(f"{host} is not an IP address") from error
    if not (ip.is_loopback or allow_remote):
        detail = "play money must stay on this machine, unless you say --allow-remote"
        raise ServerError(f"{host} is not a loopback address: {detail}")
    family = socket.AF_INET if isinstance(ip, ipaddress.IPv4Address) else socket.AF_INET6
    # The protocol is named because asyncio turns Nagle's algorithm off (40 ms per answer) only where it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ServerError(f"cannot listen on {host}, port {port}: {error}") from error
    return listener


def run(
    app: Starlette,
    listener: socket.socket,
    *,
    announce: Callable[[], None],
    exit_with_stdin: bool,
    control_listener: socket.socket | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        app: what to serve.
        listener: a bound socket.
        announce: called as soon as connections are accepted.
        exit_with_stdin: end as well when standard input is closed, because the parent has died.
        control_listener: where the control endpoint is to be, None for nowhere.
    """
    server = _Server(app, listener, announce)
    asyncio.run(server.serve_until_told(control_listener, exit_with_stdin=exit_with_stdin))


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        # Longer than clients keep a connection that they do not use: else they meet one that is just being closed.
        timeout_keep_alive=75,
    )


class _Quiet(uvicorn.Server):
    """A server that leaves the signals alone: uvicorn would raise them again, and the process would die of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Server(_Quiet):
    """The merchant's server: it tells when it has started, ends with status 0 on a signal, and can close its door."""

    def __init__(self, app: Starlette, listener: socket.socket, announce: Callable[[], None]) -> None:
        super().__init__(_config(app))
        self._app = app
        self._backend: Backend = app.state.backend
        self._listener = listener
        self._announce = announce
        self._faults = Faults(self._backend, self)

    async def serve_until_told(self, control_listener: socket.socket | None, *, exit_with_stdin: bool) -> None:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(signum, self._end)
        if exit_with_stdin:
            threading.Thread(target=self._watch_stdin, args=(loop,), daemon=True).start()
        if control_listener is None:
            await self.serve([self._listener])
            return
        # Before the first request, as Starlette demands; it becomes the outermost middleware.
        self._app.add_middleware(FaultMiddleware, faults=self._faults)
        remote = _Quiet(_config(control.create_app(self._backend, self._faults)))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(remote.serve([control_listener]))
            await self.serve([self._listener])
            remote.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Everything that waits is answered now, so that nobody has to wait for it.
        self._backend.bell.close()
        await self._faults.lift()
        asyncio.get_running_loop().call_later(_LAST_ANSWERS, self._cut_all)
        await super().shutdown(sockets)
        self._listener.close()

    def shut(self) -> None:
        """Refuse connections, and cut those that stand; the port stays taken."""
        host, port = self._listener.getsockname()[:2]
        # Closes the listening socket; one that is bound only has the kernel refuse.
        self.servers.pop().close()
        self._listener = _bind(host, port, allow_remote=True)
        self._cut_all()

    async def open(self) -> None:
        """Accept connections again."""
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(self._protocol, sock=self._listener, backlog=_BACKLOG))

    def cut(self, client: tuple[str, int]) -> bool:
        """Close the connection of a client; tell whether it has one."""
        transports = [connection.transport for connection in self.server_state.connections]
        found = [one for one in transports if one.get_extra_info("peername")[:2] == client]
        for transport in found:
            transport.close()
        return bool(found)

    def _protocol(self) -> asyncio.Protocol:
        # As in uvicorn's own startup, which opens the door for the first time.
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # declared as any protocol there is
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _cut_all(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

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
