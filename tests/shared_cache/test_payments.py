"""The session-payment-cache in Redis: shared, short-lived, and believed only as far as it is ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from running import eventually

from taler_paywall import redis_store
from taler_paywall.cache import AFTERMATH, SPREAD
from taler_paywall.operations import Payment, PaymentKey, SessionId

from .redis_server import RedisServer
from .shelf import EXTRA, FORMS, Form, Shelf, key, payment, shelf

Open = Callable[..., Shelf]


def name(server: RedisServer, of: PaymentKey | None = None) -> str:
    """Return the name in Redis of a payment."""
    (found,) = server.admin.keys(f"*:{(of or key()).order_id}")
    return str(found.decode())


@pytest.mark.parametrize("other", FORMS)
def test_shared(opened: Open, server: RedisServer, other: Form) -> None:
    """What one puts, all find, in whatever form, by exactly its order, resource and session."""
    opened().put(key())

    with shelf(other, server.url) as held:
        assert held.get(key()) == held.known(key()) == payment(key())
        assert held.get() is None
        lower = PaymentKey("order0", "/a", SessionId("SESSION"))
        for stranger in (key(1), key(resource="/b"), key(session_id="T"), lower):
            assert held.get(stranger) is held.known(stranger) is None


def test_the_first_that_is_held(opened: Open) -> None:
    """Of several payments, in their order, the first that is held counts."""
    held = opened()
    for number in (1, 2):
        held.put(key(number))

    assert held.get(key(0), key(2), key(1)) == payment(key(2))
    assert held.get(key(1), key(2)) == payment(key(1))


def test_one_round_trip(opened: Open, server: RedisServer) -> None:
    """Looking for eight payments is one exchange of two commands each; dropping one is one command."""
    held = opened()
    held.get(*map(key, range(8)))

    assert (server.calls("getrange"), server.calls("pttl")) == (8, 8)
    held.forget("ORDER1")
    assert server.calls("eval") == 1


def test_fresh_then_known_then_gone(opened: Open, server: RedisServer) -> None:
    """By the clock of Redis a payment is fresh, then merely known, then gone."""
    held = opened()
    held.put(key())

    server.admin.pexpire(name(server), EXTRA)
    assert held.get(key()) is None
    assert held.known(key()) == payment(key())
    server.admin.pexpire(name(server), 1)
    eventually(lambda: held.known(key()) is None, "expiry")


def test_times_are_spread(opened: Open, server: RedisServer) -> None:
    """How long payments are fresh differs by a fifth at the most, and does differ; none is for longer than was said."""
    held = opened()
    for number in range(20):
        held.put(key(number), 1000)

    left = [(server.admin.pttl(name(server, key(number))) - EXTRA) / 1000 for number in range(20)]
    assert 1000 * (1 - SPREAD) - 60 <= min(left) < max(left) <= 1000
    assert len({round(seconds) for seconds in left}) > 1


def test_nothing_is_kept_for_later(opened: Open, server: RedisServer) -> None:
    """Where nothing is believed while nobody can be asked, what is not fresh is gone; and what never is, not kept."""
    held = opened(known_for=0.0)
    held.put(key(), 0.0)
    assert server.admin.dbsize() == 0
    assert held.told == []

    held.put(key(1), 60)
    assert held.get(key(1)) == payment(key(1))
    held.put(key(), 1000)
    assert 0 < server.admin.pttl(name(server)) <= 1000_000


def test_settled_payments_last(opened: Open) -> None:
    """A payment that can no longer be refunded is fresh for a day."""
    held = opened()
    held.put(key(), 86_400)
    assert held.get(key()) == payment(key())


@pytest.mark.parametrize("other", FORMS)
def test_forgotten_by_one_is_forgotten_by_all(opened: Open, server: RedisServer, other: Form) -> None:
    """What one forgets, nobody finds, and who asked before the refund does not bring it back."""
    one = opened()
    with shelf(other, server.url) as two:
        two.put(key())
        two.put(key(1))
        one.forget(key().order_id)

        assert two.get(key()) is two.known(key()) is None
        two.put(key())
        assert two.get(key()) is one.get(key()) is two.known(key()) is None
        assert two.get(key(1)) == payment(key(1))
        assert 0 < server.admin.pttl(name(server)) <= 1000 * AFTERMATH

        server.admin.pexpire(name(server), 1)
        eventually(lambda: not server.admin.exists(name_of_none(server)), "the end of the tombstone")
        two.put(key())
        assert one.get(key()) == payment(key())


def name_of_none(server: RedisServer) -> str:
    """Return the name of the payment that has no value any more."""
    return name(server, key(1)).replace("ORDER1", "ORDER0")


def test_forgotten_for_now(opened: Open) -> None:
    """What may come back does; only after a refund it must not, whatever is forgotten after that."""
    held = opened()
    held.put(key())
    held.forget(key().order_id, lasting=False)
    assert held.get(key()) is held.known(key()) is None

    held.put(key())
    assert held.get(key()) == payment(key())
    held.forget(key().order_id)
    held.forget(key().order_id, lasting=False)
    held.put(key())
    assert held.get(key()) is held.known(key()) is None


def test_nobody_overtakes_a_refund(opened: Open) -> None:
    """However many have the answer "paid" under way, from the moment a refund was learnt nobody finds it."""
    held, ended = opened(), Event()

    def remember() -> int:
        number = 0
        while not ended.is_set():
            held.put(key())
            number += 1
        return number

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(remember) for _ in range(4)]
        try:
            eventually(lambda: held.get(key()), "the payment")
            held.forget(key().order_id)
            assert all(held.get(key()) is held.known(key()) is None for _ in range(200))
        finally:
            ended.set()
        assert all(one.result() > 0 for one in running)


def test_foreign_values(opened: Open, server: RedisServer) -> None:
    """Whatever somebody else writes is a payment that is not held, and makes room for a real one."""
    held = opened()
    held.put(key())
    held.put(key(1))
    ours, other = name(server), name(server, key(1))
    # Any of these payments would be fresh for a while yet.
    real, lasts = server.admin.get(ours), EXTRA + 10_000
    assert isinstance(real, bytes)
    other_key = opened(secrets=[b"somebody else's"])
    other_key.put(key())
    forged = server.admin.get(ours)
    assert isinstance(forged, bytes)
    content, _, signature = real.rpartition(b".")
    swapped = content.replace(b"KUDOS:0.5", b"KUDOS:0.4")
    values = [
        forged,
        server.admin.get(other),
        swapped + b"." + signature,
        content,
        signature,
        real + b" ",
        real[:-1],
        content + b".",
        b"",
        b".",
        b"[]",
        b"\xff" * 40,
        b"[" * 300,
        b"x" * 10_000_000,
    ]
    sent = server.admin.info("stats")["total_net_output_bytes"]
    for value in values:
        assert isinstance(value, bytes)
        server.admin.set(ours, value, px=lasts)
        assert held.get(key()) is held.known(key()) is None, value[:80]
    # Not even the time is spent that reading a long one would take.
    assert server.admin.info("stats")["total_net_output_bytes"] - sent < 100_000
    server.admin.set(ours, real, px=lasts)
    assert held.get(key()) == payment(key())
    assert held.told == []


def test_wrong_types(opened: Open, server: RedisServer) -> None:
    """A name that holds something else is a miss, told once, hides no other payment, and is written anew."""
    held = opened()
    held.put(key())
    held.put(key(1))
    ours = name(server)
    for command in (("RPUSH", "x"), ("HSET", "a", "b"), ("SADD", "x")):
        server.admin.delete(ours)
        server.admin.execute_command(command[0], ours, *command[1:])
        assert held.get(key()) is held.known(key()) is None
        assert held.get(key(), key(1)) == payment(key(1))
        held.put(key())
        assert held.get(key()) == payment(key())
    server.admin.delete(ours)
    server.admin.rpush(ours, "x")
    held.forget(key().order_id)
    held.put(key())
    assert held.get(key()) is None
    assert held.told == ["ResponseError"]


def test_a_time_that_was_changed(opened: Open, server: RedisServer) -> None:
    """A value that never ends, or later than ours do, was not left so by us."""
    held = opened()
    held.put(key())
    ours = name(server)
    for command in (("PERSIST", ours), ("PEXPIRE", ours, 10 * EXTRA)):
        server.admin.execute_command(*command)
        assert held.get(key()) is held.known(key()) is None
        held.put(key())
        assert held.get(key()) == payment(key())


class Clock:
    """The clock of this machine, put forward or back."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()


def test_a_value_that_is_put_back_later(opened: Open, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps a copy of a value and writes it again has nothing of it when its time is over, by our own clock."""
    clock = Clock()
    monkeypatch.setattr(redis_store, "time", clock)
    held = opened()
    held.put(key())
    value, lasts = server.admin.get(name(server)), server.admin.pttl(name(server))
    assert isinstance(value, bytes)

    def seen(ahead: float) -> tuple[Payment | None, Payment | None]:
        clock.ahead = ahead
        server.admin.set(name(server), value, px=lasts)
        return held.get(key()), held.known(key())

    both = (payment(key()), payment(key()))
    fresh = (lasts - EXTRA) / 1000
    assert seen(0) == seen(-50) == seen(50) == seen(fresh + 50) == both
    assert seen(fresh + 70) == seen(lasts / 1000 + 50) == (None, payment(key()))
    assert seen(lasts / 1000 + 70) == seen(86_400) == seen(-70) == (None, None)


def test_two_sites_in_one_redis(opened: Open) -> None:
    """Sites keep apart, even with the same secret: nothing is found, forgotten or counted for another."""
    news, shop = opened(limits=(None, 2)), opened(site="https://shop.example https://backend.example/", limits=(2, 2))
    news.put(key())
    assert shop.get(key()) is None
    shop.put(key())
    shop.forget(key().order_id)

    assert news.get(key()) == payment(key())
    assert shop.get(key()) is None
    assert [news.take() == 0.0 for _ in range(3)] == [True, True, False]
    assert shop.take() == 0.0


def test_a_value_of_another_site_is_none_of_ours(opened: Open, server: RedisServer) -> None:
    """Not even if it is moved to where ours would be."""
    news, shop = opened(), opened(site="https://shop.example https://backend.example/")
    shop.put(key())
    theirs = name(server)
    value, lasts = server.admin.get(theirs), server.admin.pttl(theirs)
    assert isinstance(value, bytes)
    server.admin.delete(theirs)
    news.put(key())
    server.admin.set(name(server), value, px=lasts)
    assert news.get(key()) is None


def test_key_rotation(opened: Open) -> None:
    """A new key is added, signs from then on, and the old one may go when all workers have the new one."""
    old, new = b"the old secret key of this site .", b"the new secret key of this site ."
    before, during, after = opened(secrets=[old]), opened(secrets=[old, new]), opened(secrets=[new])
    before.put(key())
    assert during.get(key()) == payment(key())
    assert after.get(key()) is None

    during.put(key())
    assert after.get(key()) == payment(key())
    assert before.get(key()) is None
    # Whatever its key, each worker can take back what another one put.
    after.forget(key().order_id)
    assert during.get(key()) is None


def test_what_a_payment_takes(opened: Open, server: RedisServer) -> None:
    """The longest order and the longest names take as little room as the shortest, and the session is in none."""
    held = opened()
    held.put(key())
    long = PaymentKey("O" * 128, "/" + "x" * 20_000, SessionId("SECRETSESSION" * 100))
    amount = "ABCDEFGHIJK:4503599627370496.12345678"
    held.call(held.store.put, long, Payment(long.order_id, long.resource, amount), 60)

    assert held.call(held.store.get, (long,)) == (long, Payment(long.order_id, long.resource, amount))
    used = [server.admin.memory_usage(found) for found in server.admin.keys("*")]
    lengths = [server.admin.strlen(found) for found in server.admin.keys("*")]
    assert max(used) <= 640
    assert min(used) <= 320
    assert max(lengths) <= 300
    text = b"".join(found + server.admin.get(found) for found in server.admin.keys("*"))
    assert b"SESSION" not in text
    assert b"/a" not in text
