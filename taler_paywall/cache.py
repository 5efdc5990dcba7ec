"""The session-payment-cache of DD 07: tuples that were seen as paid. Losing it costs a backend call, never access."""

from __future__ import annotations

import random
import time
from typing import TypeVar

from taler_paywall.operations import Payment, PaymentKey
from taler_paywall.process_lock import ProcessLock

#: Expiry is spread by this share, so that a busy site's payments are not all asked for in the same second.
SPREAD = 0.1
#: For so long no answer counts that may have been on its way when a payment was forgotten, in seconds.
AFTERMATH = 10.0
#: Of so many orders.
MAX_FORGOTTEN = 10_000

T = TypeVar("T")


class MemoryCache:
    """A bounded cache in this process; of an order it holds one tuple, for an order is paid in one session at a time.

    Args:
        size: how many payments it holds; the oldest makes room.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._payments: dict[str, tuple[float, PaymentKey, Payment]] = {}
        self._forgotten: dict[str, float] = {}
        self._lock = ProcessLock()
        self._merchant_pub: str | None = None

    @property
    def merchant_pub(self) -> str | None:
        """The instance's public key, None until a payment has told it."""
        return self._merchant_pub

    def get(self, keys: tuple[PaymentKey, ...]) -> Payment | None:
        """Return the payment of the first key that is held and has not expired."""
        for key in keys:
            if (entry := self._payments.get(key.order_id)) is not None and entry[1] == key:
                if time.monotonic() < entry[0]:
                    return entry[2]
                with self._lock.own:
                    if self._payments.get(key.order_id) is entry:
                        del self._payments[key.order_id]
        return None

    def put(self, key: PaymentKey, payment: Payment, seconds: float, merchant_pub: str | None = None) -> None:
        """Hold a payment for about so many seconds, and the key that its contract names."""
        self._merchant_pub = merchant_pub or self._merchant_pub
        now = time.monotonic()
        expires = now + seconds * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - spreads load only
        with self._lock.own:
            if now >= self._forgotten.get(key.order_id, now):
                _append(self._payments, key.order_id, (expires, key, payment), self._size)

    def forget(self, order_id: str) -> None:
        """Drop a payment in whatever session: it was refunded, or moved. Who asked before does not bring it back."""
        with self._lock.own:
            self._payments.pop(order_id, None)
            _append(self._forgotten, order_id, time.monotonic() + AFTERMATH, MAX_FORGOTTEN)


def _append(held: dict[str, T], order_id: str, entry: T, size: int) -> None:
    """Put an entry at the end of the row; the oldest makes room."""
    held.pop(order_id, None)
    if len(held) >= size:
        del held[next(iter(held))]
    held[order_id] = entry
