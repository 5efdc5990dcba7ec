"""The cookies of the readers that the corpus speaks of, genuine and forged."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer
from itsdangerous.encoding import base64_encode
from msgspec.structs import replace

from taler_paywall.amount import Amount
from taler_paywall.gate import Gate
from taler_paywall.http import Request
from taler_paywall.offer import Offer, Storefront, order_request
from taler_paywall.session import Cookies, Keys, Order

from .hostile import PUBLIC, Books
from .shop import OLD, REMOVED, SITE, rules

DAY: Final = 86_400
_json: Final = msgspec.json.Encoder(enc_hook=str).encode


@dataclass
class Jar:
    """The cookies that the corpus speaks of; what they hold stands in the backend's books.

    Args:
        books: of the backend.
        asked: the page that the attack asks for.
        keys: secrets of the site, oldest first.
    """

    books: Books
    asked: str = "/article"
    keys: tuple[str, ...] = (OLD,)
    made: list[Order] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name under which the site looks for an order of what the attack asks for."""
        order = self.made[0] if self.made else self.order_for("unpaid", self.asked)
        renamed = replace(order, resource=self.tag)
        return self._cookies.order_cookies([], renamed)[0].partition(b"=")[0].decode()

    @property
    def tag(self) -> str:
        """The tag of what the attack asks for."""
        return self._offer(self.asked).resource.tag

    @property
    def _cookies(self) -> Cookies:
        return Cookies(keys_of(*self.keys), secure=True, max_age=400 * DAY)

    def value(self, state: str, resource: str, mutation: str = "") -> str:
        """Return the value of an order's cookie, spoilt if that is asked."""
        order = self.order_for(state, resource)
        return MUTATIONS[mutation](self, order).decode("latin-1")

    def order(self, state: str, resource: str) -> str:
        return self.order_for(state, resource).order_id

    def session(self, state: str, resource: str) -> str:
        return self.order_for(state, resource).session_id

    def order_for(self, state: str, path: str) -> Order:
        """Return the order of a browser, as far as the backend knows it.

        Args:
            state: ``fresh, unpaid, paid, other_user_paid, other_user_unpaid, other_session_same_order``.
            path: the page that it is for.
        """
        keys, offer = keys_of(*self.keys), self._offer(path)
        mine, theirs = keys.session_id("my secret"), keys.session_id("another browser's secret")
        session = theirs if state.startswith("other_user") else mine
        buyer = theirs if state.startswith("other") else mine
        order_id = keys.order_id(buyer, offer.resource.name, 0)
        now = int(time.time())
        order = Order(session, order_id, offer.resource.tag, 0, 0, "EUR:1", "", now + 3600, now)
        if state != "fresh":
            storefront = Storefront(SITE, PUBLIC, keys, refund_delay=3600, recheck_after=60)
            self.books.orders[order_id] = json.loads(_json(order_request(storefront, offer, order)))["order"]
        if state in {"paid", "other_user_paid", "other_session_same_order"}:
            self.books.paid[order_id] = buyer
        self.made.append(order)
        return order

    def seal(self, content: object, keys: Keys | None = None) -> bytes:
        """Sign a payload as the site would."""
        payload = content if isinstance(content, bytes) else base64_encode(_json(content))
        return (keys or keys_of(*self.keys)).order.sign(payload)

    def swapped_resource(self, order: Order) -> bytes:
        """Return a genuine cookie for what the attack asks for, with the order of another resource."""
        return self.seal(replace(order, resource=self.tag))

    @staticmethod
    def _offer(path: str) -> Offer:
        name, _, query = path.partition("?")
        found = Gate(tuple(rules())).find(Request("GET", name, name.encode(), "", query.encode(), []))
        assert isinstance(found, tuple), path
        return Offer(*found, Amount.parse("EUR:1"), SITE)


def keys_of(*secrets: str, site: str = f"{SITE} {PUBLIC}") -> Keys:
    return Keys([secret.encode() for secret in secrets], site)


Mutation = Callable[[Jar, Order], bytes]


def _spoilt(spoil: Callable[[bytes, bytes], bytes]) -> Mutation:
    """Spoil payload and signature of a genuine value."""
    return lambda jar, order: spoil(*jar.seal(order).rsplit(b".", 1))


def _signed(change: Callable[[Order], object]) -> Mutation:
    """Sign something else."""
    return lambda jar, order: jar.seal(change(order))


def _issued(seconds: float) -> Mutation:
    return _signed(lambda order: replace(order, issued=int(time.time() + seconds)))


def _under(*secrets: str, **site: str) -> Mutation:
    """Sign with the keys of others."""
    return lambda jar, order: jar.seal(order, keys_of(*secrets, **site))


def _flipped(text: bytes, at: int) -> bytes:
    """Change one character for another of the alphabet."""
    at %= len(text)
    return text[:at] + (b"A" if text[at : at + 1] != b"A" else b"Q") + text[at + 1 :]


def _other_last(signature: bytes) -> bytes:
    """Change the bits of the last character that say nothing."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return signature[:-1] + bytes([alphabet[alphabet.index(signature[-1]) ^ 1]])


def _parts(order: Order) -> list[object]:
    parts: list[object] = json.loads(_json(order))
    return parts


def _flask(order: Order) -> object:
    return {"order_id": order.order_id, "paid": True}


MUTATIONS: Final[dict[str, Mutation]] = {
    "": _signed(lambda order: order),
    "flip_first": _spoilt(lambda payload, sig: _flipped(payload, 0) + b"." + sig),
    "flip_mid": _spoilt(lambda payload, sig: _flipped(payload, len(payload) // 2) + b"." + sig),
    "flip_ts": _spoilt(lambda payload, sig: _flipped(payload, -4) + b"." + sig),
    "flip_sig": _spoilt(lambda payload, sig: payload + b"." + _flipped(sig, 20)),
    "drop_sig": _spoilt(lambda payload, _: payload),
    "drop_ts": _spoilt(
        lambda payload, sig: (
            base64_encode(json.dumps(json.loads(base64.urlsafe_b64decode(payload + b"==="))[:-1])) + b"." + sig
        )
    ),
    "trunc_1": _spoilt(lambda payload, sig: payload + b"." + sig[:-1]),
    "trunc_half": _spoilt(lambda payload, sig: payload[: len(payload) // 2]),
    "swap_payload": lambda jar, order: (
        jar.seal(replace(order, attempt=1)).rsplit(b".", 1)[0] + b"." + jar.seal(order).rsplit(b".", 1)[1]
    ),
    "key_empty": _under(""),
    "key_secret": _under("secret"),
    "key_removed": _under(REMOVED),
    "key_previous": _under(OLD),
    "site_other": _under(OLD, site=f"https://other.test {PUBLIC}"),
    "salt_other": lambda jar, order: keys_of(OLD).session.sign(base64_encode(_json(order))),
    "untimed": lambda _, order: URLSafeSerializer(OLD).dumps(_parts(order)).encode(),
    "flask_session": lambda _, order: URLSafeTimedSerializer(OLD, salt="cookie-session").dumps(_flask(order)).encode(),
    "ts_-400d": _issued(-401 * DAY),
    "ts_+1h": _issued(3600),
    "ts_+25h": _issued(25 * 3600),
    "ts_+30s": _issued(30),
    "ts_overflow": _issued(1e18),
    "json_list": _signed(lambda _: ["paid", "/article"]),
    "json_no_order": _signed(lambda order: [part for part in _parts(order) if part != order.order_id]),
    "json_types": _signed(lambda order: [[part] for part in _parts(order)]),
    "version_99": _signed(lambda order: [99, *_parts(order)]),
    "order_id_traversal": _signed(lambda order: replace(order, order_id="../../x")),
    "order_id_crlf": _signed(lambda order: replace(order, order_id="X\r\nY: z")),
    "order_id_long": _signed(lambda order: replace(order, order_id="X" * 10_000)),
    "zlib_bomb": _signed(lambda _: b"." + base64_encode(zlib.compress(bytes(10 << 20)))),
    "pad_equals": _spoilt(lambda payload, sig: payload + b"." + sig + b"="),
    "malleable_last": _spoilt(lambda payload, sig: payload + b"." + _other_last(sig)),
    "urlencode": _spoilt(lambda payload, sig: payload + b"%2E" + sig),
    "resource_swap": lambda jar, order: jar.swapped_resource(order),
}
