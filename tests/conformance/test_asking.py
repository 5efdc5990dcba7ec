"""How payment is asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

from .front import Front
from .raw import exchange
from .till import Till

Called = Callable[[str], list[str]]


def test_a_program_is_asked_in_json(reader: Reader, purse: TalerWallet, name: str) -> None:
    """A program is answered 402 with problem details and the pay URI in a header, pays with it, and reads."""
    asked = reader.http.get(f"/paid/{name}", headers={"Accept": "application/json"})
    assert (asked.status_code, asked.headers["content-type"]) == (402, "application/problem+json")
    problem = asked.json()
    assert (problem["type"], problem["status"], problem["amount"]) == ("urn:taler-paywall:unpaid", 402, "KUDOS:0.5")
    assert asked.headers["taler"] == problem["taler_pay_uri"]
    assert asked.headers["cache-control"] == "no-store"
    purse.pay(asked.headers["taler"])
    assert reader.http.get(f"/paid/{name}", headers={"Accept": "application/json"}).status_code == 200


def test_others_are_asked_in_plain_text(reader: Reader, name: str) -> None:
    """Who prefers nothing is answered 402 in a few lines of text, with what it costs and where to pay."""
    asked = reader.http.get(f"/paid/{name}")
    assert (asked.status_code, asked.headers["content-type"]) == (402, "text/plain; charset=utf-8")
    assert "KUDOS:0.5" in asked.text
    assert asked.headers["taler"] in asked.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_changes_things_is_not_redirected(
    reader: Reader, method: str, name: str, called: Called, sandbox: Till
) -> None:
    """POST, PUT, PATCH and DELETE of a browser are answered 402, which says that the body is lost; no 302."""
    asked = reader.http.request(method, f"/paid/{name}", content=b"x" * 10, headers={"Accept": "text/html"})
    assert (asked.status_code, "location" in asked.headers) == (402, False)
    assert "was not kept" in asked.text
    assert (len(sandbox.orders_for(name)), called(name)) == (1, [])


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PROPFIND", "BREW"])
def test_odd_methods_reach_nothing_unpaid(
    reader: Reader, method: str, name: str, called: Called, sandbox: Till
) -> None:
    """HEAD, OPTIONS and methods that nobody knows never reach the application unpaid, and make no order."""
    answer = reader.http.request(method, f"/paid/{name}")
    # Some servers know no such methods.
    assert answer.status_code in ({402, 400, 405, 501} if method == "BREW" else {402})
    assert (called(name), sandbox.orders_for(name), "set-cookie" in answer.headers) == ([], [], False)


@pytest.mark.parametrize("method", ["get", "Post", "head"])
def test_methods_in_lower_case_reach_nothing_unpaid(reader: Reader, method: str, name: str, called: Called) -> None:
    """Methods in lower case never reach the application unpaid, whatever the server makes of them."""
    request = reader.http.build_request(method, f"/paid/{name}")
    request.method = method
    # Some servers know no such methods, some put them in capitals, and some cut the connection.
    with suppress(httpx.RemoteProtocolError):
        assert reader.http.send(request).status_code in {402, 400, 405, 501}
    assert called(name) == []


def test_the_answer_to_head_has_no_body(front: Front, reader: Reader, name: str) -> None:
    """HEAD is answered 402 with the headers of GET and not one byte of a body, on the wire."""
    if front.process is None:
        head = reader.http.head(f"/paid/{name}")
        assert (head.status_code, head.content) == (402, b"")
        return
    request = f"HEAD /paid/{name} HTTP/1.1\r\nHost: {front.url.partition('//')[2]}\r\nConnection: close\r\n\r\n"
    head_on_the_wire, end, body = exchange(front.url, request.encode()).partition(b"\r\n\r\n")
    assert (head_on_the_wire.split()[1], bool(end), body) == (b"402", True, b"")
    assert b"text/plain" in head_on_the_wire


def test_who_fetches_ahead_makes_no_order(reader: Reader, name: str, sandbox: Till, called: Called) -> None:
    """Prefetches, link previews and pictures are answered 402 without an order."""
    robot = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"
    for headers in ({"Sec-Purpose": "prefetch"}, {"User-Agent": robot}, {"Sec-Fetch-Mode": "no-cors"}):
        assert reader.http.get(f"/paid/{name}", headers=headers).status_code == 402
    assert (sandbox.orders_for(name), called(name)) == ([], [])


def test_a_dead_backend_shuts_and_remembered_readers_go_on(
    readers: Callable[[], Reader], purse: TalerWallet, name: str, called: Called, sandbox: Till
) -> None:
    """While the backend is dead strangers get 503 with Retry-After, free pages and readers who just read go on."""
    known, stranger = readers(), readers()
    purse.pay(known.visit(f"/paid/{name}").headers["location"])
    assert known.visit(f"/paid/{name}").status_code == 200
    with sandbox.dead():
        refused = stranger.visit(f"/paid/{name}")
        assert (refused.status_code, refused.headers["retry-after"], "location" in refused.headers) == (503, "5", False)
        assert known.visit(f"/paid/{name}").status_code == 200
        assert stranger.visit(f"/free/{name}").status_code == 200
        distrusted = stranger.http.get(f"/paid/{name}b", headers={"Accept": "application/json"})
        assert (distrusted.status_code, distrusted.json()["type"]) == (503, "urn:taler-paywall:unknown")
    assert stranger.visit(f"/paid/{name}").status_code == 302
    assert len(called(name)) == 3
