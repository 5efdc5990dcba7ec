"""The application's messages, its pace, its failures and its task, behind a paywall that was paid."""

from __future__ import annotations

import asyncio
import socket
from copy import deepcopy
from typing import Any

import pytest
from running import Sandbox

from taler_paywall.asgi import Message, Receive, Scope, Send

from .asgi_drive import PAGE, PATIENCE, Bench, Wire, buy, request, saying, unreachable, values

FIRST: Message = {"type": "http.response.body", "body": b"first", "more_body": True}
LAST: Message = {"type": "http.response.body", "body": b"last"}


@pytest.fixture(scope="module")
def bench(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Pay once for all tests here."""
    return buy(sandbox, tmp_path_factory.mktemp("messages"))


def start(**more: Any) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": []} | more


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]},
        {"type": "http.response.informational", "status": 103, "headers": [(b"link", b"</style.css>")]},
        {"type": "http.response.push", "path": "/style.css", "headers": []},
        {"type": "http.response.debug", "info": {"template": "page.html"}},
        {"type": "http.response.body", "body": b"body", "more_body": True, "new": "key"},
        {"type": "http.response.zerocopysend", "file": 7, "offset": 3, "count": 4, "more_body": True},
        {"type": "http.response.pathsend", "path": "/srv/file"},
        {"type": "http.response.trailers", "headers": [(b"digest", b"x")], "more_trailers": False},
        {"type": "an.extension.of.tomorrow", "anything": object()},
    ],
    ids=lambda message: message["type"],
)
@pytest.mark.parametrize("earlier", [[], [start()]], ids=["first", "after the start"])
def test_messages_pass(bench: Bench, message: Message, earlier: list[Message]) -> None:
    """Every message but the start of the answer passes as the very object that was sent, known to us or not."""
    wire = bench.drive(bench.around(saying(*earlier, message)), bench.scope())
    assert wire.sent[-1] is message
    assert len(wire.sent) == len(earlier) + 1


@pytest.mark.parametrize("kind", ["http.response.start", "websocket.accept", "websocket.http.response.start"])
def test_the_start_keeps_what_it_has(bench: Bench, kind: str) -> None:
    """The start is a copy with headers added: its other keys and its own headers stay as they are."""
    own = [(b"Link", b"<a>"), (b"set-cookie", b"b=2"), (b"Link", b"<b>"), (b"set-cookie", b"a=1")]
    message = {"type": kind, "status": 201, "headers": own, "trailers": True, "subprotocol": "chat", "new": object()}
    before = {**message, "headers": list(own)}
    (sent,) = bench.drive(bench.around(saying(message)), bench.scope()).sent
    assert sent is not message
    assert message == before
    assert {**sent, "headers": own} == message
    assert sent["headers"][: len(own)] == own
    assert values(sent["headers"], b"cache-control") == [b"private"]
    assert values(sent["headers"], b"vary") == [b"Cookie"]


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        (None, []),
        ((), []),
        ([], []),
        (iter([(b"x-own", b"1")]), [b"1"]),
        (([b"x-own", b"1"],), [b"1"]),
    ],
    ids=["none", "tuple", "list", "iterator", "lists"],
)
def test_headers_of_any_form(bench: Bench, headers: Any, own: list[bytes]) -> None:
    """The start may come without headers, or with any iterable of pairs."""
    message = start(headers=headers)
    if headers is None:
        del message["headers"]
    (sent,) = bench.drive(bench.around(saying(message)), bench.scope()).sent
    assert values(sent["headers"], b"cache-control") == [b"private"]
    assert values(sent["headers"], b"x-own") == own
    assert isinstance(sent["headers"], list)


def test_the_application_feels_the_readers_pace(bench: Bench) -> None:
    """A chunk reaches the server at once, and the application makes the next when the server has taken it."""
    made: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for name in ("first", "second", "third"):
            made.append(name)
            await send({"type": "http.response.body", "body": name.encode(), "more_body": True})
        await send(LAST)

    taken: list[tuple[bytes, list[str]]] = []

    async def send(message: Message) -> None:
        for _ in range(10):
            # A loop that is given ten turns would show what does not wait.
            await asyncio.sleep(0)
        if "body" in message:
            taken.append((message["body"], list(made)))

    bench.call(bench.around(app), bench.scope(), Wire.of().receive, send)
    assert taken == [
        (b"first", ["first"]),
        (b"second", ["first", "second"]),
        (b"third", ["first", "second", "third"]),
        (b"last", ["first", "second", "third"]),
    ]


def test_work_after_the_answer(bench: Bench) -> None:
    """What the application does after its last message is done, and the server has that message meanwhile."""
    has_last, done = asyncio.Event(), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(LAST)
        await has_last.wait()
        done.append("work")

    async def send(message: Message) -> None:
        if message is LAST:
            has_last.set()

    bench.call(bench.around(app), bench.scope(), Wire.of().receive, send)
    assert done == ["work"]


class Odd(BaseException):
    """Something that is no Exception."""


ERRORS = [
    ValueError("a bug"),
    OSError("the client has gone"),
    TimeoutError("too late"),
    ExceptionGroup("several", [ValueError(1), KeyError(2)]),
    BaseExceptionGroup("worse", [Odd(), asyncio.CancelledError()]),
    asyncio.CancelledError("shutting down"),
    Odd(),
]


def caught(bench: Bench, app: Any, receive: Receive, send: Send) -> BaseException | None:
    """Call an application behind a paywall and return what it raises."""
    found: list[BaseException] = []

    async def catching(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await bench.around(app)(scope, receive, send)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what we look for
            found.append(error)

    bench.call(catching, bench.scope(), receive, send)
    return found[0] if found else None


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("where", ["application", "in the answer", "send", "receive"])
def test_exceptions_pass(bench: Bench, error: BaseException, where: str) -> None:
    """An exception comes out as the very object that went in, and nothing is sent on its account."""
    wire = Wire.of()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if where == "application":
            raise error
        await send(start())
        await receive()
        raise error

    async def fails(*_: Message) -> Message:
        raise error

    async def receives() -> Message:
        return {"type": "http.disconnect"}

    receive: Receive = fails if where == "receive" else receives
    send: Any = fails if where == "send" else wire.send
    assert caught(bench, app, receive, send) is error
    assert len(wire.sent) == (where in {"in the answer", "receive"})


def test_the_application_runs_in_the_servers_task(bench: Bench) -> None:
    """The application is called in the task that calls the paywall, so that cancelling and context reach it."""
    tasks: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.current_task())

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.current_task())
        await bench.around(app)(scope, receive, send)

    bench.drive(server, bench.scope())
    assert tasks[0] is not None
    assert tasks[0] is tasks[1]


def test_a_request_that_is_cancelled_while_the_backend_is_asked(bench: Bench) -> None:
    """Cancelling passes through the question to a backend that does not answer; the application is not called."""
    wire = Wire.of()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        port = silent.getsockname()[1]
        paywall = bench.around(unreachable, backend=f"http://127.0.0.1:{port}/")

        async def server(scope: Scope, receive: Receive, send: Send) -> None:
            task = asyncio.create_task(paywall(scope, receive, send))
            connection, _ = await asyncio.to_thread(silent.accept)
            with connection:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        bench.call(server, request(PAGE), wire.receive, wire.send)
    assert wire.sent == []


def test_nothing_of_a_message_is_changed(bench: Bench) -> None:
    """The messages that the application sent are afterwards as they were before."""
    messages = [start(headers=[(b"vary", b"Accept"), (b"cache-control", b"public")]), FIRST, LAST]
    before = deepcopy(messages)
    bench.drive(bench.around(saying(*messages)), bench.scope())
    assert messages == before
