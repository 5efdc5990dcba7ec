"""The merchant backend for applications that block: httpcore's connection pool.

httpcore knows time-outs for single reads alone, so that an answer that drips would hold a thread for hours. To this
pool's network the time-outs of a request are deadlines.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpcore

from taler_paywall.breaker import Breaker, Places, answered
from taler_paywall.connections import FAILURES, tls_context
from taler_paywall.errors import BackendBusy, BackendError, BackendUnreachable
from taler_paywall.merchant import get_order
from taler_paywall.operations import BackendRequest, BackendResponse, SessionId
from taler_paywall.transport import (
    CONNECT_TIMEOUT,
    IDLE_SECONDS,
    MAX_IDLE,
    TOTAL_TIMEOUT,
    Incoming,
    Instance,
    Outgoing,
    Token,
    Tries,
    no_answer,
    unheard,
)

#: Requests at once, unless it is said otherwise: each holds one of the server's threads, of which some have but four.
MAX_CALLS = 3
#: So does who waits for a place: for no longer than this, and not at all while half of the calls take as long.
QUEUE_SECONDS = 0.5


class _Pool:
    """What belongs to one process: connections, and the places for requests.

    Args:
        tls: whether the backend is served over https.
        max_calls: how many requests may be on their way.
    """

    def __init__(self, *, tls: bool, max_calls: int) -> None:
        self._tls = tls
        self._max_calls = max_calls
        self._lock = threading.Lock()
        self._connections: httpcore.ConnectionPool | None = None
        self._places = threading.BoundedSemaphore(max_calls)
        self._taken = Places(max_calls, QUEUE_SECONDS)

    @contextmanager
    def place(self, deadline: float) -> Iterator[None]:
        """Hold a place for a request.

        Raises:
            BackendBusy: there is none, and waiting for one makes no sense.
        """
        deadline = min(deadline, time.monotonic() + QUEUE_SECONDS)
        while not self._places.acquire(blocking=False):
            if self._places.acquire(timeout=self._taken.patience(deadline)):
                break
        call = self._taken.taken()
        try:
            yield
        finally:
            self._taken.left(call)
            self._places.release()

    @property
    def connections(self) -> httpcore.ConnectionPool:
        """The connections, made by the first of the threads that come at once: a TLS context takes 20 ms."""
        with self._lock:
            if self._connections is None:
                self._connections = httpcore.ConnectionPool(
                    ssl_context=tls_context() if self._tls else None,
                    max_connections=self._max_calls,
                    max_keepalive_connections=MAX_IDLE,
                    keepalive_expiry=IDLE_SECONDS,
                    network_backend=_DeadlineNetwork(),
                )
                weakref.finalize(self, _close_own, self._connections, os.getpid())
            return self._connections


def _close_own(connections: httpcore.ConnectionPool, process: int) -> None:
    # A fork copies its parent's pool with whatever locks another thread held: closing that could wait for ever.
    if process == os.getpid():
        connections.close()


class HttpBackend:
    """The merchant backend over HTTP, for any number of threads, with one pool per process, made at first use.

    The connections end with the object, and with the process.

    Args:
        base_url: of the instance, with a slash at the end.
        public_url: the same instance as wallets see it.
        token: the access token, or what returns it; that may block.
        breaker: knows whether the backend answers at all.
        max_calls: how many requests may be on their way at once.
    """

    def __init__(
        self, base_url: str, public_url: str, token: Token, breaker: Breaker, *, max_calls: int = MAX_CALLS
    ) -> None:
        self._instance = Instance(base_url, public_url)
        self._token = token
        self._breaker = breaker
        self._make_pool = partial(_Pool, tls=base_url.startswith("https:"), max_calls=max_calls)
        # By process ID: a forked worker must not share its parent's connections. Made at first use, locks included:
        # gevent replaces what they are made of after the application was loaded.
        self._pools: dict[int, _Pool] = {}

    def send(self, request: BackendRequest, deadline: float | None = None) -> BackendResponse:
        """Exchange one request for an answer; one that may be repeated has a second try.

        Args:
            request: to the instance.
            deadline: of the visit that asks, on the monotonic clock; see `Tries`.

        Raises:
            BackendUnreachable: no complete answer in time; `CircuitOpen` if it was not even asked.
            BackendBusy: as many requests as may wait do, or there was too little time left to ask.
            BackendNonsense: the answer is too long, or compressed.
        """
        tries = Tries(request, deadline, self._breaker)
        for pause in tries.pauses():
            if pause:
                time.sleep(pause)
            try:
                tries.note(self._once(request, tries.deadline))
            except BackendBusy as exc:
                tries.note(exc)
                break
        return tries.answer

    def _once(self, request: BackendRequest, deadline: float) -> BackendResponse | BackendError:
        pool = self._pools.get(os.getpid()) or self._pools.setdefault(os.getpid(), self._make_pool())
        with pool.place(deadline):
            left = deadline - time.monotonic()
            response: BackendResponse | BackendError
            try:
                token = self._token if isinstance(self._token, str) else self._token() if request.private else ""
                with unheard():
                    response = _exchange(pool.connections, self._instance.outgoing(request, token), deadline)
            except FAILURES as exc:
                # The kind of exception is enough: its text could hold a URL, and must not go along as the context.
                late = isinstance(exc, httpcore.TimeoutException)
                response = no_answer(left) if late else BackendUnreachable(type(exc).__name__)
        self._breaker.heard(response)
        return response

    def probe(self) -> bool:
        """Tell whether the backend answers what it is asked for readers, though the circuit is open.

        In the time that they would have, and about an order that nobody has made: what is always the same needs no
        database.
        """
        request = get_order("taler-paywall-probe", SessionId("probe")).request
        return answered(self._once(request, time.monotonic() + TOTAL_TIMEOUT))

    def close(self) -> None:
        """Close the connections of this process."""
        if pool := self._pools.pop(os.getpid(), None):
            pool.connections.close()


def _exchange(connections: httpcore.ConnectionPool, message: Outgoing, deadline: float) -> BackendResponse:
    with connections.stream(
        message.method,
        message.url,
        headers=message.headers,
        content=message.body,
        extensions={"timeout": dict.fromkeys(("connect", "read", "write"), deadline)},
    ) as response:
        answer = Incoming(response.status, response.headers)
        for chunk in response.iter_stream():
            answer.feed(chunk)
    return answer.complete()


class _DeadlineNetwork(httpcore.NetworkBackend):
    """Sockets whose time-outs are points on the monotonic clock."""

    def __init__(self) -> None:
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        deadline = time.monotonic() + min(CONNECT_TIMEOUT, _seconds_left(timeout))
        addresses = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        failure: Exception = httpcore.ConnectError()
        for left in range(len(addresses), 0, -1):
            # Each has its share of the time, so that one that is silent does not take it from the next.
            seconds = _seconds_left(deadline) / left
            try:
                stream = self._network.connect_tcp(str(addresses[-left]), port, seconds, local_address, socket_options)
                return _DeadlineStream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _seconds_left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _seconds_left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = min(CONNECT_TIMEOUT, _seconds_left(timeout))
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _seconds_left(deadline: float | None) -> float:
    left = TOTAL_TIMEOUT if deadline is None else deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left
