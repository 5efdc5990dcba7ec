"""How many orders may be made in a minute: by one client, and by all of them together."""

from __future__ import annotations

from taler_paywall.cache import Newest
from taler_paywall.process_lock import ProcessLock

#: A budget that nobody has touched for so long is full again, in microseconds.
FILLED = 60_000_000


def cost(limit: int) -> int:
    """Return after how many microseconds the next order is there, where so many are in a minute."""
    return FILLED // limit


class OrderLimits:
    """Token buckets in this process, each as large as what a minute brings; of each there is one number.

    That number is when the bucket will be full again (the generic cell rate algorithm, ITU-T I.371): an order puts
    it off by its cost, and is refused where that would be more than a minute ahead.

    Args:
        per_client: orders a minute, one or more; None for any number.
        total: the same of all clients together.
        size: of how many clients it knows at the most; the oldest make room, and begin anew.
    """

    def __init__(self, per_client: int | None = None, total: int | None = None, size: int = 50_000) -> None:
        self._per_client = per_client
        self._total = total
        self._clients = Newest[int](size)
        self._everybody = 0
        self._lock = ProcessLock()

    def take(self, client: str, now: float) -> float:
        """Take one order from both buckets or from none; return in how many seconds it is there, 0.0 if it was taken.

        Args:
            client: whose it is; empty if nobody knows, then only all together are counted.
            now: on a clock that never goes back, in seconds.
        """
        moment = int(now * 1_000_000)
        with self._lock.own:
            everybody = _after(self._everybody, self._total, moment)
            own = _after(self._clients.get(client) or 0, self._per_client if client else None, moment)
            late = max(everybody, own) - moment - FILLED
            if late > 0:
                return late / 1_000_000
            # Who is not limited leaves no trace.
            if own > moment:
                self._clients.put(client, own)
            self._everybody = everybody
            return 0.0


def _after(full: int, limit: int | None, moment: int) -> int:
    return moment if limit is None else max(full, moment) + cost(limit)
