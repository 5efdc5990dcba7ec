"""What is asked of Redis, and how far its answers are believed: whoever else may write there opens nothing.

A payment is kept under its order, signed, together with when it was confirmed. Redis counts its time down: first it is
fresh, then, for the last `extra` milliseconds, merely known.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec
from itsdangerous import BadData, Signer

from taler_paywall import crockford
from taler_paywall.cache import AFTERMATH
from taler_paywall.operations import Payment, PaymentKey
from taler_paywall.order_limits import FILLED, cost
from taler_paywall.session import HmacSha256, Keys

Command = tuple[str | bytes | int, ...]
Found = tuple[PaymentKey, Payment] | None

#: How far the clocks of two workers may differ, in seconds.
CLOCK_SKEW = 60
#: What is longer was not written here, and is not read to its end.
MAX_BYTES = 512
TOMBSTONE = b"forgotten"

# A value of another type, or one that never expires, makes room; a tombstone does not.
_PUT = f"""\
if redis.pcall('GET', KEYS[1]) ~= '{TOMBSTONE.decode()}' then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1"""

_DROP = f"""\
if redis.pcall('GET', KEYS[1]) ~= '{TOMBSTONE.decode()}' then redis.call('DEL', KEYS[1]) end
return 1"""

# A full Redis lets a script go on that has begun to write, and deleting is always allowed.
_BURY = f"""\
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], '{TOMBSTONE.decode()}', 'PX', {int(1000 * AFTERMATH)})
return 1"""

# `OrderLimits.take` on the clock of Redis: either every bucket gives one, or none does. What is more than a minute
# ahead was not written here, or the clock was set back. Lua would write a number of 16 digits in a short form.
_TAKE = f"""\
local clock = redis.call('TIME')
local now, full, late = clock[1] * 1000000 + clock[2], {{}}, 0
for i, key in ipairs(KEYS) do
  local held = tonumber(redis.pcall('GET', key)) or 0
  full[i] = (held > now and held <= now + {FILLED} and held or now) + ARGV[i]
  late = math.max(late, full[i] - now - {FILLED})
end
if late == 0 then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000))
  end
end
return late"""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """One payment as Redis holds it.

    Args:
        order_id: of the order; the key alone would not do, for values can be moved.
        owner: digest of session and resource.
        amount: what was paid.
        confirmed: when the backend said so, in seconds since 1970.
        fresh: for how long that is believed, in milliseconds.
        extra: for how long after that it is good while nobody can be asked.
    """

    order_id: str
    owner: str
    amount: str
    confirmed: int
    fresh: int
    extra: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Entry).decode


class Commands:
    """The commands of one site, each a tuple, and the readers of their replies.

    Args:
        secrets: the site's keys, oldest first; the last one signs, all of them are accepted.
        site: what tells this site from others, as for the cookies' keys.
        known_for: how long after it was confirmed a payment is good while nobody can be asked, in seconds.
        recheck_after: how long it is good without asking, in seconds.
    """

    def __init__(self, secrets: Sequence[bytes], site: str, known_for: float, recheck_after: float) -> None:
        label = f"taler_paywall/1/cache/{site}".encode()
        keys = [hmac.digest(secret, label, "sha256") for secret in secrets]
        self._signer = Signer(keys, key_derivation="none", algorithm=HmacSha256())
        self._clients = keys[0]
        self._prefix = f"taler_paywall:{Keys(secrets, site).site_tag}"
        self._extra = max(0, int(1000 * (known_for - recheck_after)))

    def read(self, keys: Sequence[PaymentKey]) -> list[Command]:
        """Ask for some payments, and for how long they are still there."""
        names = [self._name(key.order_id) for key in keys]
        return [command for name in names for command in (("GETRANGE", name, 0, MAX_BYTES), ("PTTL", name))]

    def found(self, keys: Sequence[PaymentKey], replies: Sequence[object], now: float, *, known: bool) -> Found:
        """Return the first of the payments that is held.

        Args:
            keys: those that were asked for.
            replies: to `read`; an exception where Redis refused.
            now: seconds since 1970.
            known: whether one is enough that is not fresh any more.
        """
        for key, value, left in zip(keys, replies[::2], replies[1::2], strict=True):
            entry = self._open(value)
            if entry and isinstance(left, int) and _holds(entry, key, left, now, known=known):
                return key, Payment(key.order_id, key.resource, entry.amount)
        return None

    def put(self, key: PaymentKey, payment: Payment, seconds: float, now: float) -> list[Command]:
        """Hold a payment, unless it was forgotten just now."""
        fresh = int(1000 * seconds)
        lasts = fresh + self._extra
        if lasts <= 0:
            return []
        entry = _Entry(key.order_id, _owner(key), payment.amount, int(now), fresh, self._extra)
        return [("EVAL", _PUT, 1, self._name(key.order_id), self._signer.sign(_encode(entry)), lasts)]

    def forget(self, order_id: str, *, lasting: bool) -> Command:
        """Drop a payment; if that is to last, a tombstone keeps out who asked before."""
        return ("EVAL", _BURY if lasting else _DROP, 1, self._name(order_id))

    def take(self, client: str, per_client: int | None, total: int | None) -> list[Command]:
        """Take one from the buckets of new orders; the reply is in how many microseconds it is there, 0 if taken."""
        # An order's ID has no slash. Whose address it is concerns nobody who looks into Redis.
        whose = crockford.encode(hmac.digest(self._clients, client.encode(), "sha256")[:10])
        limits: Mapping[str, int | None] = {
            f"{self._prefix}/orders": total,
            f"{self._prefix}/orders/{whose}": per_client if client else None,
        }
        costs = {name: cost(limit) for name, limit in limits.items() if limit is not None}
        return [("EVAL", _TAKE, len(costs), *costs.keys(), *costs.values())] if costs else []

    def _name(self, order_id: str) -> str:
        return f"{self._prefix}:{order_id}"

    def _open(self, value: object) -> _Entry | None:
        if not isinstance(value, bytes):
            return None
        try:
            return _decode(self._signer.unsign(value))
        except (BadData, msgspec.MsgspecError, RecursionError):
            return None


def _holds(entry: _Entry, key: PaymentKey, left: int, now: float, *, known: bool) -> bool:
    """Tell whether an entry is this payment, and young enough by the clocks of Redis and of this machine.

    Redis's clock is the same for all; ours bounds how long somebody could put an old value back.
    """
    lasts = entry.fresh + entry.extra
    ends = entry.confirmed + CLOCK_SKEW + (lasts if known else entry.fresh) / 1000
    return (
        (entry.order_id, entry.owner) == (key.order_id, _owner(key))
        and (0 if known else entry.extra) < left <= lasts
        and entry.confirmed - CLOCK_SKEW <= now <= ends
    )


def _owner(key: PaymentKey) -> str:
    # A session-ID has no blank, so that no two tuples look alike.
    return crockford.encode(sha256(f"{key.session_id} {key.resource}".encode()).digest()[:16])
