"""The session-payment-cache of DD 07: tuples that were seen as paid. Losing it costs a backend call, never access."""

from __future__ import annotations

import random
import sys
import time
from typing import Generic, TypeVar

from taler_paywall.operations import Payment, PaymentKey
from taler_paywall.process_lock import ProcessLock

#: Expiry is spread by this share, so that a busy site's payments are not all asked for in the same second.
SPREAD = 0.1
#: For so long no answer counts that may have been on its way when a payment was forgotten, in seconds.
AFTERMATH = 10.0
#: Of so many orders, the newest half of them for certain.
MAX_FORGOTTEN = 20_000
#: For so long it is believed that the backend still makes its links as it did.
LINKS_SECONDS = 600.0

T = TypeVar("T")


class _Newest(Generic[T]):
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


class MemoryCache:
    """A bounded cache in this process; of an order it holds one tuple, for an order is paid in one session at a time.

    Args:
        size: how many payments it holds at the most; the oldest make room.
    """

    def __init__(self, size: int = 100_000) -> None:
        # When it expires, whose it is and for what, and the amount: flat, for there may be very many.
        self._payments = _Newest[tuple[float, str, str]](size)
        self._forgotten = _Newest[float](MAX_FORGOTTEN)
        self._lock = ProcessLock()
        self._merchant_pub: str | None = None
        self._links_until = 0.0

    @property
    def merchant_pub(self) -> str | None:
        """The instance's public key, None until a payment has told it."""
        return self._merchant_pub

    @property
    def links_as_built(self) -> bool:
        """Whether the backend has told lately, and since then nothing else, links as we would make them ourselves."""
        return time.monotonic() < self._links_until

    def learn_links(self, *, as_built: bool) -> None:
        """Learn whether they were."""
        self._links_until = time.monotonic() + LINKS_SECONDS if as_built else 0.0

    def get(self, keys: tuple[PaymentKey, ...]) -> tuple[PaymentKey, Payment] | None:
        """Return the first key that is held and has not expired, and its payment."""
        for key in keys:
            entry = self._payments.get(key.order_id)
            # What has expired stays until it is remembered anew or forgotten, or makes room.
            if entry is not None and entry[1] == _owner(key) and time.monotonic() < entry[0]:
                return key, Payment(key.order_id, key.resource, entry[2])
        return None

    def put(self, key: PaymentKey, payment: Payment, seconds: float, merchant_pub: str | None = None) -> None:
        """Hold a payment for about so many seconds, and the key that its contract names."""
        self._merchant_pub = merchant_pub or self._merchant_pub
        now = time.monotonic()
        expires = now + seconds * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - spreads load only
        with self._lock.own:
            if now >= (self._forgotten.get(key.order_id) or now):
                self._payments.put(key.order_id, (expires, _owner(key), sys.intern(payment.amount)))

    def forget(self, order_id: str) -> None:
        """Drop a payment in whatever session: it was refunded, or moved. Who asked before does not bring it back."""
        with self._lock.own:
            self._payments.pop(order_id)
            self._forgotten.put(order_id, time.monotonic() + AFTERMATH)


def _owner(key: PaymentKey) -> str:
    # A session-ID has no blank, so that no two tuples look alike.
    return f"{key.session_id} {key.resource}"
