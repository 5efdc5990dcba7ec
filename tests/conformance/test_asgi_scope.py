"""What the application is given: its scope, its receive, its lifespan; and what a server may leave out."""

from __future__ import annotations

import asyncio
import gc
from typing import Any
from urllib.parse import urlencode

import pytest
from running import Sandbox

from taler_paywall import payment_from
from taler_paywall.asgi import ASGIApp, Message, Receive, Scope, Send
from taler_paywall.forms import MAX_FORM
from taler_paywall.settings import Options

from .asgi_drive import PAGE, RULES, Bench, Wire, buy, hello, request, saying, status_of, unreachable

OPTIONAL = ["raw_path", "client", "server", "root_path", "extensions", "state", "scheme", "http_version"]
FORM = {"type": "http.request", "body": urlencode({"page": PAGE, "method": "GET"}).encode()}


@pytest.fixture(scope="module")
def bench(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Pay once for all tests here."""
    return buy(sandbox, tmp_path_factory.mktemp("scope"))


def keeping(kept: list[Any], answer: ASGIApp = hello) -> ASGIApp:
    """Return an application that keeps what it was called with."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept[:] = scope, receive, send
        await answer(scope, receive, send)

    return app


def form_scope(bench: Bench) -> Scope:
    """Return the scope of the form with which a reader buys."""
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"origin", str(bench.options["public_url"]).encode()),
        (b"sec-fetch-site", b"same-origin"),
        (b"content-type", b"application/x-www-form-urlencoded"),
    ]
    return request("/.well-known/taler-paywall/reorder", method="POST", headers=headers)


def test_a_granted_scope_is_a_copy_with_the_payment(bench: Bench) -> None:
    """The application gets a copy of the scope that holds the payment besides; the server's own is not changed."""
    kept: list[Any] = []
    scope = bench.scope()
    before = dict(scope)
    bench.drive(bench.around(keeping(kept)), scope)
    given = dict(kept[0])
    assert scope == before
    assert payment_from(scope) is None
    payment = payment_from(given)
    assert payment is not None
    assert str(payment.amount) == "KUDOS:0.5"
    assert given.pop("taler_paywall") is payment
    assert given.keys() == before.keys()
    assert all(given[name] is before[name] for name in before), "extensions and state are shared, as ASGI wants it"


def test_what_the_application_receives(bench: Bench) -> None:
    """The application is given the server's own receive: bodies and disconnects are the very messages."""
    messages: list[Message] = [
        {"type": "http.request", "body": b"one", "more_body": True, "new": "key"},
        {"type": "http.request", "body": b"two"},
        {"type": "http.disconnect"},
        {"type": "of.tomorrow"},
    ]
    seen: list[Message] = []
    kept: list[Any] = []

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive() for _ in messages])

    wire = Wire.of(*messages)
    receive = wire.receive
    bench.call(bench.around(keeping(kept, reads)), bench.scope(method="POST"), receive, wire.send)
    assert kept[1] is receive
    assert [id(message) for message in seen] == [id(message) for message in messages]


FREE: list[tuple[str, Any, Options]] = [
    ("/free", RULES, {}),
    ("/paid//page/../../%2f", {"/else": "KUDOS:1"}, {}),
    (PAGE, {"/paid/*": None}, {}),
    (PAGE, {"/paid/*": lambda _: None}, {}),
    (PAGE, RULES, {"enabled": False}),
]


@pytest.mark.parametrize(("path", "rules", "options"), FREE)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_free_requests_are_handed_on(bench: Bench, path: str, rules: Any, options: Options, kind: str) -> None:
    """Where nothing is asked the application gets the very scope, receive and send of the server."""
    kept: list[Any] = []
    wire = Wire.of()
    given = request(path, type=kind), wire.receive, wire.send
    bench.call(bench.around(keeping(kept), rules, **options), *given)
    assert all(ours is theirs for ours, theirs in zip(kept, given, strict=True))


@pytest.mark.parametrize("missing", [*([name] for name in OPTIONAL), OPTIONAL], ids="+".join)
def test_what_a_server_may_leave_out(bench: Bench, missing: list[str]) -> None:
    """Without what ASGI calls optional, who has paid reads, and who has not is asked for money."""
    paid, stranger = bench.scope(), request()
    for name in missing:
        del paid[name], stranger[name]
    assert status_of(bench.drive(bench.around(hello), paid)) == 200
    assert status_of(bench.drive(bench.around(unreachable), stranger)) == 402


@pytest.mark.parametrize("empty", [{"headers": []}, {"headers": ()}, {"extensions": None}, {"raw_path": None}], ids=str)
def test_what_a_server_may_leave_empty(bench: Bench, empty: dict[str, Any]) -> None:
    """What is there but empty is no fault, either."""
    assert status_of(bench.drive(bench.around(unreachable), request(**empty))) == 402


def test_a_scope_with_nothing_but_a_path(bench: Bench) -> None:
    """The least that a server can say is enough to be asked for money."""
    assert status_of(bench.drive(bench.around(unreachable), {"type": "http", "path": PAGE})) == 402
    assert status_of(bench.drive(bench.around(hello), {"type": "http", "path": "/free"})) == 200


def test_other_protocols_cannot_ask_for_what_is_sold(bench: Bench) -> None:
    """Nobody knows how a protocol of the future says no: a path that may be sold never reaches the application."""
    wire = Wire.of()
    with pytest.raises(NotImplementedError, match="mail"):
        bench.call(bench.around(unreachable), {"type": "mail", "path": PAGE}, wire.receive, wire.send)
    assert not wire.sent


@pytest.mark.parametrize("scope", [{"type": "mail"}, {"type": "mail", "path": "/free"}], ids=str)
def test_scopes_of_other_protocols_pass(bench: Bench, scope: Scope) -> None:
    """What is neither HTTP nor a websocket goes to the application, with its own messages."""
    kept: list[Any] = []
    message = {"type": "mail.send"}
    wire = Wire.of()
    receive = wire.receive
    bench.call(bench.around(keeping(kept, saying(message))), scope, receive, wire.send)
    assert kept[:2] == [scope, receive]
    assert wire.sent[0] is message


LIFESPANS: list[list[Message]] = [
    [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}],
    [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.failed", "message": "no"}],
    [{"type": "lifespan.startup.failed", "message": "no database"}],
]


@pytest.mark.parametrize("messages", LIFESPANS, ids=lambda messages: messages[-1]["type"])
def test_the_lifespan_passes(bench: Bench, messages: list[Message]) -> None:
    """The lifespan is the application's: the same scope and state, and every message of it, failures too."""
    kept: list[Any] = []
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    wire = bench.drive(bench.around(keeping(kept, saying(*messages))), scope)
    assert kept[0] is scope
    assert [id(message) for message in wire.sent] == [id(message) for message in messages]


@pytest.mark.parametrize("error", [RuntimeError("no lifespan here"), asyncio.CancelledError()], ids=repr)
def test_failures_of_the_lifespan_pass(bench: Bench, error: BaseException) -> None:
    """An exception in the lifespan comes out as it went in; servers tell by it that there is none."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        bench.drive(bench.around(app), {"type": "lifespan"})
    assert raised.value is error or isinstance(error, asyncio.CancelledError)


@pytest.mark.parametrize("ending", ["lifespan.shutdown.complete", "lifespan.shutdown.failed"])
def test_the_end_of_the_lifespan_closes_the_connections(bench: Bench, ending: str) -> None:
    """When the server hears of the end there is no connection left, so that Python has none to warn of."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (hello if scope["type"] == "http" else saying({"type": ending}))(scope, receive, send)

    paywall = bench.around(app)
    pools: list[object] = []

    async def note(_: Message) -> None:
        pools.append(paywall._backend._pool.get(None))

    async def serve() -> None:
        wire = Wire.of()
        await paywall(bench.scope(), wire.receive, wire.send)
        await note({})
        await paywall({"type": "lifespan"}, wire.receive, note)

    asyncio.run(serve())
    gc.collect()
    assert [pool is None for pool in pools] == [False, True]


def test_one_event_loop_after_another(bench: Bench) -> None:
    """The same paywall serves in an event loop when another has ended, as test clients and reloaders have it."""
    paywall = bench.around(hello)
    for _ in range(3):
        assert status_of(bench.drive(paywall, bench.scope())) == 200
        assert status_of(bench.drive(paywall, request())) == 402


def test_two_event_loops_at_once(bench: Bench) -> None:
    """The same paywall serves in two event loops in two threads at the same time."""
    paywall = bench.around(hello)
    statuses: list[int] = []

    async def serve(in_a_thread: asyncio.Event | None = None) -> None:
        wire = Wire.of()
        await paywall(bench.scope(), wire.receive, wire.send)
        if in_a_thread is None:
            await asyncio.to_thread(asyncio.run, serve(asyncio.Event()))
            await paywall(bench.scope(), wire.receive, wire.send)
        statuses.extend(message["status"] for message in wire.sent if "status" in message)
        await paywall.aclose()

    asyncio.run(serve())
    assert statuses == [200, 200, 200]


def test_a_form_is_read(bench: Bench, sandbox: Sandbox) -> None:
    """The form that buys makes an order, in however many pieces it comes."""
    body = FORM["body"]
    assert isinstance(body, bytes)
    before = len(sandbox.orders())
    pieces = ({"type": "http.request", "body": body[at : at + 5], "more_body": True} for at in range(0, len(body), 5))
    wire = bench.drive(bench.around(unreachable), form_scope(bench), *pieces, {"type": "http.request"})
    assert status_of(wire) == 303
    assert len(sandbox.orders()) == before + 1


def test_half_a_form_buys_nothing(bench: Bench, sandbox: Sandbox) -> None:
    """A reader who goes away in the middle of the form has not bought what its first half names."""
    before = len(sandbox.orders())
    half = {**FORM, "more_body": True}
    wire = bench.drive(bench.around(unreachable), form_scope(bench), half, {"type": "http.disconnect"})
    assert all(message.get("status", 400) >= 400 for message in wire.sent)
    assert len(sandbox.orders()) == before


def test_a_form_without_an_end(bench: Bench, sandbox: Sandbox) -> None:
    """A form that goes on for ever is refused as soon as it is too long, and no more of it is asked for."""
    before = len(sandbox.orders())
    wire = Wire.of()
    piece = b"x" * 100
    given = 0

    async def endless() -> Message:
        nonlocal given
        given += len(piece)
        assert given <= MAX_FORM + len(piece), "more than is needed was asked for"
        return {"type": "http.request", "body": piece, "more_body": True}

    bench.call(bench.around(unreachable), form_scope(bench), endless, wire.send)
    assert status_of(wire) == 413
    assert len(sandbox.orders()) == before
