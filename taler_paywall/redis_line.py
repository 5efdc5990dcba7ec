"""The line to Redis: whether it is worth a try, what has to be said before all else, and who is told when it fails."""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from taler_paywall.budget import Budget
from taler_paywall.process_lock import ProcessLock
from taler_paywall.redis_commands import Command, Commands

#: All of an exchange, connecting and waiting for a connection included, in seconds.
TOTAL_TIMEOUT = 0.2
#: For so long Redis is left alone when it has failed, spread by a quarter, in seconds.
PAUSE = 1.0
#: As long as one that finds out whether Redis is there again has not come back, at the most.
FINDS_OUT = 5.0
#: How many payments are remembered that Redis has not dropped yet, and of how many it is told again at once.
MAX_OWED, OWED_AT_ONCE = 10_000, 50
#: Each kind of failure is told once in so many seconds.
TELL_SECONDS = 60.0

Replies = Sequence[Any]


@dataclass(frozen=True)
class Exchange:
    """What is sent at once.

    Args:
        began: when, on the monotonic clock.
        owed: payments that are to be dropped, and whether for good; the first commands do that.
        commands: all of them.
    """

    began: float
    owed: Sequence[tuple[str, bool]]
    commands: Sequence[Command]


class Line:
    """What one process knows of its Redis, and owes it.

    Args:
        commands: of the site.
        tell: is called with the kind of failure.
    """

    def __init__(self, commands: Commands, tell: Callable[[str], None]) -> None:
        self._commands = commands
        self._tell = tell
        self._telling = Budget(1, TELL_SECONDS)
        self._owed: OrderedDict[str, bool] = OrderedDict()
        self._lock = ProcessLock()
        self._failing = False
        self._ask_again = self._heard = 0.0

    def owe(self, order_id: str, *, lasting: bool) -> None:
        """Have a payment dropped by the next exchange, and by every one until Redis has done it."""
        with self._lock.own:
            self._owed[order_id] = self._owed.pop(order_id, False) or lasting
            if len(self._owed) > MAX_OWED:
                self._owed.popitem(last=False)

    def owes(self, order_id: str) -> bool:
        """Tell whether Redis may hold a payment that should have been dropped."""
        return order_id in self._owed

    def begin(self, commands: Sequence[Command], *, urgent: bool) -> Exchange | None:
        """Return what is to be sent; None if there is nothing, or Redis has just failed and it is not urgent."""
        with self._lock.own:
            now = time.monotonic()
            if self._failing:
                if now < self._ask_again and not urgent:
                    return None
                # While this one finds out, the others do not wait; no deadline ends the look-up of a name.
                self._ask_again = now + FINDS_OUT
            owed = list(islice(reversed(self._owed.items()), OWED_AT_ONCE))
        forget = [self._commands.forget(order_id, lasting=lasting) for order_id, lasting in owed]
        return Exchange(now, owed, [*forget, *commands]) if forget or commands else None

    def answered(self, exchange: Exchange, replies: Replies) -> Replies:
        """Note what Redis has dropped, and return its replies to the other commands; an exception is one, too."""
        with self._lock.own:
            self._failing, self._heard = False, time.monotonic()
            for (order_id, lasting), reply in zip(exchange.owed, replies, strict=False):
                if reply == 1 and self._owed.get(order_id) == lasting:
                    del self._owed[order_id]
        for reply in replies:
            if isinstance(reply, Exception):
                self._tell_of(reply)
        return replies[len(exchange.owed) :]

    def failed(self, exchange: Exchange, failure: Exception) -> None:
        """Leave Redis alone for a while."""
        with self._lock.own:
            # Where others were answered meanwhile, there were only too many at once.
            if self._heard < exchange.began:
                spread = random.uniform(0.75, 1.25)  # noqa: S311 - spreads load only
                self._failing, self._ask_again = True, time.monotonic() + PAUSE * spread
        self._tell_of(failure)

    def _tell_of(self, failure: Exception) -> None:
        # The kind is enough: the text of a failure could hold a command.
        kind = type(failure).__name__
        if self._telling.take(kind, time.monotonic()):
            self._tell(kind)
