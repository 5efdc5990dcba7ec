"""Calls of the merchant backend that are on their way: who asks the same meanwhile shares the answer.

So the many requests of one page cost one call, however many there are (single flight). The requests are the same only
if order ID, session and body are: no answer passes from one session to another.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import anyio
from anyio.lowlevel import current_token

from taler_paywall.errors import BackendBusy, BackendUnreachable
from taler_paywall.operations import BackendRequest, BackendResponse, Call
from taler_paywall.transport import TOTAL_TIMEOUT

T = TypeVar("T")
# As texts: anyio loads its events, and half of itself with them, when they are first named.
E = TypeVar("E", "anyio.Event", "threading.Event")

#: Who blocks waits for an exchange that is not older: each holds one of the server's threads, and no place.
FOLLOW_SECONDS = 1.0
_OTHERS_WAIT = "no time was left to wait for the answer to others"


class Backend(Protocol):
    """Sends requests to the merchant backend, blocking; raises `BackendError`."""

    def send(self, request: BackendRequest, deadline: float | None) -> BackendResponse: ...  # noqa: D102


class AsyncBackend(Protocol):
    """Sends requests to the merchant backend; raises `BackendError`."""

    async def send(self, request: BackendRequest, deadline: float | None) -> BackendResponse: ...  # noqa: D102


@dataclass(eq=False, slots=True)
class _Flight(Generic[E]):
    """One exchange with the backend that others may wait for.

    Args:
        landed: set when it is over.
        response: None as long as there is none, and if it failed or was given up.
        away: why the backend could not be reached: neither can it be for the others.
        lasts: whether the answer counts for those, too, who came when it was on its way.
        began: when, on the monotonic clock.
    """

    landed: E
    response: BackendResponse | None = None
    away: str = ""
    lasts: bool = False
    began: float = field(default_factory=time.monotonic)

    def land(self, op: Call[T], response: BackendResponse) -> T:
        """Take the answer, for everybody."""
        self.response = response
        answer = op.parse(response)
        self.lasts = op.lasts is not None and op.lasts(answer)
        return answer

    def shared(self, *, late: bool) -> BackendResponse | None:
        """Return the answer for somebody else, None if there is none.

        Args:
            late: whether the exchange was on its way already when that one came.

        Raises:
            BackendUnreachable: the backend could not be reached.
        """
        if self.away:
            raise BackendUnreachable(self.away)
        return self.response if self.lasts or not late else None


#: By process or event loop, backend and request. A forked worker waits for nothing of its parent's.
Key = tuple[Hashable, Backend | AsyncBackend, BackendRequest]
_flights: dict[Key, _Flight[Any]] = {}


def ask(op: Call[T], backend: Backend, deadline: float | None) -> T:
    """Ask the backend, or wait for the answer to another visit that asks the same.

    An exchange that was on its way already counts if its answer lasts; all who came meanwhile share the next one.
    If the backend cannot be reached, nobody who waits reaches it. Whoever leads may fail otherwise, be given up or run
    out of time: then the others share one more, and if that fails as well each asks for itself, in the time that it has
    left.
    """
    key = (os.getpid(), backend, op.request)
    for late in (True, False) if op.lasts else ():
        mine = _Flight(threading.Event())
        # One step among threads and greenlets.
        flight = _flights.setdefault(key, mine)
        if flight is mine:
            try:
                return mine.land(op, backend.send(op.request, deadline))
            except BackendUnreachable as exc:
                mine.away = str(exc)
                raise
            finally:
                _land(key, mine)
        young = max(0.0, flight.began + FOLLOW_SECONDS - time.monotonic())
        if not flight.landed.wait(min(young, _seconds_left(deadline))):
            raise BackendBusy(_OTHERS_WAIT)
        if (response := flight.shared(late=late)) is not None:
            return op.parse(response)
    return op.parse(backend.send(op.request, deadline))


async def aask(op: Call[T], backend: AsyncBackend, deadline: float | None) -> T:
    """Ask the backend, awaiting; the same otherwise."""
    key = (current_token(), backend, op.request)
    for late in (True, False) if op.lasts else ():
        mine = _Flight(anyio.Event())
        flight = _flights.setdefault(key, mine)
        if flight is mine:
            try:
                return mine.land(op, await backend.send(op.request, deadline))
            except BackendUnreachable as exc:
                mine.away = str(exc)
                raise
            finally:
                _land(key, mine)
        with anyio.move_on_after(_seconds_left(deadline)):
            await flight.landed.wait()
        if not flight.landed.is_set():
            raise BackendBusy(_OTHERS_WAIT)
        if (response := flight.shared(late=late)) is not None:
            return op.parse(response)
    return op.parse(await backend.send(op.request, deadline))


def _land(key: Key, flight: _Flight[Any]) -> None:
    # After a refund another one may have begun under the same key: then it is not shared, which is no harm.
    _flights.pop(key, None)
    flight.landed.set()


def _seconds_left(deadline: float | None) -> float:
    return TOTAL_TIMEOUT if deadline is None else max(0.0, deadline - time.monotonic())


def abandon(backend: Backend | AsyncBackend, order_id: str) -> None:
    """Let nobody who comes from now on wait for what is on its way about an order: it was asked before its refund."""
    for key in tuple(_flights):
        if key[1] is backend and key[2].path.endswith(f"/{order_id}"):
            _flights.pop(key, None)
