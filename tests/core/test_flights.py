"""What several visits ask at once is asked once, and nobody is answered by what was asked too early."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest

from core.script import OTHER_SESSION, SESSION, created, order, paid, unpaid
from core.transport_server import (
    Asking,
    Client,
    Server,
    ThreadedBackend,
    async_asking,
    blocking_asking,
    both,
    plain,
    serving,
)
from taler_paywall.answers import OrderCreated, Paid, Unpaid
from taler_paywall.drive import aperform, perform
from taler_paywall.errors import BackendBusy, BackendError, BackendRejected, BackendUnreachable
from taler_paywall.memory import Memory
from taler_paywall.merchant import get_config, get_order, get_public_order, post_order, post_paid
from taler_paywall.operations import Forget, Op

pytestmark = pytest.mark.anyio

Answer = tuple[int, Any] | None

ORDER = order()
STATUS = get_order(ORDER.order_id, SESSION)
PAID, UNPAID, FAILED = paid(ORDER), unpaid(ORDER), (400, {"code": 52})
#: Breaks the connection.
BROKEN = None
SECONDS = 30.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Flights(dict[Any, Any]):
    """Counts how often somebody has looked for an exchange that is on its way."""

    looks = 0

    def setdefault(self, key: Any, default: Any = None) -> Any:
        found = super().setdefault(key, default)
        self.looks += 1
        return found


@pytest.fixture
def flights(monkeypatch: pytest.MonkeyPatch) -> Flights:
    made = Flights()
    monkeypatch.setattr("taler_paywall.flights._flights", made)
    return made


class Backend:
    """Answers when it is told to, each request with the next answer."""

    server: Server

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()

    async def handle(self, _: bytes, writer: asyncio.StreamWriter) -> None:
        answer = await self.answers.get()
        if answer is BROKEN:
            raise ConnectionResetError
        writer.write(plain(json.dumps(answer[1]).encode(), b"%d X" % answer[0]))

    def say(self, *answers: Answer) -> None:
        for answer in answers:
            self.answers.put_nowait(answer)

    async def asked(self, times: int) -> None:
        await until(lambda: len(self.server.requests) >= times)

    @property
    def calls(self) -> int:
        return len(self.server.requests)


@asynccontextmanager
async def listening() -> AsyncIterator[Backend]:
    backend = Backend()
    async with serving(backend.handle) as backend.server:
        yield backend


async def until(look: Callable[[], bool]) -> None:
    with anyio.fail_after(SECONDS):
        while not look():  # noqa: ASYNC110 - nobody rings where it is looked
            await anyio.sleep(0.002)


async def ask(client: Client, op: Op[Any] = STATUS, seconds: float = SECONDS) -> Any:
    """Perform an operation with the driver for this client; a failure is returned like an answer."""
    deadline = time.monotonic() + seconds
    try:
        if isinstance(client, ThreadedBackend):
            work = lambda: perform(op, client.blocking, Memory(), deadline)  # noqa: E731 - for a thread
            return await anyio.to_thread.run_sync(work, limiter=client._threads)
        return await aperform(op, client, Memory(), deadline)
    except BackendError as exc:
        return exc


async def burst(
    client: Client, backend: Backend, flights: Flights, others: int, answers: Iterable[Answer], *, op: Op[Any] = STATUS
) -> list[Any]:
    """Ask once, and so many times more while that is on its way; each answer waits until all have looked for it."""
    tasks = [asyncio.create_task(ask(client, op))]
    await backend.asked(1)
    tasks += [asyncio.create_task(ask(client, op)) for _ in range(others)]
    for number, answer in enumerate(answers, 1):
        await backend.asked(number)
        await until(lambda number=number: flights.looks >= number * others + 1)  # type: ignore[misc] # bound now
        backend.say(answer)
    return [await task for task in tasks]


@both
async def test_a_paid_status_is_asked_once(asking: Asking, flights: Flights) -> None:
    """Twenty pictures of a page: whoever comes while the answer is on its way is paid as well."""
    async with listening() as backend, asking(backend.server.url) as client:
        answers = await burst(client, backend, flights, 19, [PAID])
    assert [type(answer) for answer in answers] == [Paid] * 20
    assert backend.calls == 1
    assert not flights, "nothing is kept"


@both
async def test_an_order_is_made_once(asking: Asking, flights: Flights) -> None:
    """The same order gets the same answer, whenever it is asked for."""
    async with listening() as backend, asking(backend.server.url) as client:
        answers = await burst(client, backend, flights, 9, [created(ORDER)], op=post_order({"order": {}}))
    assert [type(answer) for answer in answers] == [OrderCreated] * 10
    assert backend.calls == 1


@both
@pytest.mark.parametrize(
    ("first", "second", "kinds"),
    [
        (UNPAID, UNPAID, (Unpaid, Unpaid)),
        (UNPAID, PAID, (Unpaid, Paid)),
        (FAILED, PAID, (BackendRejected, Paid)),
        (FAILED, FAILED, (BackendRejected, BackendRejected)),
    ],
)
async def test_who_came_meanwhile_shares_the_next_answer(
    asking: Asking, flights: Flights, first: Answer, second: Answer, kinds: tuple[type[object], type[object]]
) -> None:
    """Who has just paid is not told "unpaid" because somebody asked before: two exchanges, and never a chain."""
    async with listening() as backend, asking(backend.server.url) as client:
        leader, *others = await burst(client, backend, flights, 9, [first, second])
    assert (type(leader), {type(answer) for answer in others}) == (kinds[0], {kinds[1]})
    assert backend.calls == 2
    failures = [answer for answer in others if isinstance(answer, BackendError)]
    assert len({id(failure) for failure in failures}) == len(failures), "each has an exception of its own"


@both
async def test_a_backend_that_breaks_off(asking: Asking, flights: Flights) -> None:
    """It is away for all who wait: one request and its repetition, however many they are."""
    async with listening() as backend, asking(backend.server.url) as client:
        running = asyncio.create_task(burst(client, backend, flights, 3, [BROKEN]))
        await backend.asked(1)
        backend.say(BROKEN)
        answers = await running
    assert [type(answer) for answer in answers] == [BackendUnreachable] * 4
    assert len({id(answer) for answer in answers}) == 4, "each has an exception of its own"
    assert backend.calls == 2


async def test_a_leader_that_is_cancelled(flights: Flights) -> None:
    """A reader who closes the page takes nobody along."""
    async with listening() as backend, async_asking(backend.server.url) as client:
        leader = asyncio.create_task(ask(client))
        await backend.asked(1)
        others = [asyncio.create_task(ask(client)) for _ in range(5)]
        await until(lambda: flights.looks == 6)
        leader.cancel()
        await backend.asked(2)
        # The first of these goes to the connection that nobody reads any more.
        backend.say(UNPAID, PAID)
        assert {type(await other) for other in others} == {Paid}
        assert leader.cancelled()
    assert backend.calls == 2


@both
async def test_a_leader_without_time(asking: Asking, flights: Flights) -> None:
    """A leader whose time is over fails alone."""
    async with listening() as backend, asking(backend.server.url) as client:
        leader = asyncio.create_task(ask(client, seconds=0.5))
        await backend.asked(1)
        others = [asyncio.create_task(ask(client)) for _ in range(5)]
        await backend.asked(2)
        backend.say(PAID, PAID)
        assert isinstance(await leader, BackendBusy)
        assert {type(await other) for other in others} == {Paid}
    assert backend.calls == 2


@both
async def test_a_follower_without_time(asking: Asking, flights: Flights) -> None:
    """Whoever waits for another's answer does so until the own deadline, and no longer."""
    async with listening() as backend, asking(backend.server.url) as client:
        leader = asyncio.create_task(ask(client))
        await backend.asked(1)
        failure = await ask(client, seconds=0.1)
        assert isinstance(failure, BackendBusy)
        assert not leader.done()
        backend.say(PAID)
        assert isinstance(await leader, Paid)
    assert (backend.calls, flights.looks) == (1, 2)


async def test_followers_hold_no_threads_for_long(flights: Flights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who blocks waits a moment for the answer to others, not as long as a backend that hangs makes them wait."""
    monkeypatch.setattr("taler_paywall.flights.FOLLOW_SECONDS", 0.2)
    async with listening() as backend, blocking_asking(backend.server.url) as client:
        leader = asyncio.create_task(ask(client))
        await backend.asked(1)
        started = time.monotonic()
        failures = await asyncio.gather(*(ask(client) for _ in range(5)))
        assert {type(failure) for failure in failures} == {BackendBusy}
        assert time.monotonic() - started < 3 * 0.2
        # Who comes now need not find that out.
        started = time.monotonic()
        assert isinstance(await ask(client), BackendBusy)
        assert time.monotonic() - started < 0.15
        backend.say(PAID)
        assert isinstance(await leader, Paid)
    assert backend.calls == 1


@both
async def test_a_refund_ends_the_sharing(asking: Asking, flights: Flights) -> None:
    """Who comes after a refund was seen does not wait for what was asked before it; other backends are let alone."""
    async with listening() as backend, asking(backend.server.url) as client, asking(backend.server.url) as other:
        before = asyncio.create_task(ask(client))
        await backend.asked(1)
        await ask(other, Forget(ORDER.order_id))
        assert len(flights) == 1
        await ask(client, Forget(ORDER.order_id))
        after = asyncio.create_task(ask(client))
        await backend.asked(2)
        backend.say(PAID, PAID)
        assert (type(await before), type(await after)) == (Paid, Paid)
        assert not flights


@both
async def test_what_is_never_shared(asking: Asking, flights: Flights) -> None:
    """Two sessions, two orders, two backends; what changes something but for an order; and whatever waits."""
    waiting = get_public_order(ORDER.order_id, SESSION, None, 20)
    alone: list[Op[Any]] = [get_config(), waiting, waiting, post_paid(ORDER.order_id, "S", "H", SESSION)] * 2
    different: list[Op[Any]] = [STATUS, get_order(ORDER.order_id, OTHER_SESSION), get_order(order(1).order_id, SESSION)]
    async with listening() as backend, asking(backend.server.url) as client, asking(backend.server.url) as other:
        tasks = [asyncio.create_task(ask(client, op)) for op in [*alone, *different]]
        tasks.append(asyncio.create_task(ask(other)))
        await backend.asked(12)
        backend.say(*[FAILED] * 12)
        assert {type(await task) for task in tasks} == {BackendRejected}
    assert flights.looks == 4


async def test_another_process_or_event_loop_is_not_waited_for(flights: Flights) -> None:
    """A worker that was forked while its parent asked finds what the parent was waiting for, and asks by itself."""
    async with listening() as backend, blocking_asking(backend.server.url) as client:
        assert isinstance(client, ThreadedBackend)
        asked = asyncio.create_task(ask(client))
        await backend.asked(1)
        ((key, flight),) = flights.items()
        assert key[0] == os.getpid()
        flights.clear()
        flights[os.getpid() + 1, *key[1:]] = flight
        again = asyncio.create_task(ask(client))
        await backend.asked(2)
        backend.say(PAID, PAID)
        assert (type(await asked), type(await again)) == (Paid, Paid)
    loops: list[object] = []

    def in_a_loop() -> None:
        async def run() -> None:
            async with listening() as backend, async_asking(backend.server.url) as client:
                task = asyncio.create_task(ask(client))
                await backend.asked(1)
                loops.extend(key[0] for key in flights if key[0] != os.getpid() + 1)
                backend.say(PAID)
                await task

        asyncio.run(run())

    for _ in range(2):
        thread = threading.Thread(target=in_a_loop)
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
    assert len(loops) == 2
    assert loops[0] is not loops[1]


async def test_without_a_deadline(flights: Flights) -> None:
    """Then the whole exchange has its own, and whoever waits for it the same."""
    async with listening() as backend, async_asking(backend.server.url) as client:
        tasks = [asyncio.create_task(aperform(STATUS, client, Memory())) for _ in range(2)]
        await until(lambda: flights.looks == 2)
        backend.say(PAID)
        assert [type(await task) for task in tasks] == [Paid, Paid]
    assert backend.calls == 1


def test_an_operation_that_nobody_knows() -> None:
    with pytest.raises(TypeError, match="no way to perform"):
        perform(Op(), object(), Memory())  # type: ignore[arg-type]
