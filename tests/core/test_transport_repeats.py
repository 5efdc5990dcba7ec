"""What failed is sent once more where that is safe; a backend that keeps failing is then left alone."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from core.script import SESSION, order
from core.transport_server import TOKEN, Asking, both, plain, saying, serving
from taler_paywall import async_transport, breaker
from taler_paywall.async_transport import AsyncHttpBackend
from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import MAX_FAILURES, Breaker
from taler_paywall.errors import BackendBusy, BackendUnreachable, CircuitOpen
from taler_paywall.merchant import get_config, get_order, get_public_order, post_order, post_paid
from taler_paywall.operations import BackendRequest

pytestmark = pytest.mark.anyio

OK, FAILED = plain(b"{}"), plain(b"{}", b"503 X")
#: Breaks the connection.
BROKEN = b""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_what_may_be_repeated() -> None:
    """Questions, and orders with an ID of our own; nothing that waits, and nothing that the other side counts."""
    assert get_config().request.repeatable
    assert get_order(order().order_id, SESSION).request.repeatable
    assert post_order({"order": {}}).request.repeatable
    assert get_public_order("O", SESSION, None).request.repeatable
    assert not get_public_order("O", SESSION, None, 20).request.repeatable
    assert not post_paid("O", "S", "H", SESSION).request.repeatable


@both
@pytest.mark.parametrize("first", [FAILED, BROKEN], ids=["error", "broken"])
@pytest.mark.parametrize("repeatable", [True, False])
async def test_one_repetition(asking: Asking, first: bytes, repeatable: bool) -> None:  # noqa: FBT001 - a table
    request = BackendRequest("GET", "config", repeatable=repeatable)

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        said = first if len(server.requests) == 1 else OK
        if said is BROKEN:
            raise ConnectionResetError
        writer.write(said)

    async with serving(handler) as server, asking(server.url) as backend:
        started = time.monotonic()
        if first is BROKEN and not repeatable:
            with pytest.raises(BackendUnreachable):
                await backend.send(request)
        else:
            assert (await backend.send(request)).status == (200 if repeatable else 503)
        assert len(server.requests) == 1 + repeatable
        assert time.monotonic() - started > 0.05 * repeatable


@both
async def test_the_second_answer_counts_whatever_it_is(asking: Asking) -> None:
    async with serving(saying(FAILED)) as server, asking(server.url) as backend:
        assert (await backend.send(get_config().request)).status == 503
        assert len(server.requests) == 2


@both
async def test_nothing_is_repeated_without_time(asking: Asking) -> None:
    async with serving(saying(FAILED)) as server, asking(server.url) as backend:
        assert (await backend.send(get_config().request, time.monotonic() + 1.9)).status == 503
        assert len(server.requests) == 1


@pytest.mark.parametrize("kind", [AsyncHttpBackend, HttpBackend], ids=["async", "blocking"])
async def test_the_circuit(kind: type[AsyncHttpBackend | HttpBackend], monkeypatch: pytest.MonkeyPatch) -> None:
    """After five failures nothing arrives at the backend but the probe, and nobody waits; then all goes on."""
    monkeypatch.setattr(breaker, "PROBE_SECONDS", 0.2)
    request = replace(get_config().request, repeatable=False)
    async with serving(saying(FAILED)) as server:
        prober = HttpBackend(server.url, server.url, TOKEN, Breaker(lambda: False))
        circuit = Breaker(prober.probe)
        backend = kind(server.url, server.url, "", circuit)

        async def send() -> int:
            if isinstance(backend, AsyncHttpBackend):
                return (await backend.send(request)).status
            return (await asyncio.to_thread(backend.send, request)).status

        assert [await send() for _ in range(MAX_FAILURES)] == [503] * MAX_FAILURES
        started = time.monotonic()
        for _ in range(10):
            with pytest.raises(CircuitOpen):
                await send()
        assert time.monotonic() - started < 3 * 0.1
        server.handler = saying(OK)
        while True:
            await asyncio.sleep(0.05)
            try:
                assert await send() == 200
                break
            except CircuitOpen:
                assert time.monotonic() - started < 10
        for each in (prober, backend):
            if isinstance(each, AsyncHttpBackend):
                await each.aclose()
            else:
                each.close()


@pytest.mark.parametrize(
    ("config", "orders", "seconds", "is_there"),
    [(OK, FAILED, 0.0, False), (FAILED, plain(b"{}", b"404 X"), 0.0, True), (OK, plain(b"{}", b"404 X"), 2.5, True)],
    ids=["no orders", "no config", "slow"],
)
async def test_a_probe_asks_what_readers_ask(config: bytes, orders: bytes, seconds: float, is_there: bool) -> None:  # noqa: FBT001
    """A backend that has lost its database still tells its configuration; and a slow one is there."""

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.write(orders if b"/private/orders/" in request else config)

    async with serving(handler) as server:
        prober = HttpBackend(server.url, server.url, TOKEN, Breaker(lambda: False), max_calls=1)
        assert await asyncio.to_thread(prober.probe) is is_there
        prober.close()
    assert len(server.requests) == 1


async def test_nobody_is_passed_over_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where places come free in time, but for others, who waits is refused nevertheless, and does not wait again."""
    monkeypatch.setattr(async_transport, "SLOW_SECONDS", 0.5)

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)
        writer.write(OK)

    async with serving(handler) as server:
        backend = AsyncHttpBackend(server.url, server.url, TOKEN, Breaker(lambda: False), max_calls=2)
        seconds: list[float] = []

        async def send() -> None:
            started = time.monotonic()
            try:
                await backend.send(get_config().request)
            except BackendBusy:
                seconds.append(time.monotonic() - started)

        await asyncio.gather(*(send() for _ in range(20)))
        assert len(seconds) > 10
        assert max(seconds) < 3 * 0.5
        await backend.aclose()


@pytest.mark.parametrize("kind", [AsyncHttpBackend, HttpBackend], ids=["async", "blocking"])
async def test_a_slow_backend_holds_no_more_places_than_it_may(
    kind: type[AsyncHttpBackend | HttpBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls hang: who comes next waits for a moment, and when they are slow is refused, as is who comes then."""
    monkeypatch.setattr(async_transport, "SLOW_SECONDS", 0.5)
    async with serving(saying(b"")) as server:
        backend = kind(server.url, server.url, "", Breaker(lambda: False), max_calls=2)

        def send() -> asyncio.Task[object]:
            if isinstance(backend, AsyncHttpBackend):
                return asyncio.create_task(backend.send(get_config().request))
            return asyncio.create_task(asyncio.to_thread(backend.send, get_config().request))

        hanging = [send(), send()]
        while len(server.requests) < 2:  # noqa: ASYNC110 - nobody rings where it is looked
            await asyncio.sleep(0.01)
        for at_once in (False, True):
            started = time.monotonic()
            with pytest.raises(BackendBusy):
                await send()
            assert time.monotonic() - started < (0.1 if at_once else 0.5) * 3
        assert len(server.requests) == 2
        for task in hanging:
            with pytest.raises(BackendUnreachable):
                await task
        if isinstance(backend, AsyncHttpBackend):
            await backend.aclose()
        else:
            backend.close()
