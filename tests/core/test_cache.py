"""The session-payment-cache: bounded, short-lived, and exact."""

from __future__ import annotations

import threading

import pytest

from taler_paywall import cache
from taler_paywall.cache import AFTERMATH, SPREAD, MemoryCache
from taler_paywall.operations import Payment, PaymentKey, SessionId


def key(number: int = 0, *, resource: str = "/a", session_id: str = "S") -> PaymentKey:
    return PaymentKey(f"ORDER{number}", resource, SessionId(session_id))


def payment(number: int = 0) -> Payment:
    return Payment(f"ORDER{number}", "/a", "KUDOS:0.5")


def look(held: MemoryCache, *keys: PaymentKey) -> Payment | None:
    """Return the payment that is held under the first of these keys, after a look at which key it was."""
    if (found := held.get(keys)) is None:
        return None
    assert found[0] in keys
    assert (found[0].order_id, found[0].resource) == (found[1].order_id, found[1].resource)
    return found[1]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(cache, "time", made)
    return made


def test_what_was_put_is_found() -> None:
    """A payment is found by exactly its order, resource and session."""
    held = MemoryCache()
    held.put(key(), payment(), 60)

    assert look(held, key()) == payment()
    assert held.get(()) is None
    for other in (key(1), key(resource="/b"), key(session_id="T"), PaymentKey("order0", "/a", SessionId("S"))):
        assert look(held, other) is None


def test_the_first_key_that_is_held_counts() -> None:
    """Of several keys, in their order, the first that is held gives the payment."""
    held = MemoryCache()
    for number in (1, 2):
        held.put(key(number), payment(number), 60)

    assert look(held, key(0), key(2), key(1)) == payment(2)
    assert look(held, key(1), key(2)) == payment(1)


def test_expiry(clock: Clock) -> None:
    """A payment is good for its time, spread by a tenth, and not a moment longer."""
    held = MemoryCache()
    held.put(key(), payment(), 60)

    clock.now += 60 * (1 - SPREAD) - 0.001
    assert look(held, key()) == payment()
    clock.now += 60 * SPREAD + 0.002
    assert look(held, key()) is None


def test_an_expired_key_hides_no_other(clock: Clock) -> None:
    """A key that has expired is passed over for one that has not."""
    held = MemoryCache()
    held.put(key(1), payment(1), 10)
    held.put(key(2), payment(2), 60)
    clock.now += 20

    assert look(held, key(1), key(2)) == payment(2)


def test_expiry_is_spread(clock: Clock) -> None:
    """Payments seen in the same moment do not all expire in the same moment."""
    held = MemoryCache()
    for number in range(200):
        held.put(key(number), payment(number), 60)

    entries = [held._payments.get(f"ORDER{number}") for number in range(200)]
    ends = [entry[0] - clock.now for entry in entries if entry]
    assert len(ends) == 200
    assert 48 <= min(ends) < 51
    assert 57 < max(ends) <= 60, "nothing is believed for longer than was said"


def test_nothing_is_held_for_no_time() -> None:
    """With recheck_after=0 every request asks the backend."""
    held = MemoryCache()
    held.put(key(), payment(), 0)

    assert look(held, key()) is None


def test_putting_again_renews(clock: Clock) -> None:
    """A payment that is seen again is good for its time again, shorter or longer, and counts as new."""
    held = MemoryCache(size=4)
    held.put(key(1), payment(1), 10)
    held.put(key(2), payment(2), 60)
    held.put(key(1), payment(1), 60)
    clock.now += 20
    assert look(held, key(1)) == payment(1)

    for number in (3, 4):
        held.put(key(number), payment(number), 60)
    assert look(held, key(1)) == payment(1)
    assert len(held._payments) == 4
    held.put(key(5), payment(5), 60)
    assert [number for number in range(1, 6) if look(held, key(number))] == [3, 4, 5]


def test_it_is_bounded() -> None:
    """The oldest payments make room; there are never more than the size, and then never less than half."""
    held = MemoryCache(size=10)
    for number in range(1000):
        held.put(key(number), payment(number), 60)
        assert min(number + 1, 5) <= len(held._payments) <= 10
        kept = [other for other in range(number + 1) if look(held, key(other))]
        assert kept == list(range(number + 1 - len(held._payments), number + 1))


def test_the_smallest_cache_holds_something() -> None:
    """Whatever the size, the newest payment is held."""
    held = MemoryCache(size=1)
    held.put(key(1), payment(1), 60)
    assert look(held, key(1)) == payment(1)


def test_forget() -> None:
    """A refund ends a payment at once, and no other; forgetting what is not held is no error."""
    held = MemoryCache()
    held.put(key(1), payment(1), 60)
    held.put(key(2), payment(2), 60)
    held.forget(key(1).order_id)
    held.forget(key(3).order_id)

    assert look(held, key(1)) is None
    assert look(held, key(2)) == payment(2)


def test_an_answer_that_was_on_its_way(clock: Clock) -> None:
    """Who asked before a payment was forgotten does not bring it back; who asks later may; others are not touched."""
    held = MemoryCache()
    held.put(key(), payment(), 60)
    held.forget(key().order_id)
    held.put(key(), payment(), 60)
    held.put(key(1), payment(1), 60)
    assert look(held, key()) is None
    assert look(held, key(1)) == payment(1)

    clock.now += AFTERMATH + 1
    held.put(key(), payment(), 60)
    assert look(held, key()) == payment()


def test_one_session_at_a_time() -> None:
    """A purchase that is seen in another session is not any more in the first, and is forgotten wherever it is."""
    held = MemoryCache()
    held.put(key(), payment(), 60)
    held.put(key(session_id="T"), payment(), 60)
    assert look(held, key()) is None
    assert look(held, key(session_id="T")) == payment()

    held.forget(key().order_id)
    assert look(held, key(session_id="T")) is None


def test_threads() -> None:
    """Several threads use one cache without an error, and it stays bounded."""
    held = MemoryCache(size=50)
    errors: list[BaseException] = []

    def use(start: int) -> None:
        try:
            for number in range(start, start + 2000):
                held.put(key(number % 97), payment(number % 97), 0.0001 if number % 3 else 60)
                held.get((key((number * 7) % 97), key(number % 97)))
                held.forget(key((number * 5) % 97).order_id)
        except BaseException as exc:  # noqa: BLE001 - whatever a thread raises
            errors.append(exc)

    threads = [threading.Thread(target=use, args=(n * 31,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(held._payments) <= 50


def test_what_is_known_though_it_has_expired(clock: Clock) -> None:
    """For an outage: so long and no longer, for the same session and resource, and never what was forgotten."""
    held = MemoryCache(known_for=100)
    held.put(key(1), payment(1), 60)
    held.put(key(2), payment(2), 60)
    held.put(key(3), payment(3), 60)
    clock.now += 60.1
    assert look(held, key(1)) is None
    assert held.known((key(0), key(1))) == (key(1), Payment("ORDER1", "/a", "KUDOS:0.5"))
    assert held.known((key(1, session_id="T"), key(1, resource="/b"))) is None
    assert held.forget("ORDER2")
    held.forget("ORDER3", lasting=False)
    assert held.known((key(2), key(3))) is None
    clock.now += 100
    assert held.known((key(1),)) is None


def test_nothing_is_known_beyond_its_time_unless_that_is_wanted(clock: Clock) -> None:
    held = MemoryCache()
    held.put(key(), payment(), 60)
    clock.now += 60.1
    assert held.known((key(),)) is None


def test_what_is_dropped_for_now_may_come_back_at_once() -> None:
    """A payment that a wallet has taken elsewhere is no refund: when it returns, it counts."""
    held = MemoryCache()
    held.put(key(), payment(), 60)
    held.forget("ORDER0", lasting=False)
    assert look(held, key()) is None
    held.put(key(), payment(), 60)
    assert look(held, key())
