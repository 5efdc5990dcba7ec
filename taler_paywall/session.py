"""The session cookie and the order cookies: signed, small, and sufficient by themselves (design, section 5).

A cookie that is forged, expired, oversized or not decodable counts as no cookie; it is never an error.
"""

from __future__ import annotations

import binascii
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_encode
from itsdangerous.signer import SigningAlgorithm

from taler_paywall import crockford
from taler_paywall.http import Header
from taler_paywall.operations import ORDER_ID, PaymentKey, SessionId

MAX_ORDERS = 12
MAX_BYTES = 4096
MAX_CANDIDATES = 8
#: How many other orders are looked at when one is stored.
MAX_LOOKED_AT = 3 * MAX_ORDERS
#: Longer pages are not remembered: the reader then stays on the page where the payment ends.
MAX_PAGE = 256
#: By so much the clock may have been set back since, or differ from another worker's: who has paid does not pay again.
CLOCK_SKEW = 86_400


class Order(msgspec.Struct, frozen=True, array_like=True):
    """One order of one browser for one resource, as its cookie holds it.

    Args:
        session_id: the session at the backend that the order is, or will be, paid under.
        order_id: chosen by the storefront.
        resource: tag of the resource.
        attempt: counts the orders of this session for this resource.
        again: how often it was bought anew, after refunds for example; it makes the fulfillment URL new.
        price: the amount that was asked for; empty if the order was found and not made.
        page: path and query of the page that was asked for, empty once the reader was brought there.
        pay_deadline: in seconds since 1970, 0 if unknown.
        issued: when the cookie was written, in seconds since 1970.
        state: ``paid`` once this browser has read it; ``moved`` for an order that follows one which was paid here and
            is now in another browser.
    """

    session_id: SessionId
    order_id: Annotated[str, msgspec.Meta(pattern=ORDER_ID)]
    resource: str
    attempt: int
    again: int
    price: str
    page: str
    pay_deadline: int
    issued: int
    state: Literal["", "paid", "moved"] = ""

    def key(self, resource_name: str) -> PaymentKey:
        """Return the tuple of the session-payment-cache."""
        return PaymentKey(self.order_id, resource_name, self.session_id)


class HmacSha256(SigningAlgorithm):
    """The signer's HMAC in one call of OpenSSL, which takes half of the time that Python's object for it takes."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        """Return the signature of a value under a key."""
        return hmac.digest(key, value, "sha256")


class _Session(msgspec.Struct, frozen=True, array_like=True):
    secret: str
    issued: int


C = TypeVar("C", Order, _Session)


_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def _base64(text: bytes) -> bytes:
    """Decode what `base64_encode` made, in a third of the time of its counterpart, which decodes anything."""
    return binascii.a2b_base64(text.translate(_URL_SAFE) + b"==")


class _Seal(Generic[C]):
    """What signs one kind of cookie, and reads it again.

    Args:
        signer: with the keys of this kind.
        kind: what is in it.
    """

    def __init__(self, signer: Signer, kind: type[C]) -> None:
        self._signer = signer
        self._decode: Callable[[bytes], C] = msgspec.json.Decoder(kind, dec_hook=_session_id).decode

    def seal(self, content: C) -> bytes:
        return self._signer.sign(base64_encode(_encode(content)))

    def open(self, value: bytes) -> C | None:
        """Return what a cookie holds; None if it is not ours."""
        if len(value) > MAX_BYTES:
            return None
        try:
            return self._decode(_base64(self._signer.unsign(value)))
        except (BadData, binascii.Error, msgspec.MsgspecError, RecursionError):
            return None


def _session_id(_: type[Any], text: Any) -> SessionId:
    """Make the one type of an order that JSON does not know; what is none makes the whole cookie invalid."""
    if not isinstance(text, str):
        raise TypeError("a session-ID is a text")
    return SessionId(text)


_encode = msgspec.json.Encoder(enc_hook=str).encode
_SAMPLE = _Session("x" * 22, 10**10)


class Keys:
    """The keys of one site, one for each purpose, derived from the secret keys.

    Args:
        secrets: oldest first; the last one signs, the first one names orders, all of them are accepted.
        site: what tells this site from others with the same secret: its public URL and its merchant instance.
    """

    def __init__(self, secrets: Sequence[bytes], site: str) -> None:
        def derive(purpose: str) -> list[bytes]:
            label = f"taler_paywall/1/{purpose}/{site}".encode()
            return [hmac.digest(secret, label, "sha256") for secret in secrets]

        self.rotating = len(secrets) > 1
        self.site_tag = crockford.encode(sha256(site.encode()).digest()[:5]).lower()
        self.session, self.order = (
            Signer(list(keys), key_derivation="none", algorithm=HmacSha256())
            for keys in (derive("session cookie"), derive("order cookie"))
        )
        # The oldest names, so that workers with and without a new key name alike while it is rolled out.
        self._session_ids = derive("session id")[0]
        #: What the backend says when it calls; the last one is installed there, all of them are accepted.
        self.webhook_secrets = tuple(crockford.encode(key) for key in derive("webhook"))
        self._order_ids = derive("order id")[0]

    def session_id(self, secret: str) -> SessionId:
        """Return the session as the backend gets it: from a leaked one nobody can make a cookie."""
        return SessionId(crockford.encode(hmac.digest(self._session_ids, secret.encode(), "sha256")[:20]))

    def order_id(self, session_id: SessionId, resource_name: str, attempt: int) -> str:
        """Return the order ID of an attempt: always the same, so that creating an order is idempotent (160 bits)."""
        parts = _encode([session_id, resource_name, attempt])
        return crockford.encode(hmac.digest(self._order_ids, parts, "sha256")[:20])


class Cookies:
    """Reads and writes the cookies of a site.

    Args:
        keys: of the site.
        secure: whether the site is served over https (decided by its public URL, never by a request).
        max_age: of a cookie, in seconds.
    """

    def __init__(self, keys: Keys, *, secure: bool, max_age: int) -> None:
        self._keys = keys
        self._order, self._session = _Seal(keys.order, Order), _Seal(keys.session, _Session)
        self._max_age = max_age
        prefix = f"{'__Host-' if secure else ''}taler_{keys.site_tag}_"
        self._session_name = f"{prefix}session".encode()
        self._order_prefix = f"{prefix}order_".encode()
        self._order_pairs, self._session_pairs = _finder(self._order_prefix), _finder(self._session_name)
        # The session's cookie counts too, though it may be made only later: its length is always the same.
        self._room = MAX_BYTES - _length(self._session_name, self._session.seal(_SAMPLE))
        self._attributes = f"; Path=/; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"

    def orders(self, headers: Iterable[Header], resource_tag: str, now: int) -> tuple[Order, ...]:
        """Return the browser's orders for a resource, newest first, at most `MAX_CANDIDATES`.

        Args:
            headers: of the request, lower-case names.
            resource_tag: of the resource.
            now: seconds since 1970.
        """
        wanted = self._order_prefix + resource_tag.encode() + b"_"
        values = [value for name, value in self._order_pairs(headers) if name.startswith(wanted)]
        orders = [
            order
            for value in values[:MAX_CANDIDATES]
            if (order := self._order.open(value)) and order.resource == resource_tag and self._lives(order, now)
        ]
        orders.sort(key=lambda order: order.issued, reverse=True)
        return tuple(orders)

    def order_by_id(self, headers: Iterable[Header], order_id: str, now: int) -> Order | None:
        """Return this browser's order of an ID, whatever it is for; None if it has none."""
        return next((order for order in self._all_orders(headers, now) if order.order_id == order_id), None)

    def session_ids(self, headers: Sequence[Header], now: int) -> set[SessionId]:
        """Return the sessions of this browser as the backend knows them."""
        secret = self.session(headers, now)
        own = {self._keys.session_id(secret)} if secret else set()
        return own | {order.session_id for order in self._all_orders(headers, now)}

    def _all_orders(self, headers: Iterable[Header], now: int) -> Iterator[Order]:
        pairs = self._order_pairs(headers)[:MAX_LOOKED_AT]
        return (order for _, value in pairs if (order := self._order.open(value)) and self._lives(order, now))

    def session(self, headers: Iterable[Header], now: int) -> str | None:
        """Return the secret of the browser's session, None if there is no valid one."""
        values = [value for name, value in self._session_pairs(headers) if name == self._session_name]
        opened = (self._session.open(value) for value in values[:MAX_CANDIDATES])
        return next((session.secret for session in opened if session and self._lives(session, now)), None)

    def session_cookie(self, secret: str, now: int) -> bytes:
        """Return the ``Set-Cookie`` value of a session."""
        return self._cookie(self._session_name, self._session.seal(_Session(secret, now)))

    def order_cookies(self, headers: Iterable[Header], order: Order) -> list[bytes]:
        """Return the ``Set-Cookie`` values that store an order, and evict the oldest where there are too many.

        An order that is evicted is found again at the backend, without the wallet, by its derived ID.
        """
        name = self._order_name(order)
        value = self._order.seal(order)
        found = [pair for pair in self._order_pairs(headers) if pair[0] != name]
        # More than these were never ours; the rest waits for later requests.
        looked_at = found[:MAX_LOOKED_AT]
        others = sorted(((self._issued(theirs), cookie, theirs) for cookie, theirs in looked_at), reverse=True)
        room, kept, evicted = self._room - _length(name, value), 1, []
        for _, cookie, theirs in others:
            room -= _length(cookie, theirs)
            kept += 1
            if kept > MAX_ORDERS or room < 0:
                evicted.append(cookie)
        return [self._cookie(name, value), *(self._cookie(cookie, b"", max_age=0) for cookie in evicted)]

    def renewal_due(self, headers: Iterable[Header], order: Order, now: int) -> bool:
        """Tell whether an order's cookie has lived for more than half of its time, or was signed by an older key."""
        if now - order.issued > self._max_age // 2:
            return True
        if not self._keys.rotating:
            return False
        name = self._order_name(order)
        return (name, self._order.seal(order)) not in self._order_pairs(headers)

    def _order_name(self, order: Order) -> bytes:
        # The session's tag keeps apart the orders of two tabs that were opened at once, each with a session of its own.
        return self._order_prefix + f"{order.resource}_{order.session_id[:4]}".lower().encode()

    def _issued(self, value: bytes) -> int:
        order = self._order.open(value)
        return order.issued if order else 0

    def _lives(self, content: Order | _Session, now: int) -> bool:
        return -CLOCK_SKEW <= now - content.issued <= self._max_age

    def _cookie(self, name: bytes, value: bytes, max_age: int | None = None) -> bytes:
        age = self._max_age if max_age is None else max_age
        return b"%s=%s%s; Max-Age=%d" % (name, value, self._attributes.encode(), age)


def _finder(prefix: bytes) -> Callable[[Iterable[Header]], list[tuple[bytes, bytes]]]:
    """Return what finds name and value, byte for byte, of every cookie whose name begins so."""
    found = re.compile(rb";[ \t]*+(%b[^=; \t]*+)[ \t]*+=([^;]*+)" % re.escape(prefix)).findall

    def find(headers: Iterable[Header]) -> list[tuple[bytes, bytes]]:
        lines = [b";" + line for header, line in headers if header == b"cookie"]
        return [(name, _bare(value)) for line in lines for name, value in found(line)]

    return find


def _bare(value: bytes) -> bytes:
    return value.strip(b" \t").removeprefix(b'"').removesuffix(b'"')


def _length(name: bytes, value: bytes) -> int:
    """Return what a cookie takes of the Cookie header, separators included."""
    return len(name) + len(value) + 3
