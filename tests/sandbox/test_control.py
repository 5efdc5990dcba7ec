"""The control endpoint: what it does to a running sandbox, and who may use it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from running import TLS

from .shop import REFUNDABLE, Process, Shop, coin, fresh_nonce
from .switch import Switch, denied
from .traffic import refused

OTHER = "secret-token:other"


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    options = ("--port", "0", "--control", "--instance", f"other={OTHER}")
    started = Process(*options, state_home=tmp_path_factory.mktemp("state"))
    yield started
    assert started.stop() == 0


@pytest.fixture
def shop(controlled: Process) -> Iterator[Shop]:
    opened = Shop(controlled.url)
    yield opened
    opened.http.close()


@pytest.fixture
def other_shop(controlled: Process) -> Iterator[Shop]:
    opened = Shop(controlled.url, "instances/other/", OTHER)
    yield opened
    opened.http.close()


@pytest.fixture
def switch(controlled: Process) -> Iterator[Switch]:
    with Switch(controlled.control) as opened:
        yield opened


def test_state(switch: Switch) -> None:
    """It tells what is switched on, also after the change."""
    assert switch.state == {"fault": None, "clock_shift": 0, "waiting": 0}
    answer = switch.http.put("/fault/hang", params={"only": "/pay", "method": "post", "times": 3})
    fault = {"name": "hang", "only": "/pay", "method": "POST", "times": 3, "hits": 0}
    assert answer.json() == switch.state == {"fault": fault, "clock_shift": 0, "waiting": 0}
    assert switch.http.put("/clock?shift=-60").json() == {**switch.state, "clock_shift": -60}
    assert switch.http.put("/fault/slow").json()["fault"]["name"] == "slow"
    for _ in range(2):
        assert switch.http.delete("/fault").json()["fault"] is None


@pytest.mark.parametrize("method", ["get", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"])
def test_methods_of_the_merchant_api(switch: Switch, method: str) -> None:
    """A fault can be for every method that the merchant API knows, in either case."""
    answer = switch.http.put("/fault/hang", params={"method": method})
    assert answer.json()["fault"]["method"] == method.upper()


def test_addresses_are_announced_in_order(controlled: Process) -> None:
    """First the merchant's, then the control endpoint's, which is another port on this machine."""
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", controlled.control)
    assert controlled.control != controlled.url


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PUT", "/fault/nothing", 404, 21),
        ("PUT", "/fault/hang?times=0", 400, 26),
        ("PUT", "/fault/hang?times=often", 400, 26),
        ("PUT", "/fault/hang?method=PSOT", 400, 26),
        ("PUT", "/fault/hang?method=", 400, 26),
        ("PUT", "/fault/hang?onyl=/pay", 400, 26),
        ("PUT", "/fault/hang?only=/pay&Times=1", 400, 26),
        ("DELETE", "/fault?name=hang", 400, 26),
        ("GET", "/?instance=other", 400, 26),
        ("PUT", "/fault/refuse?times=1", 400, 26),
        ("PUT", "/fault/refuse?only=/pay", 400, 26),
        ("PUT", "/clock", 400, 25),
        ("PUT", "/clock?shift=1&unit=hours", 400, 26),
        ("PUT", "/clock?shift=1.5", 400, 26),
        ("PUT", "/clock?shift=99999999999", 400, 26),
        ("PUT", "/clock?shift=1000000001", 400, 26),
        ("POST", "/clock?shift=1", 405, 20),
        ("GET", "/nothing", 404, 21),
        ("GET", "/config", 404, 21),
        ("POST", "/orders/none/claim", 404, 2005),
        ("POST", "/orders/none/refund", 404, 2005),
        ("POST", "/orders/none/refund?amount=much", 400, 26),
        ("POST", "/orders/none/refund?total=KUDOS:1", 400, 26),
        ("POST", "/orders/none/claim?amount=KUDOS:1", 400, 26),
        ("POST", "/orders/none/claim?instance=nobody", 404, 2000),
    ],
)
def test_mistakes_are_told(switch: Switch, method: str, path: str, status: int, code: int) -> None:
    """Every error is an ErrorDetail, and changes nothing."""
    before = switch.state
    denied(switch.http.request(method, path), status, code)
    assert switch.state == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "localhost:1234"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "[::1]:1234"}, 200),
    ],
)
def test_web_pages_cannot_use_it(switch: Switch, headers: dict[str, str], status: int) -> None:
    """Neither another origin's scripts nor those of a name that resolves to this machine."""
    for method, path in (("GET", "/"), ("PUT", "/clock?shift=0"), ("OPTIONS", "/fault"), ("POST", "/orders/x/claim")):
        answer = switch.http.request(method, path, headers=headers)
        assert (answer.status_code == 403) is (status == 403)
        assert "access-control-allow-origin" not in answer.headers
        if status == 403:
            denied(answer, 403, 44)


def test_the_merchant_api_has_no_control(shop: Shop) -> None:
    """It is on its own port only."""
    refused(shop.http.put("fault/hang"), 404, 21)


def test_the_clock_decides_deadlines(shop: Shop, switch: Switch) -> None:
    """An offer expires when the clock is put forward, and a younger order is made in the time of the clock."""
    made = shop.order()
    shop.claim(made)
    switch.clock(2 * 24 * 3600)
    refused(shop.post(made["order_id"], "pay", {"coins": [coin()]}), 410, 2161)
    later = shop.status(shop.order()["order_id"])["creation_time"]["t_s"]
    switch.clock(-3600)
    assert shop.post(made["order_id"], "pay", {"coins": [coin()]}).status_code == 200
    earlier = shop.status(shop.order()["order_id"])["creation_time"]["t_s"]
    assert 49 * 3600 <= later - earlier + 60 <= 49 * 3600 + 120


def test_a_stranger_claims(shop: Shop, switch: Switch) -> None:
    """The order is lost for the buyer, once."""
    made = shop.order()
    assert switch.http.post(f"/orders/{made['order_id']}/claim").json() == {}
    assert shop.status(made["order_id"])["order_status"] == "claimed"
    body = {"nonce": fresh_nonce(), "token": made["token"]}
    refused(shop.post(made["order_id"], "claim", body), 409, 2301)
    denied(switch.http.post(f"/orders/{made['order_id']}/claim"), 409, 2301)


def test_refund_whatever_the_contract_says(shop: Shop, switch: Switch) -> None:
    """A purchase that allows no refunds is refunded in part, then in full; the wallet can collect it."""
    bought = shop.bought()
    path = f"/orders/{bought['order_id']}/refund"
    refused(shop.refund(bought["order_id"], "KUDOS:1"), 403, 2532)
    part = switch.http.post(path, params={"amount": "KUDOS:2", "reason": "a test"}).json()
    assert part["h_contract"] == bought["h_contract"]
    assert part["taler_refund_uri"].startswith("taler+http://refund/")
    found = shop.status(bought["order_id"])
    assert (found["refund_amount"], found["refund_details"][0]["reason"]) == ("KUDOS:2", "a test")
    denied(switch.http.post(path, params={"amount": "KUDOS:1"}), 409, 2530)
    denied(switch.http.post(path, params={"amount": "EUR:3"}), 409, 2024)
    assert switch.http.post(path).status_code == 200
    assert shop.status(bought["order_id"])["refund_amount"] == "KUDOS:5"
    collected = shop.post(bought["order_id"], "refund", {"h_contract": bought["h_contract"]})
    assert collected.json()["refund_amount"] == "KUDOS:5"
    denied(switch.http.post(f"/orders/{shop.order()['order_id']}/refund"), 409, 2531)


def test_other_instances(other_shop: Shop, switch: Switch) -> None:
    """The merchant is named in the query."""
    made = other_shop.order()
    denied(switch.http.post(f"/orders/{made['order_id']}/claim"), 404, 2005)
    assert switch.http.post(f"/orders/{made['order_id']}/claim?instance=other").status_code == 200
    bought = other_shop.bought(body=REFUNDABLE)
    assert switch.http.post(f"/orders/{bought['order_id']}/refund?instance=other").status_code == 200
    assert other_shop.status(bought["order_id"])["refund_amount"] == "KUDOS:5"


def test_a_chosen_port(processes: Any) -> None:
    """--control-port is enough to have it, and a taken port is a clear error."""
    first = processes("--port", "0", "--control")
    port = first.control.rpartition(":")[2].strip("/")
    failed = processes("--port", "0", "--control-port", port, wait=False)
    assert f"port {port}" in failed.process.communicate(timeout=10)[1]
    assert failed.process.returncode == 1
    first.stop()
    again = processes("--port", "0", "--control-port", port)
    assert again.url
    assert httpx.get(first.control, trust_env=False, verify=TLS).json()["waiting"] == 0
