"""A store in either form behind one face, so that a test is written once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import anyio.from_thread

from taler_paywall import redis_store
from taler_paywall.operations import Payment, PaymentKey, SessionId
from taler_paywall.redis_store import AsyncRedisStore, BlockingRedisStore, RedisStore

Form = Literal["blocking", "async"]
FORMS: tuple[Form, ...] = ("blocking", "async")

SECRET = b"a test of the shared cache has a secret of its own"
SITE = "https://news.example https://backend.example/"
#: In seconds, as the site has them unless it is told otherwise.
KNOWN_FOR, RECHECK_AFTER = 3600.0, 60.0
#: How long a payment is known when it is not fresh any more, in milliseconds.
EXTRA = 3_540_000
#: One exchange has to be over after a quarter of a second; with threefold slack, in seconds.
SOON = 0.75
#: In seconds.
PATIENCE = 30.0


def be_patient(change: Callable[[Any, str, object], None] = setattr) -> None:
    """Wait for Redis as long as a test may have to on a busy machine: what it shows then does not depend on time."""
    timeouts = dict.fromkeys(("timeout", "socket_timeout", "socket_connect_timeout"), PATIENCE)
    change(redis_store, "_OPTIONS", redis_store._OPTIONS | timeouts)
    change(redis_store, "TOTAL_TIMEOUT", PATIENCE)


class Shelf:
    """One store, blocking or in an event loop of its own, with what it has told."""

    def __init__(self, store: RedisStore, told: list[str], call: Callable[..., Any]) -> None:
        self.store = store
        self.told = told
        self.call = call

    def get(self, *keys: PaymentKey) -> Payment | None:
        return _payment(keys, self.call(self.store.get, keys))

    def known(self, *keys: PaymentKey) -> Payment | None:
        return _payment(keys, self.call(self.store.known, keys))

    def put(self, key: PaymentKey, seconds: float = RECHECK_AFTER) -> None:
        assert self.call(self.store.put, key, payment(key), seconds) is None

    def forget(self, order_id: str, *, lasting: bool = True) -> bool:
        done = self.call(lambda: self.store.forget(order_id, lasting=lasting))
        assert isinstance(done, bool)
        return done

    def take(self, client: str = "", now: float = 0.0) -> float:
        taken: float = self.call(self.store.take, client, now)
        assert isinstance(taken, float)
        return taken


def _payment(keys: Sequence[PaymentKey], found: tuple[PaymentKey, Payment] | None) -> Payment | None:
    if found is None:
        return None
    assert found[0] in keys
    assert found[1] == payment(found[0])
    return found[1]


@contextmanager
def shelf(
    form: Form,
    url: str,
    *,
    secrets: Sequence[bytes] = (SECRET,),
    site: str = SITE,
    known_for: float = KNOWN_FOR,
    recheck_after: float = RECHECK_AFTER,
    limits: tuple[int | None, int | None] = (None, None),
) -> Iterator[Shelf]:
    """Open a store, and close it."""
    told: list[str] = []
    options: dict[str, Any] = {"known_for": known_for, "recheck_after": recheck_after, "limits": limits}
    if form == "blocking":
        blocking = BlockingRedisStore(url, secrets, site, tell=told.append, **options)
        try:
            yield Shelf(blocking, told, lambda function, *arguments: function(*arguments))
        finally:
            blocking.close()
        return
    awaiting = AsyncRedisStore(url, secrets, site, tell=told.append, **options)
    with anyio.from_thread.start_blocking_portal("asyncio") as portal:
        try:
            yield Shelf(awaiting, told, portal.call)
        finally:
            portal.call(awaiting.close)


def key(number: int = 0, *, resource: str = "/a", session_id: str = "SESSION") -> PaymentKey:
    return PaymentKey(f"ORDER{number}", resource, SessionId(session_id))


def payment(of: PaymentKey) -> Payment:
    return Payment(of.order_id, of.resource, "KUDOS:0.5")


def use(held: Shelf, times: int = 1) -> None:
    """Do everything that can be done, in vain."""
    for _ in range(times):
        assert held.get(key()) is held.known(key()) is None
        held.put(key())
        held.forget(key(1).order_id)


def seconds_of(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start
