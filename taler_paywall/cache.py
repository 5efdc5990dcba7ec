"""The session-payment-cache of DD 07: tuples that were seen as paid. Losing it costs a backend call, never access."""

from __future__ import annotations

import random
import time

from taler_paywall.operations import Payment, PaymentKey
from taler_paywall.process_lock import ProcessLock

#: Expiry is spread by this share, so that a busy site's payments are not all asked for in the same second.
SPREAD = 0.1


class MemoryCache:
    """A bounded cache in this process.

    Args:
        size: how many payments it holds; the oldest makes room.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._payments: dict[PaymentKey, tuple[float, Payment]] = {}
        self._lock = ProcessLock()
        self._merchant_pub: str | None = None

    @property
    def merchant_pub(self) -> str | None:
        """The instance's public key, None until a payment has told it."""
        return self._merchant_pub

    def get(self, keys: tuple[PaymentKey, ...]) -> Payment | None:
        """Return the payment of the first key that is held and has not expired."""
        for key in keys:
            if (entry := self._payments.get(key)) is not None:
                if time.monotonic() < entry[0]:
                    return entry[1]
                self.forget(key)
        return None

    def put(self, key: PaymentKey, payment: Payment, seconds: float, merchant_pub: str | None = None) -> None:
        """Hold a payment for about so many seconds, and the key that its contract names."""
        self._merchant_pub = merchant_pub or self._merchant_pub
        expires = time.monotonic() + seconds * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - spreads load only
        with self._lock.own:
            self._payments.pop(key, None)
            if len(self._payments) >= self._size:
                del self._payments[next(iter(self._payments))]
            self._payments[key] = (expires, payment)

    def forget(self, key: PaymentKey) -> None:
        """Drop a payment."""
        with self._lock.own:
            self._payments.pop(key, None)
