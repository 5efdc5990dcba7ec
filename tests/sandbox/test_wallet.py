"""The play wallet against a real sandbox: pay, prove, resume, choose."""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from taler_paywall.sandbox.wallet.wallet import WalletError

from .shop import REFUNDABLE, Shop, fresh_url, pay_uri
from .wallets import Passage, PurseFile, Troubled, broken, failing


def test_pay_by_pay_uri(shop: Shop, purse: PurseFile) -> None:
    """A pay URI is claimed and paid under its session, and the purse is for its owner only."""
    url = fresh_url()
    made = shop.order(fulfillment_url=url)
    outcome = purse.pay(pay_uri(shop, made, "one"))
    assert (outcome.how, outcome.fulfillment_url) == ("paid", url)
    assert shop.status(made["order_id"], session_id="one")["order_status"] == "paid"
    assert stat.S_IMODE(purse.path.stat().st_mode) == 0o600


def test_pay_by_status_url(shop: Shop, purse: PurseFile, other_purse: PurseFile) -> None:
    """An order status URL leads to the pay URI; when it is paid there is nothing to do."""
    made = shop.order()
    status_url = shop.status(made["order_id"], session_id="one")["order_status_url"]
    assert purse.pay(status_url).how == "paid"
    assert other_purse.pay(status_url).how == "already paid"


def test_the_same_order_again_is_proved(shop: Shop, purse: PurseFile) -> None:
    """The session of the new URI is the one that counts then (fact 6)."""
    made = shop.order()
    assert purse.pay(pay_uri(shop, made, "one")).how == "paid"
    assert purse.pay(pay_uri(shop, made, "two")).how == "proved"
    assert shop.status(made["order_id"], session_id="two")["order_status"] == "paid"
    assert shop.status(made["order_id"], session_id="one")["order_status"] == "claimed"


def test_the_same_thing_again_is_proved_instead_of_paid(shop: Shop, purse: PurseFile) -> None:
    """A new order with a known fulfillment URL moves the old purchase to the new session (facts 8 to 10, 33)."""
    url = fresh_url()
    first, second = shop.order(fulfillment_url=url), shop.order(fulfillment_url=url)
    assert purse.pay(pay_uri(shop, first, "one")).how == "paid"
    outcome = purse.pay(pay_uri(shop, second, "three"))
    assert (outcome.how, outcome.fulfillment_url) == ("proved", url)
    assert shop.status(first["order_id"], session_id="three")["order_status"] == "paid"
    assert shop.status(first["order_id"], session_id="four")["order_status"] == "claimed"
    assert shop.status(second["order_id"])["order_status"] == "claimed"
    status = shop.public(second["order_id"], token=second["token"], session_id="three")
    assert (status.status_code, status.json()["already_paid_order_id"]) == (402, first["order_id"])


def test_refunded_and_bought_again_under_another_url(shop: Shop, purse: PurseFile) -> None:
    """A wallet that goes by the fulfillment URL pays again when the storefront marks the later order."""
    url = fresh_url()
    first = shop.order(fulfillment_url=url, body=REFUNDABLE)
    assert purse.pay(pay_uri(shop, first, "one")).how == "paid"
    refund = shop.refund(first["order_id"], "KUDOS:5").json()
    assert purse.collect(refund["taler_refund_uri"]).how == "collected"
    second = shop.order(fulfillment_url=f"{url}?again=1")
    assert purse.pay(pay_uri(shop, second, "one")).how == "paid"
    third = shop.order(fulfillment_url=f"{url}?again=1")
    assert purse.pay(pay_uri(shop, third, "two")).how == "proved"
    assert shop.status(second["order_id"], session_id="two")["order_status"] == "paid"


def test_only_web_addresses_tell_that_a_thing_was_bought(shop: Shop, purse: PurseFile) -> None:
    """Other fulfillment URLs, and orders without one, are paid each time."""
    for _ in range(2):
        made = shop.order(fulfillment_url="taler://fulfillment-success/Thanks")
        assert purse.pay(pay_uri(shop, made)).how == "paid"


def test_a_refused_proof_is_forgotten_and_paid(purse: PurseFile, processes: Any) -> None:
    """A merchant that lost its orders or its key is paid once more, under the same order id too."""
    first = processes("--port", "0")
    shop, url = Shop(first.url), fresh_url()
    made = shop.order(order_id="A", fulfillment_url=url)
    assert purse.pay(pay_uri(shop, made)).how == "paid"
    shop.http.close()
    first.kill()
    again = processes("--port", str(first.port))
    shop = Shop(again.url)
    for order_id in ("A", "B"):
        made = shop.order(order_id=order_id, fulfillment_url=url)
        assert purse.pay(pay_uri(shop, made)).how == ("paid" if order_id == "A" else "proved")
    shop.http.close()


@pytest.mark.parametrize("trouble", [failing(403), failing(404), failing(503), broken])
def test_a_proof_that_fails_for_another_reason_costs_nothing(
    shop: Shop, purse: PurseFile, trouble: Callable[[], httpx.Response]
) -> None:
    """Only a merchant that says that the receipt is worthless gets paid again."""
    url = fresh_url()
    assert purse.pay(pay_uri(shop, shop.order(fulfillment_url=url), "one")).how == "paid"
    again = pay_uri(shop, shop.order(fulfillment_url=url), "two")
    passage = Troubled("paid", 9, trouble)
    with pytest.raises(WalletError, match=r"proof of payment was refused|cannot be reached"):
        purse.through(passage).pay(again)
    assert passage.count("pay") == 0
    assert purse.pay(again).how == "proved"


def test_a_claim_is_resumed(shop: Shop, purse: PurseFile) -> None:
    """A claimed order can be claimed again and paid later by the same wallet (fact 29)."""
    made = shop.order()
    uri = pay_uri(shop, made, "one")
    first, second = purse.claim(uri), purse.claim(uri)
    assert first == second
    assert first.how == "claimed"
    assert shop.status(made["order_id"])["order_status"] == "claimed"
    assert purse.pay(uri).how == "paid"


def test_a_claim_is_resumed_with_the_nonce_of_the_uri(shop: Shop, purse: PurseFile, other_purse: PurseFile) -> None:
    """A pay URI that carries the private nonce hands a claim over to another wallet."""
    made = shop.order()
    nonce = "9TM70AKDTS57AWY9JK2J4TMBTMW6K62WHHGZWYDG0VM5ABPZKD40"
    uri = f"{pay_uri(shop, made)}&n={nonce}"
    assert purse.claim(uri).how == "claimed"
    assert other_purse.pay(uri).how == "paid"


def test_an_order_of_another_wallet_is_refused(shop: Shop, purse: PurseFile, other_purse: PurseFile) -> None:
    """The second wallet hears why it cannot pay (fact 22)."""
    made = shop.order()
    purse.claim(pay_uri(shop, made))
    with pytest.raises(WalletError, match="another wallet has claimed"):
        other_purse.pay(pay_uri(shop, made))


def test_the_same_address_at_another_merchant_is_another_thing(shop: Shop, purse: PurseFile, processes: Any) -> None:
    """A receipt opens nothing at a merchant that did not sign it, so the wallet pays."""
    url = fresh_url()
    assert purse.pay(pay_uri(shop, shop.order(fulfillment_url=url), "one")).how == "paid"
    second = Shop(processes("--port", "0").url)
    assert purse.pay(pay_uri(second, second.order(fulfillment_url=url), "two")).how == "paid"
    second.http.close()


def test_a_repurchase_costs_one_proof_and_no_payment(shop: Shop, purse: PurseFile) -> None:
    """A new order for what is owned is claimed, and only the earlier one is proved (facts 8 and 33)."""
    url, passage = fresh_url(), Passage()
    purse.pay(pay_uri(shop, shop.order(fulfillment_url=url), "one"))
    outcome = purse.through(passage).pay(pay_uri(shop, shop.order(fulfillment_url=url), "two"))
    assert (outcome.how, outcome.purchase and outcome.purchase.session_id) == ("proved", "two")
    assert [passage.count(action) for action in ("claim", "paid", "pay")] == [1, 1, 0]


@pytest.mark.parametrize("generation", ["2022", "2021"])
def test_older_backends(purse: PurseFile, processes: Any, generation: str) -> None:
    """A wallet of today buys, proves and gets money back at backends of earlier years, too."""
    shop = Shop(processes("--port", "0", "--generation", generation).url)
    refundable = REFUNDABLE if generation == "2022" else {"refund_delay": {"d_ms": 300_000}}
    url = fresh_url()
    made = shop.order(fulfillment_url=url, body=refundable)
    assert purse.pay(pay_uri(shop, made, "one")).how == "paid"
    assert purse.pay(pay_uri(shop, shop.order(fulfillment_url=url), "two")).how == "proved"
    assert purse.collect(shop.refund(made["order_id"], "KUDOS:5").json()["taler_refund_uri"]).how == "collected"
    shop.http.close()


def test_choices(shop: Shop, purse: PurseFile) -> None:
    """Of a contract with choices the first is paid, or the one that is asked for."""
    choices: dict[str, Any] = {"version": 1, "amount": None, "choices": [{"amount": "KUDOS:2"}, {"amount": "KUDOS:3"}]}
    for choice, price in ((None, "KUDOS:2"), (1, "KUDOS:3"), (0, "KUDOS:2")):
        made = shop.order(**choices)
        outcome = purse.pay(pay_uri(shop, made), choice)
        assert outcome.purchase
        assert (outcome.how, str(outcome.purchase.amount)) == ("paid", price)
        assert shop.status(made["order_id"])["choice_index"] == (choice or 0)
    uri = pay_uri(shop, shop.order(**choices))
    with pytest.raises(WalletError, match="no choice 2, only 0 to 1"):
        purse.pay(uri, 2)
    with pytest.raises(WalletError, match="503"):
        purse.through(Troubled("pay", 9, failing(503))).pay(uri, 0)
    with pytest.raises(WalletError, match="begun with choice 0"):
        purse.pay(uri, 1)
    with pytest.raises(WalletError, match="no choices"):
        purse.pay(pay_uri(shop, shop.order()), 0)


def test_the_address_of_a_page_that_asks_for_a_payment(shop: Shop, purse: PurseFile) -> None:
    """A page that leads to an order, or names the pay URI in its header, can be paid by its own address."""
    one, two = shop.order(), shop.order()
    status_url = shop.status(one["order_id"], session_id="one")["order_status_url"]
    pages = {
        "/one": RedirectResponse(status_url),
        "/two": HTMLResponse("Pay!", 402, {"Taler": pay_uri(shop, two, "two")}),
        "/free": HTMLResponse("Welcome"),
        "/nothing": HTMLResponse("Pay!", 402),
        "/loop": RedirectResponse("/loop"),
        "/else": RedirectResponse("taler://pay/x/y/"),
        "/bad": RedirectResponse("http://[/"),
        "/others": JSONResponse({"public_reorder_url": "http://shop.example/"}, 202),
    }
    reader = purse.through(_site(pages))
    assert [reader.pay(f"http://site.example/{path}").how for path in ("one", "two", "one")] == [
        "paid",
        "paid",
        "already paid",
    ]
    for path, complaint in {
        "free": "nothing to pay",
        "nothing": "not a pay URI",
        "loop": "redirects",
        "else": "cannot be reached",
        "bad": "cannot be reached",
        "others": "is sold at http://shop.example/",
    }.items():
        with pytest.raises(WalletError, match=complaint):
            reader.pay(f"http://site.example/{path}")


def _site(pages: dict[str, Response]) -> Passage:
    """Serve some pages at site.example, and let all else through to the sandbox."""

    async def page(request: Request) -> Response:
        return pages[request.url.path]

    site = httpx.ASGITransport(Starlette(routes=[Route(path, page) for path in pages]))

    class Way(Passage):
        async def reach(self, request: httpx.Request) -> httpx.Response:
            at_site = request.url.host == "site.example"
            return await (site.handle_async_request(request) if at_site else super().reach(request))

    return Way()
