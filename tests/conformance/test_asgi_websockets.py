"""Websockets message by message: refused before they are accepted, or left to the application."""

from __future__ import annotations

from typing import Any

import pytest
from running import Sandbox

from taler_paywall import Rule, payment_from
from taler_paywall.asgi import Message, Receive, Scope, Send

from .asgi_drive import PAGE, Bench, buy, request, saying, unreachable, values

DENIAL: dict[str, Any] = {"websocket.http.response": {}}
CONNECT = {"type": "websocket.connect"}


@pytest.fixture(scope="module")
def bench(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Pay once for all tests here."""
    return buy(sandbox, tmp_path_factory.mktemp("websockets"))


def socket_of(scope: Scope, **changed: Any) -> Scope:
    """Return the scope of a websocket instead of a request."""
    changes = {"type": "websocket", "scheme": "ws", "subprotocols": ["chat"], "extensions": DENIAL}
    return {name: value for name, value in {**scope, **changes, **changed}.items() if name != "method"}


@pytest.mark.parametrize("mode", [None, b"websocket", b"navigate"])
def test_a_stranger_gets_402(bench: Bench, sandbox: Sandbox, mode: bytes | None) -> None:
    """With the denial extension a stranger is answered 402; no order is made, no cookie set, nothing accepted."""
    before = len(sandbox.orders())
    headers = [(b"sec-fetch-mode", mode), (b"sec-fetch-dest", b"document")] if mode else []
    wire = bench.drive(bench.around(unreachable), socket_of(request(PAGE, *headers)), CONNECT)
    start, body = wire.sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 402)
    assert (body["type"], body.get("more_body", False)) == ("websocket.http.response.body", False)
    assert values(start["headers"], b"set-cookie") == []
    assert values(start["headers"], b"cache-control") == [b"no-store"]
    assert len(sandbox.orders()) == before


@pytest.mark.parametrize("extensions", [{}, None, {"tls": {}}], ids=str)
def test_a_stranger_is_closed(bench: Bench, sandbox: Sandbox, extensions: Any) -> None:
    """Without the extension a stranger's websocket is closed with 1008 before it is accepted."""
    before = len(sandbox.orders())
    wire = bench.drive(bench.around(unreachable), socket_of(request(), extensions=extensions), CONNECT)
    assert wire.sent == [{"type": "websocket.close", "code": 1008, "reason": "Payment Required"}]
    assert len(sandbox.orders()) == before


def test_a_scope_without_extensions(bench: Bench) -> None:
    """A server that says nothing of extensions has none."""
    scope = socket_of(request())
    del scope["extensions"]
    assert bench.drive(bench.around(unreachable), scope).types == ["websocket.close"]


def test_nothing_is_given_away_while_the_backend_is_down(bench: Bench) -> None:
    """Where nobody can say whether it was paid, the websocket is refused, too."""
    scope = socket_of(bench.scope())
    wire = bench.drive(bench.around(unreachable, backend="http://127.0.0.1:9/"), scope, CONNECT)
    assert (wire.sent[0]["type"], wire.sent[0]["status"] >= 400) == ("websocket.http.response.start", True)


def test_who_has_paid_is_accepted(bench: Bench) -> None:
    """Who has paid is left to the application: what it accepts, sends, receives and closes is its own affair."""
    accept = {
        "type": "websocket.accept",
        "subprotocol": "chat",
        "headers": [(b"x-own", b"1"), (b"set-cookie", b"own=1"), (b"x-own", b"2")],
    }
    said: list[Message] = [{"type": "websocket.send", "bytes": b"raw"}, {"type": "websocket.close", "code": 4000}]
    messages: list[Message] = [CONNECT, {"type": "websocket.receive", "text": "hi"}, {"type": "websocket.disconnect"}]
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert payment_from(scope) is not None
        assert scope["subprotocols"] == ["chat"]
        seen.append(await receive())
        await saying(accept, *said)(scope, receive, send)
        seen.extend([await receive(), await receive()])

    wire = bench.drive(bench.around(app), socket_of(bench.scope()), *messages)
    assert [id(message) for message in seen] == [id(message) for message in messages]
    assert [id(message) for message in wire.sent[1:]] == [id(message) for message in said]
    accepted = wire.sent[0]
    assert {**accepted, "headers": accept["headers"]} == accept
    assert accepted["headers"][:3] == accept["headers"]


def test_the_subprotocol_is_the_applications(bench: Bench) -> None:
    """An accept that says nothing of headers or subprotocol is given only the headers of a private answer."""
    wire = bench.drive(bench.around(saying({"type": "websocket.accept"})), socket_of(bench.scope()), CONNECT)
    (accepted,) = wire.sent
    assert accepted.keys() == {"type", "headers"}
    assert accepted["headers"] == [(b"cache-control", b"private"), (b"vary", b"Cookie")]


def test_the_application_refuses_by_itself(bench: Bench) -> None:
    """The application may refuse who has paid: its status, its body in pieces and its close arrive."""
    start = {"type": "websocket.http.response.start", "status": 403, "headers": [(b"x-own", b"1")]}
    pieces: list[Message] = [
        {"type": "websocket.http.response.body", "body": b"not ", "more_body": True},
        {"type": "websocket.http.response.body", "body": b"today"},
    ]
    wire = bench.drive(bench.around(saying(start, *pieces)), socket_of(bench.scope()), CONNECT)
    assert wire.sent[0]["status"] == 403
    assert (b"x-own", b"1") in wire.sent[0]["headers"]
    assert [id(message) for message in wire.sent[1:]] == [id(message) for message in pieces]

    close: Message = {"type": "websocket.close", "code": 1013}
    wire = bench.drive(bench.around(saying(close)), socket_of(bench.scope()), CONNECT)
    assert wire.sent[0] is close


def test_the_rule_of_a_method(bench: Bench) -> None:
    """A websocket opens by GET: a rule of that method is for it, one of another is not."""
    ask = socket_of(request())
    assert bench.drive(bench.around(unreachable, {f"GET {PAGE}": "KUDOS:1"}), ask).sent[0]["status"] == 402
    message = {"type": "websocket.accept"}
    wire = bench.drive(bench.around(saying(message), [Rule(f"POST {PAGE}", "KUDOS:1", page="/")]), ask)
    assert wire.sent[0] is message


@pytest.mark.parametrize("method", [{}, {"method": "POST"}], ids=str)
def test_the_address_of_a_form(bench: Bench, method: dict[str, str]) -> None:
    """A websocket at the address of our form is refused without a look at its messages: it is no form."""
    scope = {**socket_of(request("/.well-known/taler-paywall/reorder")), **method}
    start, _ = bench.drive(bench.around(unreachable), scope).sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 405)


def test_an_odd_path(bench: Bench) -> None:
    """A path that may be read as one that is sold is refused on a websocket as on a page."""
    scope = socket_of(request("/paid//page"))
    assert bench.drive(bench.around(unreachable), scope).sent[0]["status"] == 400
