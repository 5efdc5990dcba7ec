"""The session-payment-cache of DD 07: tuples that were seen as paid. Losing it costs a backend call, never access."""

from __future__ import annotations

import random
import time

from taler_paywall.operations import Payment, PaymentKey, SessionId
from taler_paywall.process_lock import ProcessLock

#: Expiry is spread by this share, so that a busy site's payments are not all asked for in the same second.
SPREAD = 0.1
#: For so long no answer counts that may have been on its way when a payment was forgotten, in seconds.
AFTERMATH = 10.0


class MemoryCache:
    """A bounded cache in this process; of an order it holds one tuple, for an order is paid in one session at a time.

    Args:
        size: how many payments it holds; the oldest makes room.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._payments: dict[str, tuple[float, PaymentKey, Payment | None]] = {}
        self._lock = ProcessLock()
        self._merchant_pub: str | None = None

    @property
    def merchant_pub(self) -> str | None:
        """The instance's public key, None until a payment has told it."""
        return self._merchant_pub

    def get(self, keys: tuple[PaymentKey, ...]) -> Payment | None:
        """Return the payment of the first key that is held and has not expired."""
        for key in keys:
            expires, held, payment = self._payments.get(key.order_id, _NOTHING)
            if payment and held == key:
                if time.monotonic() < expires:
                    return payment
                with self._lock.own:
                    self._payments.pop(key.order_id, None)
        return None

    def put(self, key: PaymentKey, payment: Payment, seconds: float, merchant_pub: str | None = None) -> None:
        """Hold a payment for about so many seconds, and the key that its contract names."""
        self._merchant_pub = merchant_pub or self._merchant_pub
        expires = time.monotonic() + seconds * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - spreads load only
        with self._lock.own:
            until, _, held = self._payments.get(key.order_id, _NOTHING)
            if held or time.monotonic() >= until:
                self._hold(key, expires, payment)

    def forget(self, order_id: str) -> None:
        """Drop a payment in whatever session: it was refunded. Who asked before that does not bring it back."""
        with self._lock.own:
            self._hold(PaymentKey(order_id, "", _NO_SESSION), time.monotonic() + AFTERMATH, None)

    def _hold(self, key: PaymentKey, expires: float, payment: Payment | None) -> None:
        self._payments.pop(key.order_id, None)
        if len(self._payments) >= self._size:
            del self._payments[next(iter(self._payments))]
        self._payments[key.order_id] = (expires, key, payment)


_NO_SESSION = SessionId("-")
_NOTHING: tuple[float, PaymentKey | None, Payment | None] = (0.0, None, None)
