"""Whole sites on several machines, sharing one Redis and one backend."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from reader import Reader
from running import StartSandbox, eventually

from .machines import Machine, Machines, read
from .redis_server import RedisServer

#: How often a page of each machine is asked for where one worker after another may answer.
OFTEN = 5


@pytest.fixture
def machines(start_sandbox: StartSandbox, tmp_path: Path) -> Iterator[Machines]:
    cache = RedisServer(tmp_path)
    made = Machines(tmp_path, start_sandbox(), cache)
    yield made
    made.close()
    cache.close()


@pytest.fixture
def reader(machines: Machines) -> Iterator[Reader]:
    with Reader(machines.public_url) as opened:
        # Every visit may come to another worker.
        opened.http.headers["Connection"] = "close"
        yield opened


def read_everywhere(reader: Reader, running: list[Machine], page: str) -> set[bool]:
    """Ask each machine for a page; return whether it was shown."""
    return {read(reader, machine.url, page) for _ in range(OFTEN) for machine in running}


@contextmanager
def readers_at_work(reader: Reader, running: list[Machine], page: str) -> Iterator[Callable[[int], None]]:
    """Let a reader read at all machines at once, all the time; yield what waits until each has shown so many pages."""
    ended = Event()
    shown = dict.fromkeys(running, 0)

    def read_on(machine: Machine) -> None:
        with Reader(machine.url) as own:
            own.http.headers["Connection"] = "close"
            own.hold(reader.cookies())
            while not ended.is_set():
                assert read(own, machine.url, page)
                shown[machine] += 1

    with ThreadPoolExecutor(len(running)) as pool:
        reading = [pool.submit(read_on, machine) for machine in running]

        def wait_for(number: int) -> None:
            goals = {machine: count + number for machine, count in shown.items()}

            def done() -> bool:
                for one in reading:
                    if one.done():
                        one.result()
                return all(shown[machine] >= goal for machine, goal in goals.items())

            eventually(done, f"{number} pages of each machine")

        try:
            yield wait_for
        finally:
            ended.set()
        for one in reading:
            one.result()


def test_paid_here_read_there_refunded_everywhere(machines: Machines, reader: Reader) -> None:
    """Who has paid at one machine reads at all, without a call to the backend; a refund told to one closes all."""
    running = [
        machines.start("uvicorn", known_for=0),
        machines.start("uvicorn h11", known_for=0),
        machines.start("gunicorn threads", "--workers", "2", known_for=0),
    ]
    order_id = machines.buy(reader, "/articles/one")
    machines.buy(reader, "/articles/two")
    machines.backend.process.end(signal.SIGKILL)
    assert read_everywhere(reader, running, "/articles/one") == {True}

    machines.backend.start()
    machines.backend.refund(order_id, "KUDOS:0.5")
    machines.notify(running[0], order_id)
    assert read_everywhere(reader, running, "/articles/one") == {False}
    machines.backend.process.end(signal.SIGKILL)
    assert read_everywhere(reader, running, "/articles/two") == {True}


def test_refund_that_nobody_tells(machines: Machines, reader: Reader) -> None:
    """Then it takes effect at all machines when the payment is to be confirmed again."""
    running = [machines.start("uvicorn", recheck_after=1), machines.start("gunicorn sync", recheck_after=1)]
    order_id = machines.buy(reader, "/articles/one")
    assert read_everywhere(reader, running, "/articles/one") == {True}
    machines.backend.refund(order_id, "KUDOS:0.5")

    eventually(lambda: not read(reader, running[1].url, "/articles/one"), "the refund")
    assert read_everywhere(reader, running, "/articles/one") == {False}


def test_read_on_while_the_backend_is_away(machines: Machines, reader: Reader) -> None:
    """Who has paid at one machine reads on at another while nobody can be asked, though it should be confirmed."""
    running = [machines.start("uvicorn", recheck_after=1), machines.start("gunicorn threads", recheck_after=1)]
    order_id = machines.buy(reader, "/articles/one")
    (name,) = machines.cache.admin.keys("*")
    machines.backend.process.end(signal.SIGKILL)
    left = machines.cache.admin.pttl(name)
    eventually(lambda: machines.cache.admin.pttl(name) < left - 1200, "the end of what is believed")

    assert read_everywhere(reader, running, "/articles/one") == {True}
    machines.notify(running[0], order_id)
    assert read_everywhere(reader, running, "/articles/one") == {False}


def kill(cache: RedisServer) -> None:
    cache.kill()


def restart(cache: RedisServer) -> None:
    cache.kill()
    cache.start()


def hang(cache: RedisServer) -> None:
    cache.stop()


def flush(cache: RedisServer) -> None:
    cache.admin.flushall()


def fill(cache: RedisServer) -> None:
    cache.admin.flushall()
    cache.fill()


@pytest.mark.parametrize("trouble", [kill, restart, hang, flush, fill])
def test_redis_in_trouble(machines: Machines, reader: Reader, trouble: Callable[[RedisServer], None]) -> None:
    """Whatever becomes of Redis while readers read, each of them reads on."""
    running = [
        machines.start("uvicorn", patient=False),
        machines.start("gunicorn threads", "--workers", "2", "--threads", "2", patient=False),
    ]
    machines.buy(reader, "/articles/one")

    with readers_at_work(reader, running, "/articles/one") as wait_for:
        wait_for(20)
        trouble(machines.cache)
        wait_for(20)
    assert machines.cache.process.poll() is None or trouble is kill


def test_new_key_while_a_reader_reads(machines: Machines, reader: Reader) -> None:
    """A new key is brought in as the README says, one machine after the other; a reader notices nothing."""
    old, new = "the-old-secret-key-of-this-site-which-leaves", "the-new-secret-key-of-this-site-which-comes"
    running = [machines.start(server, secrets=old) for server in ("uvicorn", "gunicorn sync")]
    machines.buy(reader, "/articles/one")
    for secrets in (f"{old} {new} {old}", f"{old} {new}", new):
        for number, server in enumerate(("uvicorn", "gunicorn sync")):
            running[number].process.end()
            running[number] = machines.start(server, port=running[number].port, secrets=secrets)
            assert read_everywhere(reader, running, "/articles/one") == {True}
    assert len(machines.backend.orders()) == 1


@pytest.mark.parametrize("server", ["gunicorn sync", "gunicorn threads"])
def test_new_workers_under_load(machines: Machines, reader: Reader, server: str) -> None:
    """gunicorn replaces its workers, more than once, while readers read: nobody is sent away, and nothing is lost."""
    machine = machines.start(server, "--workers", "2")
    machines.buy(reader, "/articles/one")

    def worker() -> str:
        return reader.visit("/articles/one").text.rpartition(" ")[2]

    def is_new(before: set[str]) -> bool:
        return worker() not in before

    with readers_at_work(reader, [machine], "/articles/one") as wait_for:
        for _ in range(3):
            before = {worker() for _ in range(10)}
            machine.process.popen.send_signal(signal.SIGHUP)
            eventually(partial(is_new, before), "new workers")
            wait_for(20)
    assert len(machines.backend.orders()) == 1
