"""What the paywall tells of: one stream of events, for the log, for metrics, for whoever else listens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

Kind = Literal[
    "order", "paid", "delivered", "refunded", "refused", "unknown", "backend-down", "backend-up", "cache-lost"
]

#: Longer paths are cut off.
MAX_TOLD = 500
#: A subscriber that raises is spoken of once in so many seconds.
_PAUSE = 60.0

_log = logging.getLogger("taler_paywall")


class Event(msgspec.Struct, frozen=True):
    """Something that happened; there is no cookie, token, session, body or query in it.

    Args:
        kind: ``order`` made, ``paid`` seen at the backend, ``delivered``, ``refunded``, ``refused``, ``unknown``;
            ``backend-down`` and ``backend-up``: the backend is not asked any more, and again; ``cache-lost``: the
            shared cache is not asked for a moment.
        reason: short and stable.
        rule: the pattern of the rule, empty where none is concerned.
        resource: its name; where none is concerned the path that was asked for.
        step: of design document 07, 0 where none is concerned.
        order_id: empty where there is none.
        amount: of the payment or of the order, such as ``KUDOS:0.5``, empty where there is none.
        seconds: what the paywall and the backend took, 0 where that was not measured.
        detail: more, for people.
    """

    kind: Kind
    reason: str = ""
    rule: str = ""
    resource: str = ""
    step: int = 0
    order_id: str = ""
    amount: str = ""
    seconds: float = 0.0
    detail: str = ""


Subscriber = Callable[[Event], object]


class Events:
    """The stream of one site; whoever listens is told at once, and must not wait for anything.

    Args:
        subscribers: in the order in which they are told.
        deliveries: whether there is anybody who wants to know of each delivery, too.
    """

    def __init__(self, subscribers: Sequence[Subscriber] = (), *, deliveries: bool = False) -> None:
        self._subscribers = tuple(subscribers)
        self.deliveries = deliveries
        self._quiet_until = [0.0] * len(self._subscribers)

    def tell(self, event: Event) -> None:
        """Tell everybody; a subscriber that raises never breaks a request, nor keeps the others from being told.

        What is no `Exception`, such as `SystemExit`, does: a server's signal may come at any time.
        """
        for number, subscriber in enumerate(self._subscribers):
            try:
                subscriber(event)
            except Exception:  # noqa: BLE001 - it is in the log, and in nobody's way
                if time.monotonic() >= self._quiet_until[number]:
                    self._quiet_until[number] = time.monotonic() + _PAUSE
                    with suppress(Exception):  # a handler of the log may raise as well
                        _log.exception("on_event: %r failed at %s; the reader was answered", subscriber, event.kind)
