"""The merchant backend for applications that await: httpcore's connection pool."""

from __future__ import annotations

import ssl
import time

import anyio
import anyio.to_thread
import httpcore
from anyio.lowlevel import RunVar

from taler_paywall.connections import FAILURES, tls_context
from taler_paywall.errors import BackendBusy, BackendUnreachable
from taler_paywall.operations import BackendRequest, BackendResponse
from taler_paywall.transport import (
    CONNECT_TIMEOUT,
    IDLE_SECONDS,
    MAX_IDLE,
    MAX_REQUESTS,
    TOTAL_TIMEOUT,
    Incoming,
    Instance,
    Outgoing,
    Token,
    unheard,
)

# The deadline of the whole exchange stands above all others.
_EXTENSIONS = {"timeout": {"connect": CONNECT_TIMEOUT}}


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
        self.places = anyio.Semaphore(places)


class _Pool:
    """What belongs to one event loop: a lane for ordinary requests, one for those that wait, and a thread.

    Args:
        tls: whether the backend is served over https.
        max_polls: how many requests may wait.
    """

    def __init__(self, *, tls: bool, max_polls: int) -> None:
        # A context without authorities trusts nobody.
        verify = tls_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ordinary = _Lane(verify, MAX_REQUESTS)
        self.waiting = _Lane(verify, max_polls)
        # For a token that blocks. Never the threads that the application shares: one that hangs must not take them.
        self.threads = anyio.CapacityLimiter(1)


class AsyncHttpBackend:
    """The merchant backend over HTTP, with pools of connections for each event loop, made at first use.

    Args:
        base_url: of the instance, with a slash at the end.
        public_url: the same instance as wallets see it.
        token: the access token, or what returns it; that may block and is called in a thread.
        max_polls: how many requests may wait at once in one event loop, beside the ordinary ones.
    """

    def __init__(self, base_url: str, public_url: str, token: Token, max_polls: int = MAX_REQUESTS) -> None:
        self._instance = Instance(base_url, public_url)
        self._token = token
        self._tls = base_url.startswith("https:")
        self._max_polls = max_polls
        self._pool: RunVar[_Pool | None] = RunVar("taler_paywall.pool")

    async def send(self, request: BackendRequest, deadline: float | None = None) -> BackendResponse:
        """Exchange one request for an answer.

        Args:
            request: to the instance.
            deadline: of the visit that asks, on the monotonic clock. A request never has more than `TOTAL_TIMEOUT`
                beside the time for which the backend may hold its answer back.

        Raises:
            BackendUnreachable: no complete answer in time.
            BackendBusy: as many requests as may wait do.
            BackendNonsense: the answer is too long, or compressed.
        """
        pool = self._pool.get(None)
        if pool is None:
            pool = _Pool(tls=self._tls, max_polls=self._max_polls)
            self._pool.set(pool)
        lane = pool.waiting if request.wait else pool.ordinary
        left = request.wait + TOTAL_TIMEOUT
        if deadline is not None:
            left = min(left, max(0.0, deadline - time.monotonic()))
        if request.wait and not lane.places.value:
            raise BackendBusy("too many requests wait already")
        try:
            with anyio.fail_after(left):
                async with lane.places:
                    token = await self._access_token(pool) if request.private else ""
                    with unheard():
                        return await _exchange(lane.connections, self._instance.outgoing(request, token))
        except TimeoutError:
            failure = "no answer in time"
        except FAILURES as exc:
            # The kind of exception is enough: its text could hold a URL, and must not go along as the context either.
            failure = type(exc).__name__
        raise BackendUnreachable(failure)

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
