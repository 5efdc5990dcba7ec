"""What several workers and machines share: the session-payment-cache and the budgets of new orders, in Redis.

Redis is never needed: whatever it does not answer, answers too late or answers wrongly is a payment that is not held,
or a budget that is counted in this process alone. A payment that could not be dropped there is not believed here.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
import redis.asyncio
import redis.asyncio.retry
import redis.retry
from anyio.lowlevel import RunVar
from redis.backoff import NoBackoff

from taler_paywall.cache import SPREAD
from taler_paywall.deadline_socket import DeadlineSocket, deadline
from taler_paywall.operations import Payment, PaymentKey
from taler_paywall.order_limits import OrderLimits
from taler_paywall.redis_commands import Command, Commands
from taler_paywall.redis_line import TOTAL_TIMEOUT, Line, Replies

#: A single step of an exchange, in seconds.
TIMEOUT = 0.1
#: Connections of one process, or of one event loop.
MAX_CONNECTIONS = 64
# A reply that is none is a ValueError; one may be nested without end, too.
_FAILURES: Final = (redis.RedisError, OSError, ValueError, RecursionError)
# Of the pools of connections: nothing waits longer, and nothing is tried twice.
_OPTIONS: Final[dict[str, Any]] = {
    "max_connections": MAX_CONNECTIONS,
    "timeout": TIMEOUT,
    "socket_timeout": TIMEOUT,
    "socket_connect_timeout": TIMEOUT,
    "health_check_interval": 0,
}


@dataclass(frozen=True)
class _Ask:
    """What is wanted of Redis.

    Args:
        commands: that ask for it.
        read: makes it of the replies.
        without: makes it without Redis.
        urgent: whether Redis is asked even if it has just failed.
    """

    commands: Sequence[Command]
    read: Callable[[Replies], Any]
    without: Callable[[], Any]
    urgent: bool = False


class RedisStore(ABC):
    """A session-payment-cache, as `taler_paywall.cache.MemoryCache` is, and budgets, as `OrderLimits` are.

    Args:
        url: ``redis://host:port/db``, ``rediss://`` or ``unix://``.
        secrets: the site's keys, oldest first.
        site: what tells this site from others: its public URL and that of its merchant instance.
        known_for: how long after it was confirmed a payment is `known`, in seconds.
        recheck_after: how long it is good without asking, in seconds.
        limits: new orders a minute, of one client and of all; None for any number.
        tell: is called with the kind of failure when Redis begins to fail.

    Raises:
        ValueError: the URL is none of Redis.
    """

    def __init__(
        self,
        url: str,
        secrets: Sequence[bytes],
        site: str,
        *,
        known_for: float,
        recheck_after: float,
        limits: tuple[int | None, int | None],
        tell: Callable[[str], None],
    ) -> None:
        redis.ConnectionPool.from_url(url)
        self._url = url
        self._commands = Commands(secrets, site, known_for, recheck_after)
        self._limits = limits
        self._own_limits = OrderLimits(*limits)
        self._line = Line(self._commands, tell)
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Make room for clients of Redis; each is made where it is first used."""

    @abstractmethod
    def _send(self, ask: _Ask) -> Any:
        """Send the commands, and return what is made of their replies."""

    @abstractmethod
    def close(self) -> Any:
        """Close the connections; they are made again where they are needed."""

    def get(self, keys: tuple[PaymentKey, ...]) -> Any:
        """Return the first key that is held and has not expired, and its payment; None if there is none."""
        return self._find(keys, known=False)

    def known(self, keys: tuple[PaymentKey, ...]) -> Any:
        """Return the first key that is held, and good enough while nobody can be asked."""
        return self._find(keys, known=True)

    def put(self, key: PaymentKey, payment: Payment, seconds: float) -> Any:
        """Hold a payment for about so many seconds."""
        spread = seconds * random.uniform(1 - SPREAD, 1)  # noqa: S311 - spreads load only
        return self._send(_Ask(self._commands.put(key, payment, spread, time.time()), _nothing, _nothing))

    def forget(self, order_id: str, *, lasting: bool = True) -> Any:
        """Drop a payment in whatever session; if that is to last, who asked before does not bring it back.

        Returns whether Redis has done it; here it is not believed in any case.
        """
        self._line.owe(order_id, lasting=lasting)

        def done(*_: object) -> bool:
            return not self._line.owes(order_id)

        return self._send(_Ask((), done, done, urgent=True))

    def take(self, client: str, now: float) -> Any:
        """Take one from the budgets of new orders; return in how many seconds it is there, 0.0 if it was taken.

        Args:
            client: whose order it is; empty if nobody knows.
            now: on the monotonic clock; for while Redis is away.
        """

        def without() -> float:
            return self._own_limits.take(client, now)

        def read(replies: Replies) -> float:
            late = replies[0] if replies else None
            return late / 1_000_000 if isinstance(late, int) else without()

        return self._send(_Ask(self._commands.take(client, *self._limits), read, without))

    def _find(self, keys: tuple[PaymentKey, ...], *, known: bool) -> Any:
        asked = [key for key in keys if not self._line.owes(key.order_id)]

        def read(replies: Replies) -> tuple[PaymentKey, Payment] | None:
            return self._commands.found(asked, replies, time.time(), known=known)

        return self._send(_Ask(self._commands.read(asked), read, _nothing))


def _nothing(*_: object) -> None:
    return None


class BlockingRedisStore(RedisStore):
    """For applications that block: any number of threads, with connections of their own in each process."""

    def _prepare(self) -> None:
        # By process. Their locks, too, are made at first use: gevent replaces what these are made of after the
        # application was loaded.
        self._clients: dict[int, redis.Redis] = {}

    def _send(self, ask: _Ask) -> Any:
        if (exchange := self._line.begin(ask.commands, urgent=ask.urgent)) is None:
            return ask.without()
        client = self._clients.get(os.getpid()) or self._clients.setdefault(os.getpid(), self._client())
        try:
            with deadline(TOTAL_TIMEOUT), client.pipeline(transaction=False) as pipeline:
                for command in exchange.commands:
                    pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
                replies = pipeline.execute(raise_on_error=False)
        except _FAILURES as exc:
            self._line.failed(exchange, exc)
            return ask.without()
        return ask.read(self._line.answered(exchange, replies))

    def _client(self) -> redis.Redis:
        pool = redis.BlockingConnectionPool.from_url(self._url, retry=redis.retry.Retry(NoBackoff(), 0), **_OPTIONS)
        pool.connection_class = _hurried(pool.connection_class)
        return redis.Redis.from_pool(pool)

    def close(self) -> None:
        """Close the connections of this process."""
        if client := self._clients.pop(os.getpid(), None):
            client.close()


def _hurried(kind: type[redis.Connection]) -> type[redis.Connection]:
    """Return connections of this kind, to a port or a file, encrypted or not, that keep deadlines."""

    class Hurried(kind):  # type: ignore[valid-type, misc]
        def _connect(self) -> DeadlineSocket:
            return DeadlineSocket(super()._connect())

    return Hurried


class AsyncRedisStore(RedisStore):
    """For applications that await, with connections of their own in each event loop of asyncio."""

    def _prepare(self) -> None:
        self._clients: RunVar[redis.asyncio.Redis | None] = RunVar("taler_paywall.redis")

    def _send(self, ask: _Ask) -> Awaitable[Any]:
        return self._exchange(ask)

    async def _exchange(self, ask: _Ask) -> Any:
        if (exchange := self._line.begin(ask.commands, urgent=ask.urgent)) is None:
            return ask.without()
        if (client := self._clients.get(None)) is None:
            self._clients.set(client := self._client())
        try:
            async with asyncio.timeout(TOTAL_TIMEOUT), client.pipeline(transaction=False) as pipeline:
                for command in exchange.commands:
                    pipeline.execute_command(*command)
                replies = await pipeline.execute(raise_on_error=False)
        except _FAILURES as exc:
            self._line.failed(exchange, exc)
            return ask.without()
        return ask.read(self._line.answered(exchange, replies))

    def _client(self) -> redis.asyncio.Redis:
        retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
        pool = redis.asyncio.BlockingConnectionPool.from_url(self._url, retry=retry, **_OPTIONS)
        return redis.asyncio.Redis.from_pool(pool)

    async def close(self) -> None:
        """Close the connections of this event loop."""
        if client := self._clients.get(None):
            self._clients.set(None)
            await client.aclose()
