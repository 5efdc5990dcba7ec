"""Webhooks: keeping them, and delivering to them (merchant API, section 5.13)."""

from __future__ import annotations

import secrets
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from .receiver import Receiver
from .shop import REFUNDABLE, Process, Shop
from .traffic import answered, empty, refused

NASTY = 'Ein "Artikel"\r\nX-Evil: 1\n\\ mit Ümläut 😀'
EVENTS = [
    *("order_created", "pay", "refund", "order_settled"),
    *("category_added", "category_updated", "category_deleted"),
    *("inventory_added", "inventory_updated", "inventory_deleted"),
]


def hook(**changed: Any) -> dict[str, Any]:
    contents = {"event_type": "pay", "url": "http://shop.example/hook", "http_method": "POST"}
    return {"webhook_id": f"hook-{secrets.token_hex(4)}", **contents, **changed}


def post_hook(shop: Shop, body: Any) -> httpx.Response:
    return shop.http.post("private/webhooks", json=body, headers=shop.owner)


def ask(shop: Shop, method: str, webhook_id: str, body: Any = None) -> httpx.Response:
    return shop.http.request(method, f"private/webhooks/{webhook_id}", json=body, headers=shop.owner)


@contextmanager
def registered(shop: Shop, **contents: Any) -> Iterator[str]:
    """A webhook that is deleted in the end, so that no other test's events go there."""
    body = hook(**contents)
    empty(post_hook(shop, body), 204)
    yield body["webhook_id"]
    empty(ask(shop, "DELETE", body["webhook_id"]), 204)


def test_webhooks_are_kept_listed_changed_and_deleted(shop: Shop) -> None:
    """What was posted is listed and shown, a patch replaces all of it, and after the deletion it is unknown."""
    body = hook(header_template="X-Shop: 1", body_template="{{order_id}}", http_method="put")
    name = body["webhook_id"]
    empty(post_hook(shop, body), 204)
    listed = answered(shop.http.get("private/webhooks", headers=shop.owner), 200, webhooks=list)["webhooks"]
    assert {"webhook_id": name, "event_type": "pay"} in listed
    assert answered(ask(shop, "GET", name), 200, http_method="PUT") == {**body, "http_method": "PUT"}
    patch = {"event_type": "refund", "url": "http://other.example/", "http_method": "GET", "header_template": None}
    empty(ask(shop, "PATCH", name, patch), 204)
    changed = {"webhook_id": name, "event_type": "refund", "url": "http://other.example/", "http_method": "GET"}
    assert answered(ask(shop, "GET", name), 200, event_type="refund") == changed
    empty(ask(shop, "DELETE", name), 204)
    refused(ask(shop, "GET", name), 404, 2019)
    refused(ask(shop, "PATCH", name, patch), 404, 2019)
    refused(ask(shop, "DELETE", name), 404, 2019)


def test_posting_a_webhook_again(shop: Shop) -> None:
    """The same contents again change nothing, others under the same id are refused."""
    with registered(shop) as name:
        body = hook(webhook_id=name)
        empty(post_hook(shop, {**body, "http_method": "post", "body_template": None}), 204)
        refused(post_hook(shop, {**body, "url": "http://elsewhere.example/"}), 409, 2900)


@pytest.mark.parametrize("event_type", EVENTS)
def test_every_event_type_can_be_registered(shop: Shop, event_type: str) -> None:
    """Also those that never happen here."""
    with registered(shop, event_type=event_type) as name:
        answered(ask(shop, "GET", name), 200, event_type=event_type)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"webhook_id": None}, 25),
        ({"webhook_id": ""}, 26),
        ({"webhook_id": ".."}, 26),
        ({"webhook_id": "a b"}, 26),
        ({"webhook_id": "ä"}, 26),
        ({"webhook_id": 5}, 26),
        ({"event_type": None}, 25),
        ({"event_type": "tea"}, 26),
        ({"url": None}, 25),
        ({"url": "/hook"}, 26),
        ({"url": "ftp://shop.example/"}, 26),
        ({"url": "http://127.0.0.1:99999/"}, 26),
        ({"url": "http://127.0.0.1:0/"}, 26),
        ({"url": "http://xn--/"}, 26),
        ({"url": "http://:80/"}, 26),
        ({"url": "http://999.1.1.1/"}, 26),
        ({"url": "http://shop.example/\n"}, 26),
        ({"http_method": None}, 25),
        ({"http_method": "CONNECT"}, 26),
        ({"http_method": "GET /"}, 26),
        ({"header_template": "no colon"}, 26),
        ({"header_template": "bad name: x"}, 26),
        ({"header_template": ": x"}, 26),
        ({"header_template": "{{name}}: x"}, 26),
        ({"header_template": "Content-Length: 5"}, 26),
        ({"header_template": ["X: y"]}, 26),
        ({"body_template": {}}, 26),
    ],
)
def test_bad_webhooks_are_refused(shop: Shop, changed: dict[str, Any], code: int) -> None:
    """Each mistake in a webhook has its code, when it is posted and when it is patched."""
    body = hook(**changed)
    refused(post_hook(shop, body), 400, code)
    if "webhook_id" not in changed:
        refused(ask(shop, "PATCH", "none", body), 400, code)


def test_webhooks_are_the_owners_only(shop: Shop) -> None:
    """All of it needs the bearer token, and an instance that exists."""
    body = hook()
    for method, path in (
        ("GET", "private/webhooks"),
        ("POST", "private/webhooks"),
        *((method, "private/webhooks/x") for method in ("GET", "PATCH", "DELETE")),
    ):
        refused(shop.http.request(method, path, json=body), 401, 40)
        refused(shop.http.request(method, f"instances/none/{path}", json=body, headers=shop.owner), 404, 2000)
    refused(shop.http.post("private/webhooks", content=b"[]", headers=shop.owner), 400, 22)
    refused(shop.http.post("private/webhooks", content=b" " * 1_100_000, headers=shop.owner), 413, 32)
    refused(shop.http.patch("private/webhooks/x", content=b" " * 1_100_000, headers=shop.owner), 413, 32)


def test_order_created_pay_and_refund_are_delivered(shop: Shop) -> None:
    """Without a template the body is a JSON object of all that is known of the event."""
    with Receiver() as receiver:
        hooks = [registered(shop, event_type=event, url=f"{receiver.url}/{event}") for event in EVENTS[:3]]
        with hooks[0], hooks[1], hooks[2]:
            bought = shop.bought(body=REFUNDABLE)
            assert shop.refund(bought["order_id"], "KUDOS:2", NASTY).status_code == 200
            assert shop.refund(bought["order_id"], "KUDOS:2", NASTY).status_code == 200
            events = {one.path: one for one in (receiver.next(), receiver.next(), receiver.next())}
            assert receiver.gets_nothing(0.3)
    created, paid, refunded = (events[f"/hook/{event}"] for event in EVENTS[:3])
    assert {one.method for one in events.values()} == {"POST"}
    assert {one.headers["content-type"] for one in events.values()} == {"application/json"}
    terms = bought["contract_terms"]
    proposal = {name: value for name, value in terms.items() if name != "nonce"}
    assert created.json == {"order_id": bought["order_id"], "contract": proposal, "instance_id": "default"}
    assert paid.json == {"order_id": bought["order_id"], "contract_terms": terms}
    timestamp = refunded.json["timestamp"]
    assert timestamp // 10**9 >= terms["timestamp"]["t_s"]
    assert refunded.json == {
        "timestamp": timestamp,
        "order_id": bought["order_id"],
        "contract_terms": terms,
        "refund_amount": "KUDOS:2",
        "reason": NASTY,
    }


def test_templates_are_filled_in(shop: Shop) -> None:
    """Texts stand as they are, JSON as JSON text, unknown names for nothing; a header stays one line."""
    headers = "X-Secret: s3cret\r\n\nX-Reason:{{reason}} \nContent-Type: text/x-mine; id={{ order_id }}"
    body = "{{reason}}|{{ refund_amount }}|{{nothing}}|{{{timestamp}}}|{{contract_terms}}"
    with (
        Receiver() as receiver,
        registered(
            shop,
            event_type="refund",
            url=f"{receiver.url}?a=b",
            http_method="PATCH",
            header_template=headers,
            body_template=body,
        ),
    ):
        bought = shop.bought(body=REFUNDABLE, extra={"name": NASTY})
        assert shop.refund(bought["order_id"], "KUDOS:5", NASTY).status_code == 200
        got = receiver.next()
    assert (got.method, got.path) == ("PATCH", "/hook?a=b")
    assert got.headers["x-secret"] == "s3cret"
    assert got.headers["x-reason"].encode("latin-1").decode() == 'Ein "Artikel" X-Evil: 1 \\ mit Ümläut 😀'
    assert "x-evil" not in got.headers
    assert got.headers["content-type"] == f"text/x-mine; id={bought['order_id']}"
    reason, amount, nothing, timestamp, terms = got.body.decode().split("|")
    assert (reason, amount, nothing) == (NASTY, "KUDOS:5", "")
    assert timestamp.strip("{}").isdigit()
    assert httpx.Response(200, content=terms).json() == bought["contract_terms"]


def test_get_has_no_body_by_itself(shop: Shop) -> None:
    """Only a template makes a webhook with GET send a body, and the template can be empty too."""
    with (
        Receiver() as receiver,
        registered(shop, event_type="order_created", url=f"{receiver.url}/get", http_method="GET"),
        registered(shop, event_type="order_created", url=f"{receiver.url}/post", body_template=""),
    ):
        shop.order()
        got = {one.path: one for one in (receiver.next(), receiver.next())}
    assert {one.body for one in got.values()} == {b""}
    assert not any("content-type" in one.headers for one in got.values())


def test_one_payment_is_one_event(shop: Shop) -> None:
    """The wallet's retry of a payment, and the move to another session, are not told again."""
    with Receiver() as receiver, registered(shop, url=receiver.url):
        bought = shop.bought()
        again = shop.post(bought["order_id"], "pay", {"coins": bought["coins"], "session_id": "one"})
        assert again.status_code == 200
        moved = {"sig": bought["sig"], "h_contract": bought["h_contract"], "session_id": "two"}
        assert shop.post(bought["order_id"], "paid", moved).status_code == 200
        assert receiver.next().json["order_id"] == bought["order_id"]
        assert receiver.gets_nothing(0.3)


def test_refused_orders_are_no_events(shop: Shop) -> None:
    """What was not made, or was made before, is told to nobody."""
    with Receiver() as receiver, registered(shop, event_type="order_created", url=receiver.url):
        order: dict[str, Any] = {
            "order_id": f"once-{secrets.token_hex(4)}",
            "fulfillment_url": "http://shop.example/once",
        }
        refused(shop.post_order(amount="x"), 400, 26)
        shop.order(**order)
        shop.order(**order)
        refused(shop.post_order(**order, amount="KUDOS:6"), 409, 2503)
        assert receiver.next().json["order_id"] == order["order_id"]
        assert receiver.gets_nothing(0.3)


@pytest.mark.parametrize("status", [500, 403, 404, 302])
def test_failed_deliveries_are_repeated(shop: Shop, status: int) -> None:
    """After any status but 2xx and 400 the same request is sent again, after a redirect too."""
    with Receiver([status, status]) as receiver, registered(shop, url=receiver.url):
        bought = shop.bought()
        attempts = [receiver.next() for _ in range(3)]
        assert receiver.gets_nothing(0.3)
    assert {one.json["order_id"] for one in attempts} == {bought["order_id"]}
    assert attempts[0] == attempts[1] == attempts[2]


def test_400_is_final(shop: Shop) -> None:
    """A receiver that answers 400 is not asked again, and gets the next event."""
    with Receiver([400]) as receiver, registered(shop, url=receiver.url):
        first = shop.bought()
        assert receiver.next().json["order_id"] == first["order_id"]
        assert receiver.gets_nothing(1.5)
        second = shop.bought()
        assert receiver.next().json["order_id"] == second["order_id"]


def test_events_arrive_in_their_order(shop: Shop) -> None:
    """A webhook is told of one event after the other."""
    with Receiver() as receiver, registered(shop, event_type="order_created", url=receiver.url):
        made = [shop.order()["order_id"] for _ in range(20)]
        assert [receiver.next().json["order_id"] for _ in made] == made


def test_a_changed_webhook_keeps_what_was_written(shop: Shop) -> None:
    """A request that waits is sent as the webhook was when it happened."""
    with Receiver([500]) as receiver, registered(shop, url=f"{receiver.url}/old", body_template="old") as name:
        shop.bought()
        assert receiver.next().body == b"old"
        empty(ask(shop, "PATCH", name, hook(url=f"{receiver.url}/new", body_template="new")), 204)
        again = receiver.next()
        assert (again.path, again.body) == ("/hook/old", b"old")
        shop.bought()
        assert receiver.next().body == b"new"


def test_a_deleted_webhook_is_told_nothing_more(shop: Shop) -> None:
    """With the webhook goes what was still to be sent to it."""
    with Receiver([500, 500]) as receiver:
        with registered(shop, url=receiver.url):
            shop.bought()
            receiver.next()
        assert receiver.gets_nothing(2.5)


def test_unreachable_receivers_hold_nobody_up(shop: Shop) -> None:
    """Where nobody listens, the sandbox tries again while the others get their events."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with Receiver() as receiver:
            dead = [registered(shop, url=f"http://127.0.0.1:{closed.getsockname()[1]}/{number}") for number in range(6)]
            with dead[0], dead[1], dead[2], dead[3], dead[4], dead[5], registered(shop, url=receiver.url):
                bought = shop.bought()
                assert receiver.next().json["order_id"] == bought["order_id"]


def test_pending_deliveries_survive_kill(processes: Any, tmp_path: Path) -> None:
    """What could not be delivered when the sandbox was killed is delivered by the next one on the same state."""
    state = str(tmp_path / "state.sqlite")
    first: Process = processes("--port", "0", "--state", state)
    shop = Shop(first.url)
    with Receiver([503]) as receiver:
        empty(post_hook(shop, hook(url=receiver.url)), 204)
        bought = shop.bought()
        before = receiver.next()
        first.kill()
        shop.http.close()
        processes("--port", "0", "--state", state)
        assert receiver.next() == before
        assert before.json["order_id"] == bought["order_id"]


def test_event_and_state_are_written_together(processes: Any, tmp_path: Path) -> None:
    """A sandbox that is killed right after the answer to a payment has its event in the state file."""
    state = tmp_path / "state.sqlite"
    process: Process = processes("--port", "0", "--state", str(state))
    shop = Shop(process.url)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        empty(post_hook(shop, hook(url=f"http://127.0.0.1:{closed.getsockname()[1]}/")), 204)
        bought = shop.bought()
        process.kill()
    shop.http.close()
    connection = sqlite3.connect(state)
    rows = connection.execute("SELECT body FROM deliveries").fetchall()
    connection.close()
    assert [httpx.Response(200, content=body).json()["order_id"] for (body,) in rows] == [bought["order_id"]]


def test_a_stopped_sandbox_does_not_wait_for_receivers(processes: Any) -> None:
    """A receiver that never answers does not hold the end up, and failures are in the log."""
    process: Process = processes("--port", "0")
    shop = Shop(process.url)
    with Receiver([500]) as receiver, socket.create_server(("127.0.0.1", 0)) as silent:
        empty(post_hook(shop, hook(url=receiver.url, webhook_id="failing")), 204)
        empty(post_hook(shop, hook(url=f"http://127.0.0.1:{silent.getsockname()[1]}/")), 204)
        shop.bought()
        receiver.next()
        receiver.next()
        shop.http.close()
        process.process.terminate()
        assert process.process.wait(timeout=10) == 0
    _, errors = process.process.communicate()
    assert errors == "webhook failing: 500, again in 1 s\n"


def test_delays_grow_until_a_delivery_is_given_up(processes: Any, tmp_path: Path) -> None:
    """Attempts are five minutes apart in the end, and a day after the event the last one is over."""
    state = tmp_path / "state.sqlite"
    process: Process = processes("--port", "0", "--state", str(state))
    shop = Shop(process.url)
    with Receiver([500, 500, 500, 500]) as receiver:
        for name in ("old", "patient"):
            empty(post_hook(shop, hook(webhook_id=name, url=f"{receiver.url}/{name}")), 204)
        shop.bought()
        assert {receiver.next().path, receiver.next().path} == {"/hook/old", "/hook/patient"}
        process.kill()
        shop.http.close()
        with sqlite3.connect(state) as connection:
            connection.execute("UPDATE deliveries SET due = 0, created = created - 86400 WHERE webhook_id = 'old'")
            connection.execute("UPDATE deliveries SET due = 0, attempts = 2000 WHERE webhook_id = 'patient'")
        connection.close()
        process = processes("--port", "0", "--state", str(state))
        assert {receiver.next().path, receiver.next().path} == {"/hook/old", "/hook/patient"}
        assert receiver.gets_nothing(2)
        assert process.stop() == 0
    connection = sqlite3.connect(state)
    rows = connection.execute("SELECT webhook_id, due - unixepoch() FROM deliveries").fetchall()
    connection.close()
    ((name, wait),) = rows
    assert name == "patient"
    assert 240 < wait <= 300
