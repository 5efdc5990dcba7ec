"""What the payment flow may ask for: one class per kind of I/O, each with the type of its answer.

The flow yields these values and never performs them; `taler_paywall.drive` does, blocking or awaiting.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

import msgspec

T = TypeVar("T")

#: What order IDs are made of (merchant API, order IDs). They enter URLs, where a segment of dots would leave its place.
ORDER_ID = r"\A(?!\.{1,2}\Z)[A-Za-z0-9._:\-]{1,128}\Z"


class SessionId(str):
    """A session as the merchant backend knows it: never empty, for a status asked without one is "paid" for anybody.

    Raises:
        ValueError: the text is empty.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Refuse the empty text."""
        if not text:
            raise ValueError("a session-ID is never empty")
        return super().__new__(cls, text)

    def __repr__(self) -> str:
        """Whoever knows a session-ID can read the order's status: it stays out of logs."""
        return "SessionId(...)"


class Op(msgspec.Struct, Generic[T], frozen=True):
    """One piece of I/O; ``answer = yield from op`` is typed by it."""

    def __iter__(self) -> Generator[Op[Any], T, T]:
        return (yield self)


@dataclass(frozen=True)
class BackendRequest:
    """One request to the merchant backend.

    Args:
        method: the HTTP method.
        path: below the instance's base URL, every segment already quoted.
        query: names and values, not yet encoded.
        body: JSON, or None.
        private: whether it carries the access token.
        wait: for how many seconds the backend may hold its answer back.
        repeatable: whether it may be sent once more if nobody knows what has become of it.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)
    private: bool = False
    wait: float = 0.0
    repeatable: bool = False


@dataclass(frozen=True)
class BackendResponse:
    """The backend's answer as it came: status, media type (lower case, no parameters) and at most 1 MiB of body."""

    status: int
    media_type: str
    body: bytes = field(repr=False)


class Call(Op[T], frozen=True):
    """Ask the merchant backend; a `BackendError` of the transport or of ``parse`` is thrown into the flow.

    Args:
        request: what goes out.
        parse: reads the answer.
        lasts: tells of an answer whether it holds for those, too, who ask the same while it is on its way; None for
            calls that are never shared.
    """

    request: BackendRequest
    parse: Callable[[BackendResponse], T]
    lasts: Callable[[T], bool] | None = None


class PaymentKey(msgspec.Struct, frozen=True):
    """The tuple of the session-payment-cache (DD 07)."""

    order_id: str
    resource: str
    session_id: SessionId


@dataclass(frozen=True, slots=True)
class Payment:
    """What the application learns about the payment that opened the resource.

    Args:
        order_id: the order at the merchant backend.
        resource: the name of the resource that was bought.
        amount: what was paid, for example ``KUDOS:0.5``.
    """

    order_id: str
    resource: str
    amount: str


class Recall(Op[tuple[PaymentKey, Payment] | None], frozen=True):
    """Look in the session-payment-cache for the first of several payments that it holds (DD 07, step 3)."""

    keys: tuple[PaymentKey, ...]


class RecallKnown(Op[tuple[PaymentKey, Payment] | None], frozen=True):
    """Look for one that should be confirmed anew, but was confirmed not long ago: for while nobody can be asked."""

    keys: tuple[PaymentKey, ...]


class Remember(Op[None], frozen=True):
    """Put a payment into the session-payment-cache for at most ``seconds``, and learn the key that signs payments."""

    key: PaymentKey
    payment: Payment
    seconds: float
    merchant_pub: str | None = None


class RecallKey(Op[str | None], frozen=True):
    """Return the instance's public key as the newest remembered payment told it, None if none has."""


class RecallLinks(Op[bool], frozen=True):
    """Tell whether this process knows that the backend's links are those of `taler_paywall.merchant.order_links`."""


class LearnLinks(Op[None], frozen=True):
    """Learn whether they are, from an order whose status was asked for."""

    as_built: bool


class Forget(Op[bool], frozen=True):
    """Drop what the session-payment-cache holds of an order, in whatever session; the answer is whether all know it.

    Args:
        order_id: of the order.
        lasting: whether it was refunded, so that no answer that is on its way brings it back.
    """

    order_id: str
    lasting: bool = True


class MayOrder(Op[float], frozen=True):
    """Take one from a client's budget of new orders; the answer is how many seconds to wait, 0 if it was there.

    Args:
        client: the address that the request comes from, empty if nobody knows.
    """

    client: str
