"""Threads, tasks, greenlets, forks and event loops: connections are few, nobody's is another's, and none is lost."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import run
from typing import Any

import anyio
import pytest
from running import ROOT, eventually

from taler_paywall.operations import PaymentKey
from taler_paywall.redis_line import TOTAL_TIMEOUT
from taler_paywall.redis_store import MAX_CONNECTIONS, AsyncRedisStore, BlockingRedisStore

from .redis_server import RedisServer
from .shelf import KNOWN_FOR, RECHECK_AFTER, SECRET, SITE, SOON, Shelf, key, payment, seconds_of

Open = Callable[..., Shelf]


def awaiting(server: RedisServer, told: list[str] | None = None) -> AsyncRedisStore:
    return AsyncRedisStore(*(server.url, (SECRET,), SITE), **_options(told))


def blocking(server: RedisServer, told: list[str] | None = None) -> BlockingRedisStore:
    return BlockingRedisStore(*(server.url, (SECRET,), SITE), **_options(told))


def _options(told: list[str] | None) -> dict[str, Any]:
    tell = pytest.fail if told is None else told.append
    return {"known_for": KNOWN_FOR, "recheck_after": RECHECK_AFTER, "limits": (None, None), "tell": tell}


def clients(server: RedisServer) -> set[str]:
    """Return the connections to Redis, the test's own aside."""
    own = str(server.admin.client_id())
    return {str(client["id"]) for client in server.admin.client_list()} - {own}


#: More at once than there are connections.
CROWD = 3 * MAX_CONNECTIONS


def test_many_threads(server: RedisServer) -> None:
    """However many threads ask at once, they find what they look for, over few connections, which end."""
    store, before = blocking(server), clients(server)
    for number in range(10):
        store.put(key(number), payment(key(number)), 60)

    def look(number: int) -> bool:
        found = store.get((key(number % 10),))
        return bool(found == (key(number % 10), payment(key(number % 10))))

    with ThreadPoolExecutor(CROWD) as pool:
        assert all(pool.map(look, range(20 * CROWD)))
    assert 1 <= len(clients(server) - before) <= MAX_CONNECTIONS
    store.close()
    eventually(lambda: clients(server) == before, "the end of the connections")


def test_many_tasks(server: RedisServer) -> None:
    """So do tasks."""
    before = clients(server)

    async def look(store: AsyncRedisStore, of: PaymentKey) -> bool:
        return bool(await store.get((of,)) == (of, payment(of)))

    async def main() -> None:
        store = awaiting(server)
        for number in range(10):
            await store.put(key(number), payment(key(number)), 60)
        for _ in range(20):
            assert all(await asyncio.gather(*(look(store, key(number % 10)) for number in range(CROWD))))
        assert 1 <= len(clients(server) - before) <= MAX_CONNECTIONS
        await store.close()

    asyncio.run(main())
    eventually(lambda: clients(server) == before, "the end of the connections")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    started = RedisServer(tmp_path)
    yield started
    started.close()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", ["asyncio", "anyio"])
def test_cancelled(own_server: RedisServer, kind: str) -> None:
    """Who does not wait any more is gone soon, and leaves neither a lost connection nor an answer for somebody else."""

    async def give_up(store: AsyncRedisStore) -> bool:
        if kind == "asyncio":
            task = asyncio.ensure_future(store.get((key(1),)))
            await asyncio.sleep(TOTAL_TIMEOUT / 20)
            task.cancel()
            return isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        with anyio.move_on_after(TOTAL_TIMEOUT / 20) as scope:
            await store.get((key(1),))
            await asyncio.sleep(60)
        return scope.cancelled_caught

    async def main() -> None:
        store, given_up = awaiting(own_server, []), 0
        # On a busy machine some have found nothing before they could give up.
        for _ in range(30):
            store._line._failing = False
            own_server.stop()
            given_up += sum(await asyncio.gather(*(give_up(store) for _ in range(MAX_CONNECTIONS))))
            own_server.go_on()
            if given_up > 2 * MAX_CONNECTIONS:
                break
        assert given_up > 2 * MAX_CONNECTIONS
        # Were a place lost each time, there would be none left.
        found: list[object] = []
        for _ in range(30):
            store._line._failing = False
            await store.put(key(), payment(key()), 60)
            found = await asyncio.gather(*(store.get((key(),)) for _ in range(8)))
            if None not in found:
                break
        assert found == [(key(), payment(key()))] * 8
        await store.close()

    asyncio.run(main())


def test_two_event_loops(server: RedisServer) -> None:
    """One store serves one event loop after the other, and several at once, each with connections of its own."""
    store, before = awaiting(server), clients(server)

    async def look() -> None:
        await store.put(key(), payment(key()), 60)
        for _ in range(50):
            assert await store.get((key(),)) == (key(), payment(key()))
        await store.close()

    asyncio.run(look())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(asyncio.run, (look() for _ in range(4))))
    eventually(lambda: clients(server) == before, "the end of the connections")


def test_forked(server: RedisServer) -> None:
    """A forked worker has connections of its own, and what its parent owed and counted is its own affair."""
    store = blocking(server)
    store.put(key(), payment(key()), 60)
    assert store.get((key(),)) == (key(), payment(key()))
    inherited = clients(server)
    workers = []
    for _ in range(2):
        worker = os.fork()
        if worker == 0:
            status = 1
            try:
                for _ in range(100):
                    assert store.get((key(),)) == (key(), payment(key()))
                assert len(clients(server) - inherited) >= 1
                store.close()
                status = 0
            except BaseException:  # noqa: BLE001 - whatever it is, the child must not go on as a second pytest
                traceback.print_exc()
            os._exit(status)
        workers.append(worker)
    for _ in range(100):
        assert store.get((key(),)) == (key(), payment(key()))
    assert [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers] == [0, 0]
    assert store.get((key(),)) == (key(), payment(key()))
    store.close()


_GREENLETS = """
import sys
from taler_paywall.redis_store import BlockingRedisStore
from taler_paywall import redis_store
from tests.shared_cache.shelf import SECRET, SITE, be_patient, key, payment
told, hasty = [], (redis_store._OPTIONS, redis_store.TOTAL_TIMEOUT)
be_patient()
store = BlockingRedisStore(
    sys.argv[1], (SECRET,), SITE, known_for=3600, recheck_after=60, limits=(None, None), tell=told.append
)
# As gunicorn does it where the application was loaded before its workers were forked.
from gevent import monkey
monkey.patch_all()
import gevent, gevent.pool
store.put(key(), payment(key()), 60)
pool = gevent.pool.Pool(100)
found = pool.map(lambda _: store.get((key(),)), range(500))
assert found == [(key(), payment(key()))] * 500, told
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        gevent.sleep(0.01)
clock = gevent.spawn(tick)
store.close()
redis_store._OPTIONS, redis_store.TOTAL_TIMEOUT = hasty
import redis
redis.Redis.from_url(sys.argv[1]).client_pause(2000)
before = ticks
assert store.get((key(),)) is None
assert ticks - before >= 5, ticks - before
store.close()
"""


@pytest.mark.filterwarnings("default")
def test_greenlets(own_server: RedisServer) -> None:
    """Greenlets share a thread: while one waits, the others go on, though gevent came after the application."""
    done = run(
        [sys.executable, "-c", _GREENLETS, own_server.url],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_nothing_before_it_is_used(tmp_path: Path) -> None:
    """Making a store touches no network; an address that is none is refused at once."""
    server = RedisServer(tmp_path)
    server.stop()
    assert seconds_of(lambda: (blocking(server), awaiting(server))) < SOON
    server.close()
    for kind in (BlockingRedisStore, AsyncRedisStore):
        with pytest.raises(ValueError, match="Redis URL must specify"):
            kind("http://x", (SECRET,), SITE, known_for=1, recheck_after=1, limits=(1, 1), tell=print)


@pytest.mark.usefixtures("hasty")
def test_socket_file(opened: Open, tmp_path: Path) -> None:
    """Redis at a socket file does as well, and does not hang either."""
    server = RedisServer(tmp_path, "--unixsocket", "redis.sock")
    try:
        held = opened(f"unix://{tmp_path}/redis.sock?db=0")
        held.put(key())
        assert held.get(key()) == payment(key())
        assert server.admin.dbsize() == 1
        server.stop()
        assert seconds_of(lambda: held.get(key())) < SOON
    finally:
        server.close()
