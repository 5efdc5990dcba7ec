"""The session-payment-cache of DD 07: tuples that were seen as paid. Losing it costs a backend call, never access."""

from __future__ import annotations

import random
import sys
import time
from typing import Any, Generic, Protocol, TypeVar

from taler_paywall.operations import Payment, PaymentKey
from taler_paywall.process_lock import ProcessLock

#: Expiry comes earlier by up to this share, so that a busy site's payments are not all asked for in the same second.
SPREAD = 0.2
#: For so long no answer counts that may have been on its way when a payment was forgotten, in seconds.
AFTERMATH = 10.0
#: Of so many orders, the newest half of them for certain.
MAX_FORGOTTEN = 20_000

T = TypeVar("T")


class Newest(Generic[T]):
    """The newest entries of a row without end: half as many as are allowed, or more.

    A dictionary that drops its oldest entry would look for it among all that it has dropped before.

    Args:
        size: how many there are at the most.
    """

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[str, T] = {}
        self._old: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, name: str) -> T | None:
        """Return an entry that is still held."""
        entry = self._young.get(name)
        return self._old.get(name) if entry is None else entry

    def put(self, name: str, entry: T) -> None:
        """Hold an entry; the oldest make room."""
        self.pop(name)
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[name] = entry

    def pop(self, name: str) -> None:
        """Drop an entry."""
        self._young.pop(name, None)
        self._old.pop(name, None)


class Payments(Protocol):
    """The session-payment-cache; where it has to be waited for, what its methods return is awaited."""

    def get(self, keys: tuple[PaymentKey, ...]) -> Any: ...  # noqa: D102 - see `MemoryCache`, as for the others

    def known(self, keys: tuple[PaymentKey, ...]) -> Any: ...  # noqa: D102

    def put(self, key: PaymentKey, payment: Payment, seconds: float) -> Any: ...  # noqa: D102

    def forget(self, order_id: str, *, lasting: bool = True) -> Any: ...  # noqa: D102

    def close(self) -> Any: ...  # noqa: D102


class MemoryCache:
    """A bounded cache in this process; of an order it holds one tuple, for an order is paid in one session at a time.

    Args:
        size: how many payments it holds at the most; the oldest make room.
        known_for: for how many seconds a payment is still `known` when it has expired.
    """

    def __init__(self, size: int = 100_000, known_for: float = 0.0) -> None:
        self._known_for = known_for
        # When it expires, whose it is and for what, and the amount: flat, for there may be very many.
        self._payments = Newest[tuple[float, str, str]](size)
        self._forgotten = Newest[float](MAX_FORGOTTEN)
        self._lock = ProcessLock()

    def get(self, keys: tuple[PaymentKey, ...], grace: float = 0.0) -> tuple[PaymentKey, Payment] | None:
        """Return the first key that is held and has not expired, or not longer ago than so many seconds."""
        for key in keys:
            entry = self._payments.get(key.order_id)
            # What has expired stays until it is remembered anew or forgotten, or makes room.
            if entry is not None and entry[1] == _owner(key) and time.monotonic() < entry[0] + grace:
                return key, Payment(key.order_id, key.resource, entry[2])
        return None

    def known(self, keys: tuple[PaymentKey, ...]) -> tuple[PaymentKey, Payment] | None:
        """Return the first key that is held, and good enough while nobody can be asked."""
        return self.get(keys, self._known_for)

    def put(self, key: PaymentKey, payment: Payment, seconds: float) -> None:
        """Hold a payment for so many seconds, or a little less."""
        now = time.monotonic()
        expires = now + seconds * random.uniform(1 - SPREAD, 1)  # noqa: S311 - spreads load only
        with self._lock.own:
            if now >= (self._forgotten.get(key.order_id) or now):
                self._payments.put(key.order_id, (expires, _owner(key), sys.intern(payment.amount)))

    def forget(self, order_id: str, *, lasting: bool = True) -> bool:
        """Drop a payment in whatever session; if that is to last, who asked before does not bring it back.

        Returns whether that is done for all who share the cache.
        """
        with self._lock.own:
            self._payments.pop(order_id)
            if lasting:
                self._forgotten.put(order_id, time.monotonic() + AFTERMATH)
        return True

    def close(self) -> None:
        """Do nothing: there are no connections."""


def _owner(key: PaymentKey) -> str:
    # A session-ID has no blank, so that no two tuples look alike.
    return f"{key.session_id} {key.resource}"
