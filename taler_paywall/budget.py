"""How often somebody may do something that costs the backend work."""

from __future__ import annotations

from collections.abc import Hashable

from taler_paywall.process_lock import ProcessLock


class Budget:
    """At most so many of something in so many seconds for one key, in this process.

    Args:
        limit: how many.
        seconds: from the first of them.
        size: of how many keys it knows; the oldest makes room, and begins anew.
    """

    def __init__(self, limit: int, seconds: float, size: int = 10_000) -> None:
        self._limit = limit
        self._seconds = seconds
        self._size = size
        self._spent: dict[Hashable, tuple[float, int]] = {}
        self._lock = ProcessLock()

    def take(self, key: Hashable, now: float) -> bool:
        """Take one, and tell whether it was there.

        Args:
            key: whose budget it is.
            now: on a clock that never goes back, in seconds.
        """
        with self._lock.own:
            start, spent = self._spent.get(key, (now, 0))
            if now >= start + self._seconds:
                start, spent = now, 0
            if spent >= self._limit:
                return False
            if spent == 0:
                # The newest windows stand at the end of the row.
                self._spent.pop(key, None)
                if len(self._spent) >= self._size:
                    del self._spent[next(iter(self._spent))]
            self._spent[key] = (start, spent + 1)
            return True
