"""The merchant backend for applications that await: httpcore's connection pool."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.to_thread
import httpcore
from anyio.lowlevel import RunVar

from taler_paywall.breaker import Breaker, Places, answered
from taler_paywall.connections import FAILURES, tls_context
from taler_paywall.errors import BackendBusy, BackendError, BackendUnreachable
from taler_paywall.operations import BackendRequest, BackendResponse
from taler_paywall.transport import (
    CONNECT_TIMEOUT,
    IDLE_SECONDS,
    MAX_IDLE,
    Incoming,
    Instance,
    Outgoing,
    Token,
    Tries,
    no_answer,
    unheard,
)

#: Requests at once, unless it is said otherwise. Waiting for a place costs nothing; waiting in the HTTP client's own
#: queue would cost every waiter a look at all others.
MAX_CALLS = 100
#: Who waits for a place is refused after so many seconds, and when half of the calls have been on their way as long.
SLOW_SECONDS = 2.0

# The deadline of the whole exchange stands above all others.
# There is a connection for each place: who waits for one waits for one that is lost.
_EXTENSIONS = {"timeout": {"connect": CONNECT_TIMEOUT, "pool": 1.0}}


class _Lane:
    """Connections of one event loop, and as many places for requests.

    Args:
        verify: how the backend is authenticated.
        places: how many.
    """

    def __init__(self, verify: ssl.SSLContext, places: int) -> None:
        self.connections = httpcore.AsyncConnectionPool(
            ssl_context=verify,
            max_connections=places,
            max_keepalive_connections=MAX_IDLE,
            keepalive_expiry=IDLE_SECONDS,
        )
        self._places = anyio.Semaphore(places)
        self._taken = Places(places, SLOW_SECONDS)

    @asynccontextmanager
    async def place(self, deadline: float, *, queue: bool) -> AsyncIterator[None]:
        """Hold a place for a request.

        Raises:
            BackendBusy: there is none, and waiting for one makes no sense, or is not wanted.
        """
        deadline = min(deadline, time.monotonic() + SLOW_SECONDS)
        while self._places.value == 0:
            if not queue:
                raise BackendBusy("too many requests wait already")
            with anyio.move_on_after(self._taken.patience(deadline)):
                await self._places.acquire()
                break
        else:
            self._places.acquire_nowait()
        call = self._taken.taken()
        try:
            yield
        finally:
            self._taken.left(call)
            self._places.release()


class _Pool:
    """What belongs to one event loop: a lane for ordinary requests, one for those that wait, and a thread.

    Args:
        tls: whether the backend is served over https.
        max_calls: how many ordinary requests may be on their way.
        max_polls: how many requests may wait.
    """

    def __init__(self, *, tls: bool, max_calls: int, max_polls: int) -> None:
        # A context without authorities trusts nobody.
        verify = tls_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ordinary = _Lane(verify, max_calls)
        self.waiting = _Lane(verify, max_polls)
        # For a token that blocks. Never the threads that the application shares: one that hangs must not take them.
        self.threads = anyio.CapacityLimiter(1)


class AsyncHttpBackend:
    """The merchant backend over HTTP, with pools of connections for each event loop, made at first use.

    Args:
        base_url: of the instance, with a slash at the end.
        public_url: the same instance as wallets see it.
        token: the access token, or what returns it; that may block and is called in a thread.
        breaker: knows whether the backend answers at all.
        max_calls: how many requests may be on their way at once in one event loop.
        max_polls: how many more may wait there for something to happen.
    """

    def __init__(
        self,
        base_url: str,
        public_url: str,
        token: Token,
        breaker: Breaker,
        *,
        max_calls: int = MAX_CALLS,
        max_polls: int = MAX_CALLS,
    ) -> None:
        self._instance = Instance(base_url, public_url)
        self._token = token
        self._breaker = breaker
        self._make_pool = partial(_Pool, tls=base_url.startswith("https:"), max_calls=max_calls, max_polls=max_polls)
        self._pool: RunVar[_Pool | None] = RunVar("taler_paywall.pool")

    async def send(self, request: BackendRequest, deadline: float | None = None) -> BackendResponse:
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
                await anyio.sleep(pause)
            try:
                tries.note(await self._once(request, tries.deadline))
            except BackendBusy as exc:
                tries.note(exc)
                break
        return tries.answer

    async def _once(self, request: BackendRequest, deadline: float) -> BackendResponse | BackendError:
        pool = self._pool.get(None)
        if pool is None:
            pool = self._make_pool()
            self._pool.set(pool)
        lane = pool.waiting if request.wait else pool.ordinary
        async with lane.place(deadline, queue=not request.wait):
            left = deadline - time.monotonic()
            response: BackendResponse | BackendError
            try:
                with anyio.fail_after(left):
                    token = await self._access_token(pool) if request.private else ""
                    with unheard():
                        response = await _exchange(lane.connections, self._instance.outgoing(request, token))
            except TimeoutError:
                response = no_answer(left)
            except httpcore.PoolTimeout:
                # Connections are lost where a request is cancelled in another way than ours: begin with new ones.
                if self._pool.get() is pool:
                    self._pool.set(None)
                response = BackendBusy("connections were lost")
            except FAILURES as exc:
                # The kind of exception is enough: its text could hold a URL, and must not go along as the context.
                response = BackendUnreachable(type(exc).__name__)
        # Where a poll fails, it may be a proxy that does not wait as long.
        if not request.wait or answered(response):
            self._breaker.heard(response)
        return response

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        if pool := self._pool.get(None):
            self._pool.set(None)
            await pool.ordinary.connections.aclose()
            await pool.waiting.connections.aclose()

    async def _access_token(self, pool: _Pool) -> str:
        if isinstance(self._token, str):
            return self._token
        return await anyio.to_thread.run_sync(self._token, abandon_on_cancel=True, limiter=pool.threads)


async def _exchange(connections: httpcore.AsyncConnectionPool, message: Outgoing) -> BackendResponse:
    async with connections.stream(
        message.method, message.url, headers=message.headers, content=message.body, extensions=_EXTENSIONS
    ) as response:
        answer = Incoming(response.status, response.headers)
        async for chunk in response.aiter_stream():
            answer.feed(chunk)
    return answer.complete()
