"""The play wallet against a real sandbox: pay, prove, resume, refuse."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from taler_paywall.sandbox.purse import open_purse
from taler_paywall.sandbox.wallet import Outcome, Wallet, WalletError, http_client

from .shop import REFUNDABLE, Shop, fresh_url, pay_uri


class PurseFile:
    """A wallet with a file of its own, opened anew for every action, as the commands do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pay(self, url: str) -> Outcome:
        return self._use(lambda wallet: wallet.pay(url))

    def claim(self, url: str) -> Outcome:
        return self._use(lambda wallet: wallet.claim(url))

    def collect(self, url: str) -> Outcome:
        return self._use(lambda wallet: wallet.collect(url))

    def _use(self, action: Callable[[Wallet], Any]) -> Outcome:
        opened, connection = open_purse(self.path)

        async def run() -> Outcome:
            async with http_client() as client:
                outcome: Outcome = await action(Wallet(opened, client))
                return outcome

        with closing(connection):
            return asyncio.run(run())


@pytest.fixture
def purse(tmp_path: Path) -> PurseFile:
    return PurseFile(tmp_path / "deep" / "wallet.sqlite")


@pytest.fixture
def other_purse(tmp_path: Path) -> PurseFile:
    return PurseFile(tmp_path / "other.sqlite")


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


def test_a_lost_answer_does_no_harm(shop: Shop, purse: PurseFile) -> None:
    """A payment whose answer was lost is repeated with the same coins (fact 30)."""
    made = shop.order()
    uri = pay_uri(shop, made, "one")
    assert purse.pay(uri).how == "paid"
    opened, connection = open_purse(purse.path)
    with closing(connection):
        known = opened.find(shop.url, made["order_id"])
        assert known
        opened.forget_payment(known)
    assert purse.pay(uri).how == "paid"


def test_what_cannot_be_paid_is_refused_with_a_reason(shop: Shop, purse: PurseFile) -> None:
    """Everything that goes wrong is a WalletError."""
    made = shop.order()
    reorder = shop.order(public_reorder_url="http://shop.example/")
    for url in (
        "nonsense",
        "taler://refund/x/y/",
        "http://127.0.0.1:1/",
        "http://[/",
        "http://127.0.0.1:1\x00/",
        f"{shop.url}config",
        f"{shop.url}orders/none",
        f"{shop.url}orders/{reorder['order_id']}",
        f"{shop.url}sandbox/static/style.css",
        pay_uri(shop, {**made, "token": "0" * 26}),
        f"{pay_uri(shop, made)}&n=x",
    ):
        with pytest.raises(WalletError):
            purse.pay(url)


def test_refunds_are_for_the_wallet_that_paid(shop: Shop, purse: PurseFile, other_purse: PurseFile) -> None:
    """Another wallet cannot collect, and without a refund nobody can."""
    made = shop.order(body=REFUNDABLE)
    purse.pay(pay_uri(shop, made))
    refund_uri = f"taler+http://refund/{shop.url[7:]}{made['order_id']}/"
    for one, reason in ((purse, "no refund"), (other_purse, "did not pay")):
        with pytest.raises(WalletError, match=reason):
            one.collect(refund_uri)
    with pytest.raises(WalletError, match="not a refund URI"):
        purse.collect("x")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda claimed: claimed["contract_terms"].update(amount="KUDOS:0.01"), "signature is wrong"),
        (lambda claimed: claimed["contract_terms"].update(merchant_base_url="http://x/"), "another merchant"),
        (lambda claimed: claimed["contract_terms"].update(nonce="0" * 52), "another wallet"),
        (lambda claimed: claimed["contract_terms"].update(extra={"x": 0.5}), "malformed"),
        (lambda claimed: claimed["contract_terms"].update(merchant_pub=5), "malformed"),
        (lambda claimed: claimed.update(sig="0" * 103), "signature is wrong"),
        (lambda claimed: claimed.pop("sig"), "malformed"),
        (lambda claimed: claimed.pop("contract_terms"), "no contract"),
    ],
)
def test_spoiled_contracts_are_refused(
    shop: Shop, tmp_path: Path, spoil: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    """The wallet believes nothing that the merchant has not signed for it."""
    made = shop.order()
    with pytest.raises(WalletError, match=complaint):
        asyncio.run(_pay_through(_spoiler(shop, "claim", spoil), pay_uri(shop, made), tmp_path))


def test_a_spoiled_receipt_is_refused(shop: Shop, tmp_path: Path) -> None:
    """A payment counts only with the merchant's genuine signature."""
    made = shop.order()
    spoiler = _spoiler(shop, "pay", lambda answer: answer.update(sig="0" * 103))
    with pytest.raises(WalletError, match="signature is wrong"):
        asyncio.run(_pay_through(spoiler, pay_uri(shop, made), tmp_path))


def _spoiler(shop: Shop, action: str, spoil: Callable[[dict[str, Any]], None]) -> Starlette:
    """Stand between wallet and sandbox, and change one answer."""

    async def forward(request: Request) -> JSONResponse:
        async with http_client() as client:
            url = shop.url.rstrip("/") + request.url.path
            answer = await client.request(request.method, url, content=await request.body())
        body = answer.json()
        if request.url.path.endswith(f"/{action}"):
            spoil(body)
        return JSONResponse(body, answer.status_code)

    return Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST"])])


async def _pay_through(app: Starlette, uri: str, tmp_path: Path) -> Outcome:
    purse, connection = open_purse(tmp_path / "wallet.sqlite")
    with closing(connection):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await Wallet(purse, client).pay(uri)
