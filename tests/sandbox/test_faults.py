"""Switchable faults: what a site meets while each of them is on, and that nothing is left of them afterwards."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from running import TLS

from .shop import HTML, REFUNDABLE, Process, Shop, coin, fresh_nonce
from .switch import Switch
from .traffic import FAULT_HEADER, refused


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    started = Process("--port", "0", "--control", state_home=tmp_path_factory.mktemp("state"))
    yield started
    assert started.stop() == 0
    assert started.errors == ""


@pytest.fixture
def shop(faulty: Process) -> Iterator[Shop]:
    opened = Shop(faulty.url)
    yield opened
    opened.http.close()


@pytest.fixture
def switch(faulty: Process) -> Iterator[Switch]:
    with Switch(faulty.control) as opened:
        yield opened


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as opened:
        yield opened


def struck(answer: httpx.Response, name: str) -> httpx.Response:
    assert answer.headers[FAULT_HEADER] == name
    return answer


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("error-json", 500, 54), ("unauthorized", 401, 40), ("not-found", 404, 2005)],
)
def test_made_up_errors(shop: Shop, switch: Switch, name: str, status: int, code: int) -> None:
    """An ErrorDetail that the backend knows nothing of."""
    made = shop.order()
    switch.fault(name)
    refused(struck(shop.ask(made["order_id"]), name), status, code)
    refused(struck(shop.post_order(order_id="never"), name), status, code)
    switch.lift()
    refused(shop.ask("never"), 404, 2005)
    assert shop.status(made["order_id"])["order_status"] == "unpaid"


@pytest.mark.parametrize(("name", "status"), [("error-html", 500), ("unavailable", 503)])
def test_pages_instead_of_answers(shop: Shop, switch: Switch, name: str, status: int) -> None:
    """What a web server in front of the backend says, whatever was asked for."""
    switch.fault(name)
    answer = struck(shop.http.get("config"), name)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>")
    assert ("retry-after" in answer.headers) is (status == 503)


def test_redirect(shop: Shop, switch: Switch) -> None:
    """To a place that does not exist, on another origin."""
    switch.fault("redirect")
    answer = struck(shop.ask("A"), "redirect")
    assert answer.status_code == 302
    assert answer.headers["location"] == "http://elsewhere.sandbox.invalid/private/orders/A"


def test_truncated(shop: Shop, switch: Switch) -> None:
    """Well-formed HTTP, but half of the JSON."""
    whole = shop.http.get("config").content
    switch.fault("truncated")
    answer = struck(shop.http.get("config"), "truncated")
    assert answer.status_code == 200
    assert whole.startswith(answer.content)
    assert 0 < len(answer.content) < len(whole)
    assert answer.headers["content-type"] == "application/json"
    # A request is really done, as when an answer is lost.
    assert struck(shop.post_order(order_id="truncated"), "truncated").status_code == 200
    switch.lift()
    assert shop.status("truncated")["order_status"] == "unpaid"


@pytest.mark.parametrize("name", ["truncated", "broken"])
def test_answers_without_a_body_are_spoilt_too(shop: Shop, switch: Switch, name: str) -> None:
    """Nothing to collect is 204, which no client may take it for."""
    bought = shop.bought(body=REFUNDABLE)
    switch.fault(name)
    try:
        answer = shop.post(bought["order_id"], "refund", {"h_contract": bought["h_contract"]})
        with pytest.raises(ValueError, match="Expecting"):
            json.loads(answer.text)
    except httpx.RemoteProtocolError:
        assert name == "broken"


def test_broken(shop: Shop, switch: Switch) -> None:
    """The connection ends in the middle of the answer."""
    switch.fault("broken", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        shop.http.get("config")
    assert shop.http.get("config").status_code == 200
    assert switch.hits == 1


def test_wrong_types(shop: Shop, switch: Switch) -> None:
    """The same members, each with a value of another type."""
    bought = shop.bought(body=REFUNDABLE)
    right = shop.status(bought["order_id"])
    switch.fault("wrong-types")
    wrong = struck(shop.ask(bought["order_id"]), "wrong-types").json()
    assert wrong.keys() == right.keys()
    assert all(type(wrong[name]) is not type(value) for name, value in right.items())
    page = struck(shop.public(bought["order_id"], headers=HTML, h_contract=bought["h_contract"]), "wrong-types")
    assert "An article" in page.text


def test_slow(shop: Shop, switch: Switch) -> None:
    """The answer comes in drips; what is left when the fault is lifted comes at once."""
    whole = shop.http.get("config").content
    switch.fault("slow")
    started = time.monotonic()
    with shop.http.stream("GET", "config") as answer:
        struck(answer, "slow")
        pieces = answer.iter_raw()
        begin = b"".join(next(pieces) for _ in range(10))
        assert time.monotonic() - started > 0.3
        assert len(begin) < len(whole) / 2
        switch.lift()
        assert begin + b"".join(pieces) == whole
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_hang_until_lifted(shop: Shop, switch: Switch, pool: ThreadPoolExecutor, method: str) -> None:
    """The request is answered as if nothing had been, with all that it had sent."""
    order_id = f"hung-{method}"
    if method == "GET":
        shop.order(order_id=order_id)
    switch.fault("hang", times=1)
    ask = shop.ask if method == "GET" else lambda name: shop.post_order(order_id=name, summary="s" * 200_000)
    hanging = pool.submit(ask, order_id)
    switch.wait_until(1, lambda state: state["fault"]["hits"])
    # One is all that it was to strike, and that one goes on hanging.
    assert shop.http.get("config").status_code == 200
    assert not hanging.done()
    switch.lift()
    assert struck(hanging.result(timeout=20), "hang").status_code == 200
    assert shop.status(order_id)["order_status"] == "unpaid"


def test_hang_until_the_client_goes(shop: Shop, switch: Switch) -> None:
    """What a client has given up is not done afterwards."""
    switch.fault("hang")
    order = {"order": {"summary": "s", "amount": "KUDOS:1", "order_id": "given-up"}}
    with pytest.raises(httpx.ReadTimeout):
        shop.http.post("private/orders", json=order, headers=shop.owner, timeout=0.3)
    time.sleep(0.3)
    switch.lift()
    refused(shop.ask("given-up"), 404, 2005)


def test_refuse(shop: Shop, switch: Switch, pool: ThreadPoolExecutor) -> None:
    """Connections that stand are cut, new ones refused; the port is the same afterwards, and so is the state."""
    made = shop.order()
    polling = pool.submit(shop.public, made["order_id"], token=made["token"], timeout_ms=600_000)
    switch.wait_until(1, lambda state: state["waiting"])
    for _ in range(2):
        switch.fault("refuse")
        assert isinstance(polling.exception(timeout=20), httpx.TransportError)
        with pytest.raises(httpx.ConnectError, match="refused"):
            # A connection of the pool may be cut only while it is used.
            httpx.get(shop.http.base_url, trust_env=False, verify=TLS)
        switch.lift()
        assert shop.status(made["order_id"])["order_status"] == "unpaid"
    switch.wait_until(0, lambda state: state["waiting"])


def test_the_port_stays_taken_while_it_refuses(switch: Switch, faulty: Process) -> None:
    """Nobody else can get it meanwhile."""
    switch.fault("refuse")
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", faulty.port))


def test_claimed(shop: Shop, switch: Switch) -> None:
    """Whatever order the site asks for has been claimed by a stranger; those who have claimed before keep theirs."""
    mine = shop.order()
    nonce = fresh_nonce()
    shop.claim(mine, nonce)
    made = [shop.order() for _ in range(2)]
    switch.fault("claimed")
    assert FAULT_HEADER not in shop.ask(mine["order_id"]).headers
    assert shop.public(made[0]["order_id"], token=made[0]["token"]).status_code == 402
    assert switch.hits == 0
    for one in made:
        answer = struck(shop.ask(one["order_id"]), "claimed")
        assert answer.json()["order_status"] == "claimed"
        assert answer.json()["contract_terms"]["nonce"] != nonce
    refused(shop.ask("nothing"), 404, 2005)
    assert switch.hits == 2
    assert shop.post(mine["order_id"], "pay", {"coins": [coin()]}).status_code == 200


def test_refunded(shop: Shop, switch: Switch) -> None:
    """Whatever purchase is asked for has been refunded in full, although its contract allows no refunds."""
    unpaid, bought, other = shop.order(), shop.bought(), shop.bought()
    switch.fault("refunded", times=2)
    assert shop.status(unpaid["order_id"])["order_status"] == "unpaid"
    found = struck(shop.ask(bought["order_id"]), "refunded").json()
    assert (found["order_status"], found["refund_amount"]) == ("paid", "KUDOS:5")
    assert FAULT_HEADER not in shop.ask(bought["order_id"]).headers
    public = struck(shop.public(other["order_id"], h_contract=other["h_contract"]), "refunded").json()
    assert (public["refunded"], public["refund_amount"]) == (True, "KUDOS:5")
    third = shop.bought()
    assert shop.status(third["order_id"])["refunded"] is False


def test_limits(shop: Shop, switch: Switch) -> None:
    """Only some paths, one method, so many times."""
    made = shop.order()
    switch.fault("error-json", only="private/orders", method="GET", times=2)
    assert shop.http.get("config").status_code == 200
    assert shop.post_order().status_code == 200
    assert [shop.ask(made["order_id"]).status_code for _ in range(4)] == [500, 500, 200, 200]
    assert switch.state["fault"]["hits"] == 2
    switch.fault("error-json", only="/pay")
    shop.claim(made)
    assert shop.post(made["order_id"], "pay", {"coins": [coin()]}).status_code == 500
    assert shop.post(made["order_id"], "paid", {}).status_code == 400


def test_what_is_not_the_merchants_is_spared(shop: Shop, switch: Switch) -> None:
    """Pages load their style, and the sandbox can prove itself."""
    switch.fault("error-json")
    assert shop.http.get("sandbox/static/style.css").status_code == 200
    assert shop.http.get(f"sandbox/proof?nonce={'00' * 16}").status_code == 200


def test_the_button_of_a_page_meets_faults(shop: Shop, switch: Switch) -> None:
    """The wallet behind the pages is a client like others."""
    made = shop.order()
    form = {"order_id": made["order_id"], "token": made["token"]}
    for name in ("error-html", "truncated", "wrong-types"):
        switch.fault(name, only="/claim")
        answer = shop.http.post("sandbox/pay", data=form)
        assert (answer.status_code, "play wallet says" in answer.text) == (409, True), name
    switch.fault("broken", only="/pay")
    assert shop.http.post("sandbox/pay", data=form).status_code == 303


@pytest.mark.parametrize("name", ["hang", "slow", "refuse"])
def test_the_end_comes_at_once(processes: Any, pool: ThreadPoolExecutor, name: str) -> None:
    """Ctrl-C ends a sandbox whatever is switched on, and nothing is written about it."""
    started = processes("--port", "0", "--control")
    shop = Shop(started.url)
    switch = Switch(started.control)
    switch.fault(name)
    waiting = [] if name == "refuse" else [pool.submit(shop.http.get, "config") for _ in range(3)]
    switch.wait_until(len(waiting), lambda state: state["fault"]["hits"])
    with socket.create_connection(("127.0.0.1", started.port)) if waiting else socket.socket() as half:
        if waiting:
            # A client that never finishes its request.
            half.sendall(b"POST /private/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        time.sleep(0.2)
        started.process.send_signal(signal.SIGINT)
        assert started.process.wait(timeout=5) == 0
    assert [one.result(timeout=10).status_code for one in waiting] == [200] * len(waiting)
    shop.http.close()
    switch.http.close()
    assert started.process.communicate()[1] == ""
