"""Redis away, full, slow or strange: every payment is a miss, soon, and nothing is ever raised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import pytest
from running import eventually, free_port

from .redis_server import RedisServer
from .shelf import SOON, Shelf, key, payment, seconds_of, use

Open = Callable[..., Shelf]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a redis-server that may be broken."""
    started = RedisServer(tmp_path)
    yield started
    started.close()


def works(held: Shelf) -> None:
    """Wait until what is put is found again."""

    def finds() -> bool:
        held.put(key(9))
        return held.get(key(9)) == payment(key(9))

    eventually(finds, "Redis")


def test_full(opened: Open, server: RedisServer) -> None:
    """In a full Redis nothing new is held; what is held is found, and can be forgotten for good."""
    held = opened(limits=(None, 1))
    held.put(key())
    held.put(key(2))
    server.fill()
    held.put(key(1))

    assert held.get(key(1)) is None
    assert held.get(key()) == payment(key())
    assert held.told == ["OutOfMemoryError"]
    assert [held.take("", 1000.0) for _ in range(2)] == [0.0, 60.0]
    held.forget(key().order_id)
    held.forget(key(3).order_id)
    server.admin.config_set("maxmemory", "0")
    other = opened()
    for number in (0, 3):
        other.put(key(number))
        assert other.get(key(number)) is None
    assert other.get(key(2)) == payment(key(2))


@pytest.mark.usefixtures("hasty")
def test_killed_and_restarted(opened: Open, server: RedisServer) -> None:
    """Nobody waits for a Redis that is gone; it is told once, and an empty one is used again by itself."""
    held = opened()
    held.put(key())
    assert held.get(key()) == payment(key())
    server.kill()

    assert seconds_of(lambda: use(held, 50)) < SOON
    assert held.told == ["ConnectionError"]
    server.start()
    works(held)
    assert held.get(key()) is None
    assert held.told == ["ConnectionError"]


def test_restarted_unseen(opened: Open, server: RedisServer) -> None:
    """A connection that has ended meanwhile is no failure."""
    held = opened()
    held.put(key())
    server.kill()
    server.start()

    held.put(key())
    assert held.get(key()) == payment(key())
    assert held.told == []


def test_flushed(opened: Open, server: RedisServer) -> None:
    """What is lost is put again."""
    held = opened()
    held.put(key())
    server.admin.flushall()
    assert held.get(key()) is held.known(key()) is None
    held.put(key())
    assert held.get(key()) == payment(key())


@pytest.mark.usefixtures("hasty")
def test_hanging(opened: Open, server: RedisServer) -> None:
    """A Redis that hangs costs one time-out, not one for each request; then it is used again, nothing mixed up."""
    held = opened()
    for number in range(3):
        held.put(key(number))
    server.stop()

    assert seconds_of(lambda: held.get(key())) < SOON
    assert seconds_of(lambda: [held.get(key()) for _ in range(100)]) < SOON
    assert seconds_of(lambda: held.forget(key(7).order_id)) < SOON
    with ThreadPoolExecutor(16) as pool:
        assert max(pool.map(seconds_of, repeat(lambda: held.get(key()), 160))) < SOON
    assert held.told == ["TimeoutError"]
    server.go_on()
    works(held)
    for number in range(3):
        assert held.get(key(number)) == payment(key(number))


@pytest.mark.usefixtures("hasty")
def test_hanging_from_the_start(opened: Open, server: RedisServer) -> None:
    """So does one that hangs when the first connection is made."""
    server.stop()
    held = opened(server.url.replace("redis://", "redis://:password@"))
    assert seconds_of(lambda: held.get(key())) < SOON
    assert held.told == ["TimeoutError"]


def test_asked_again_once_in_a_second(opened: Open, server: RedisServer) -> None:
    """While it is left alone, nothing is sent to it but what has to be forgotten."""
    held = opened()
    held.put(key())
    server.admin.client_kill_filter(_type="normal", skipme=True)
    server.admin.config_set("maxclients", "1")
    assert held.get(key()) is None
    server.admin.config_set("maxclients", "100")
    server.admin.config_resetstat()

    # What is sent within the pause would be answered.
    assert seconds_of(lambda: [held.get(key()) for _ in range(10)]) < SOON
    assert server.calls("getrange") == 0
    held.forget(key(1).order_id)
    assert server.calls("eval") == 1
    # It was answered: so may the others.
    assert held.get(key()) == payment(key())


@pytest.mark.parametrize("lasting", [True, False])
def test_what_could_not_be_forgotten(opened: Open, server: RedisServer, lasting: bool) -> None:  # noqa: FBT001
    """A payment that Redis would not drop is not believed here, and is dropped as soon as Redis lets it be."""
    one, other = opened(), opened()
    one.put(key())
    server.admin.replicaof("127.0.0.1", free_port())

    assert not one.forget(key().order_id, lasting=lasting)
    assert one.get(key()) is one.known(key()) is None
    assert other.get(key()) == payment(key())
    assert one.told == ["ReadOnlyError"]
    server.admin.replicaof("NO", "ONE")
    assert one.get(key(1)) is None
    assert other.get(key()) is None
    other.put(key())
    assert other.get(key()) == one.get(key()) == (None if lasting else payment(key()))
    assert one.forget(key().order_id)


def test_forgotten_while_away(opened: Open, server: RedisServer) -> None:
    """A payment that was to be forgotten while Redis was away is not believed when it comes back with it."""
    one, other = opened(), opened()
    one.put(key())
    server.admin.save()
    server.kill()
    assert not one.forget(key().order_id)
    for number in range(100, 300):
        one.forget(key(number).order_id)
    server.start("--dbfilename", "dump.rdb")
    assert other.get(key()) == payment(key())

    works(one)
    assert one.get(key()) is None
    for _ in range(4):
        one.get(key(1))
    assert other.get(key()) is None


@pytest.mark.parametrize("refusal", ["password", "command"])
def test_not_let_in(opened: Open, server: RedisServer, refusal: str) -> None:
    """Without a password, or the right to do something, there is nothing but misses."""
    if refusal == "password":
        server.admin.config_set("requirepass", "secret")
        held = opened()
    else:
        server.admin.acl_setuser("site", enabled=True, passwords=["+secret"], keys="*", commands=["+ping", "+client"])
        held = opened(server.url.replace("redis://", "redis://site:secret@"))
    use(held)
    assert len(held.told) == 1
