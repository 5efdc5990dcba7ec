"""`orders` lists what was bought, and gives money back; what it refunds closes the page."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from taler_paywall import Paywall
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.operator import orders as listing
from taler_paywall.operator.target import load
from taler_paywall.testing.client import OpenClient, PaywalledClient
from taler_paywall.testing.sandbox import TalerSandbox

from .conftest import Desk
from .relay import Relay
from .sites import ROUTES

RULES = """
[[rules]]
pattern = "/articles/{slug}/*"
price = "KUDOS:0.5"
summary = "Article {slug}"

[[rules]]
pattern = "POST /translate"
price = "KUDOS:0.1"
page = "/prices"
summary = "A translation"
"""
Write = Callable[..., str]
ListOrders = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def file(write: Write, taler_sandbox: TalerSandbox) -> str:
    return write(RULES, public_url=taler_sandbox.options["public_url"], recheck_after=0)


@pytest.fixture
def site(file: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> PaywallMiddleware:
    """The site that the file describes."""
    for name, value in desk.settings.items():
        monkeypatch.setenv(name, value)
    return Paywall.from_file(file).asgi(Starlette(routes=ROUTES))


@pytest.fixture
def reader(site: PaywallMiddleware, paywalled_client: OpenClient) -> PaywalledClient:
    return paywalled_client(site)


@pytest.fixture
def program(site: PaywallMiddleware, paywalled_client: OpenClient) -> PaywalledClient:
    return paywalled_client(site, browser=False)


@pytest.fixture
def orders(desk: Desk, file: str) -> ListOrders:
    def list_orders(*options: str) -> list[dict[str, Any]]:
        done = desk.run("orders", "--config", file, *options, "--json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    return list_orders


def test_orders_are_listed(
    reader: PaywalledClient, program: PaywalledClient, orders: ListOrders, desk: Desk, file: str
) -> None:
    """The newest come first; they are found by how they stand, by rule, by resource and by time."""
    began = int(time.time())
    reader.buy("/articles/bees")
    reader.get("/articles/wasps")
    program.buy("/translate", method="POST")
    found = orders("--limit", "3")
    assert [each["summary"] for each in found] == ["A translation", "Article wasps", "Article bees"]
    assert [each["state"] for each in found] == ["paid", "unpaid", "paid"]
    assert [each["amount"] for each in found] == ["KUDOS:0.1", "KUDOS:0.5", "KUDOS:0.5"]
    assert all(began <= datetime.fromisoformat(each["time"]).timestamp() <= time.time() for each in found)

    def ids(*options: str) -> list[str]:
        return [each["order_id"] for each in orders("--since", "5m", *options)][:3]

    translation, wasps, bees = (each["order_id"] for each in found)
    assert ids("--paid")[:2] == [translation, bees]
    assert ids("--unpaid")[0] == wasps
    assert not {translation, wasps, bees} & {each["order_id"] for each in orders("--refunded", "--limit", "1000")}
    assert ids("--resource", "/articles/{slug}/*?slug=bees")[0] == bees
    assert ids("--rule", "1", "--limit", "2") == [wasps, bees]
    assert ids("--rule", "POST /translate", "--limit", "1") == [translation]
    [inside] = orders("--rule", "1", "--paid", "--limit", "1")
    assert inside["resource"] == "/articles/{slug}/*?slug=bees"
    assert orders("--since", "2099-01-01") == []
    line = desk.run("orders", "--config", file, "--limit", "1").stdout
    assert re.fullmatch(rf"20\S+Z  {translation}  KUDOS:0.1  paid  A translation\n", line)
    for wrong in (("--rule", "9"), ("--since", "yesterday"), ("--limit", "0")):
        assert desk.run("orders", "--config", file, *wrong).returncode == 2


def test_long_lists_come_in_pages(
    reader: PaywalledClient, orders: ListOrders, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many orders the backend tells at once, each is listed once, and the list ends."""
    for slug in "abcde":
        reader.get(f"/articles/{slug}")
    monkeypatch.setattr(listing, "PAGE", 2)
    all_orders = [each.entry.order_id for each in listing.listed(load(file), listing.Wanted())]
    assert len(all_orders) == len(set(all_orders)) >= 5
    assert all_orders[:5] == [each["order_id"] for each in orders("--limit", "5")]


def test_refunds(
    reader: PaywalledClient,
    taler_sandbox: TalerSandbox,
    orders: ListOrders,
    desk: Desk,
    file: str,
) -> None:
    """Money goes back only after a yes; a part, then the rest; then there is nothing left to do."""
    reader.buy("/articles/bees")
    order_id = taler_sandbox.orders()[0]["order_id"]
    refund = ("orders", "--config", file, "refund", order_id)

    def refunded() -> str:
        return str(taler_sandbox.order_status(order_id)["refund_amount"])

    done = desk.run(*refund, answer="n\n")
    assert (done.returncode, refunded()) == (1, "KUDOS:0")
    assert done.stdout.startswith(f"Refund KUDOS:0.5 of KUDOS:0.5 for order {order_id} (KUDOS:0 were refunded before)?")
    assert reader.get("/articles/bees").status_code == 200
    done = desk.run(*refund, "--amount", "KUDOS:0.2", "--reason", "half of it is missing", answer="y\n")
    assert (done.returncode, refunded()) == (0, "KUDOS:0.2")
    assert taler_sandbox.order_status(order_id)["refund_details"][0]["reason"] == "half of it is missing"
    assert reader.get("/articles/bees").status_code == 402
    done = desk.run(*refund, "--yes")
    assert (done.returncode, refunded()) == (0, "KUDOS:0.5")
    assert re.fullmatch(
        r"refunded KUDOS:0.5 of KUDOS:0.5; the reader's wallet collects it at taler\S+refund/\S+\n", done.stdout
    )
    done = desk.run(*refund)
    assert (done.returncode, done.stdout) == (
        0,
        "KUDOS:0.5 of KUDOS:0.5 were refunded already: there is nothing left to do\n",
    )
    [listed] = orders("--refunded", "--limit", "1")
    assert (listed["order_id"], listed["state"], listed["refund_amount"]) == (order_id, "refunded", "KUDOS:0.5")
    assert f"{order_id}  KUDOS:0.5  refunded KUDOS:0.5" in desk.run("orders", "--config", file, "--limit", "1").stdout


def test_refunds_that_cannot_be(reader: PaywalledClient, taler_sandbox: TalerSandbox, desk: Desk, file: str) -> None:
    """Each says why, with status 1, before anything is asked or sent."""
    reader.get("/articles/wasps")
    reader.buy("/articles/bees")
    wasps, bees = (each["order_id"] for each in taler_sandbox.orders())
    taler_sandbox.refund(bees, "KUDOS:0.2")
    for arguments, text in (
        ((wasps,), f"the order {wasps} is not paid"),
        (("nothing",), "the backend answered 404 with code 2005: it knows no such order"),
        ((bees, "--amount", ""), "the amount does not fit: "),
        ((bees, "--amount", "KUDOS:0"), "a refund of nothing is none"),
        ((bees, "--amount", "KUDOS:0.6"), "KUDOS:0.6 is more than the price, KUDOS:0.5"),
        ((bees, "--amount", "KUDOS:0.1"), "is less than what was refunded already (KUDOS:0.2): name the new total"),
        ((bees, "--amount", "EUR:0.3"), "the amount does not fit: amounts of different currencies"),
        ((bees, "--amount", "much"), "the amount does not fit: "),
    ):
        done = desk.run("orders", "--config", file, "refund", *arguments, "--yes")
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert text in done.stderr
    assert taler_sandbox.order_status(bees)["refund_amount"] == "KUDOS:0.2"


def test_a_refund_that_comes_too_late(
    reader: PaywalledClient, taler_sandbox: TalerSandbox, desk: Desk, file: str
) -> None:
    """It is the order that is too old, not the token that allows too little."""
    reader.buy("/articles/bees")
    [bees] = (each["order_id"] for each in taler_sandbox.orders())
    with taler_sandbox.clock_shift(timedelta(days=400)):
        done = desk.run("orders", "--config", file, "refund", bees, "--yes")
    assert done.returncode == 1
    assert "it is too late for that" in done.stderr


@pytest.mark.parametrize("options", [("--rule", ""), ("--resource", "")])
def test_an_empty_filter_is_not_everything(
    options: tuple[str, str], taler_sandbox: TalerSandbox, desk: Desk, file: str, reader: PaywalledClient
) -> None:
    reader.get("/articles/wasps")
    assert len(taler_sandbox.orders()) == 1
    done = desk.run("orders", "--config", file, *options)
    assert done.stdout == ""


def test_what_is_no_id_is_not_sent(desk: Desk, file: str) -> None:
    for order_id in (b"\xff", b"a/b", b".."):
        done = desk.run("orders", "--config", file, "refund", "--yes", os.fsdecode(order_id))
        assert done.returncode == 2
        assert "is the ID of an order" in done.stderr


def test_where_the_backend_does_not_answer(desk: Desk, write: Write) -> None:
    done = desk.run("orders", "--config", write(RULES, backend="http://127.0.0.1:1/"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "Error: http://127.0.0.1:1/ gives no answer that can be used (ConnectError); see that it "
    )


def test_where_the_backend_speaks_nonsense(desk: Desk, write: Write, taler_sandbox: TalerSandbox) -> None:
    """The backend is named, and none of our own names."""
    with Relay(taler_sandbox.url, private=b'{"orders": 5}') as relay:
        done = desk.run("orders", "--config", write(RULES, backend=relay.url))
    assert done.returncode == 1
    said = f"Error: {relay.url} gives no answer that can be used (the answer is not as the merchant API has it: "
    assert done.stderr.startswith(said)
    assert "_Orders" not in done.stderr


def test_texts_of_others_are_shown_in_one_line(desk: Desk, file: str, taler_sandbox: TalerSandbox) -> None:
    """An order of another program of the shop may have any summary; it writes nothing to the terminal but text."""
    order = {"summary": "\x1b[2Jone\ntwo", "amount": "KUDOS:1", "fulfillment_url": "http://shop.example/"}
    answer = httpx.post(
        f"{taler_sandbox.url}private/orders",
        json={"order": order},
        headers={"Authorization": f"Bearer {taler_sandbox.token}"},
        trust_env=False,
    )
    assert answer.status_code == 200
    lines = desk.run("orders", "--config", file, "--limit", "1").stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("unpaid   [2Jone two")


def test_paywalls_in_applications(desk: Desk) -> None:
    """The same commands take module:app."""
    done = desk.run("orders", "--app", "commands.sites:talkative()", "--limit", "1", "--json")
    assert done.returncode == 0
    assert isinstance(json.loads(done.stdout), list)
