"""The play wallet gets its money back, and no more than that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from taler_paywall.sandbox.wallet.wallet import Outcome, WalletError

from .shop import REFUNDABLE, Shop, pay_uri
from .wallets import Liar, PurseFile, amounts

AUTO_REFUND = {"auto_refund": {"d_us": 120_000_000}}


def test_refunds_are_for_the_wallet_that_paid(shop: Shop, purse: PurseFile, other_purse: PurseFile) -> None:
    """Another wallet cannot collect, and without a refund nobody can."""
    made = shop.order(body=REFUNDABLE)
    purse.pay(pay_uri(shop, made))
    refund_uri = f"taler+http://refund/{shop.url[7:]}{made['order_id']}/"
    for one, reason in ((purse, "no refund"), (other_purse, "did not pay")):
        with pytest.raises(WalletError, match=reason):
            one.collect(refund_uri)
    with pytest.raises(WalletError, match="neither a taler://refund/ URI nor an order status URL"):
        purse.collect("x")


def test_refunds_are_collected_once(shop: Shop, purse: PurseFile) -> None:
    """Every refund counts once however often it is collected, by URI or order status URL (facts 25 and 28)."""
    made = shop.order(body=REFUNDABLE)
    purse.pay(pay_uri(shop, made, "one"))
    for total, left in (("KUDOS:1.5", "KUDOS:96.5"), ("KUDOS:5", "KUDOS:100")):
        uri = shop.refund(made["order_id"], total).json()["taler_refund_uri"]
        status_url = shop.status(made["order_id"])["order_status_url"]
        for url, how in ((uri, "collected"), (status_url, "nothing new"), (f"{status_url}#x", "nothing new")):
            outcome = purse.collect(url)
            assert outcome.purchase
            assert (outcome.how, str(outcome.purchase.refunded)) == (how, total)
            assert outcome.purchase.status == "refunded"
        assert amounts(purse.balances[0])[2:] == (total, left)
    assert shop.status(made["order_id"])["refund_pending"] is False


def test_refunds_of_a_payment_that_was_not_noted(shop: Shop, purse: PurseFile) -> None:
    """A wallet that was killed while it paid gets its money back all the same."""
    made = shop.order(body=REFUNDABLE)
    purse.pay(pay_uri(shop, made))
    purse.forget_payment(shop, made)
    assert purse.collect(shop.refund(made["order_id"], "KUDOS:5").json()["taler_refund_uri"]).how == "collected"
    assert amounts(purse.balances[0]) == ("KUDOS:100", "KUDOS:5", "KUDOS:5", "KUDOS:100")


def test_refunds_that_came_too_late_are_gone(shop: Shop, purse: PurseFile) -> None:
    """What the exchange does not pay any more is reported, and is no money (fact 27)."""
    made = shop.order(body=REFUNDABLE)
    purse.pay(pay_uri(shop, made))
    uri = shop.refund(made["order_id"], "KUDOS:2").json()["taler_refund_uri"]

    outcome = purse.through(Liar("refund", _failing_with(410))).collect(uri)
    assert outcome.purchase
    assert (outcome.how, str(outcome.purchase.gone), str(outcome.purchase.refunded)) == ("gone", "KUDOS:2", "KUDOS:0")
    assert outcome.purchase.status == "paid"
    assert amounts(purse.balances[0])[2:] == ("KUDOS:0", "KUDOS:95")


def _failing_with(status: int) -> Callable[[dict[str, Any]], None]:
    """Make a merchant say that the exchange does not pay its refunds."""

    def fail(answer: dict[str, Any]) -> None:
        for refund in answer["refunds"]:
            refund.update(type="failure", exchange_status=status)
            del refund["exchange_sig"], refund["exchange_pub"]

    return fail


@pytest.mark.parametrize(("status", "how"), [(410, "gone"), (404, "pending"), (502, "pending")])
def test_a_refund_that_failed_can_still_come(shop: Shop, purse: PurseFile, status: int, how: str) -> None:
    """Only 410 says that a refund came too late, and whatever was said, what comes later is collected."""
    made = shop.order(body=REFUNDABLE)
    purse.pay(pay_uri(shop, made))
    uri = shop.refund(made["order_id"], "KUDOS:2").json()["taler_refund_uri"]
    failed = purse.through(Liar("refund", _failing_with(status))).collect(uri)
    assert failed.purchase
    assert (failed.how, str(getattr(failed.purchase, how))) == (how, "KUDOS:2")
    came = purse.collect(uri)
    assert came.purchase
    assert (came.how, str(came.purchase.refunded), str(getattr(came.purchase, how))) == (
        *("collected", "KUDOS:2", "KUDOS:0"),
    )
    # What was collected stays so.
    assert purse.through(Liar("refund", _failing_with(status))).collect(uri).purchase == came.purchase
    assert amounts(purse.balances[0])[2:] == ("KUDOS:2", "KUDOS:97")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda answer: answer.update(merchant_pub="0" * 52), "another merchant"),
        (lambda answer: answer.update(refunds=None), "malformed"),
        (lambda answer: answer.update(refunds=[]), "malformed"),
        (lambda answer: answer.update(refunds=[5]), "malformed"),
        (lambda answer: answer["refunds"][0].update(coin_pub="0" * 52), "another wallet's coin"),
        (lambda answer: answer["refunds"][0].update(refund_amount="KUDOS:5.1"), "more than was paid"),
        (lambda answer: answer["refunds"][0].update(refund_amount="EUR:1"), "another currency"),
        (lambda answer: answer["refunds"][0].update(refund_amount=1), "malformed"),
        (lambda answer: answer["refunds"][0].update(rtransaction_id=-1), "malformed"),
        (lambda answer: answer["refunds"][0].update(rtransaction_id=True), "malformed"),
        (lambda answer: answer["refunds"][0].update(exchange_status=410), "malformed"),
        (lambda answer: answer["refunds"][0].update(type="maybe"), "malformed"),
        (lambda answer: answer["refunds"][0].update(exchange_sig="x"), "malformed"),
        (lambda answer: answer["refunds"].append({**answer["refunds"][0], "rtransaction_id": 2**50}), "more than was"),
    ],
)
def test_spoiled_refunds_are_refused(
    shop: Shop, purse: PurseFile, spoil: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    """A merchant cannot give back what was not paid, nor to another coin."""
    made = shop.order(body=REFUNDABLE)
    purse.pay(pay_uri(shop, made))
    uri = shop.refund(made["order_id"], "KUDOS:3").json()["taler_refund_uri"]
    with pytest.raises(WalletError, match=complaint):
        purse.through(Liar("refund", spoil)).collect(uri)
    assert amounts(purse.balances[0])[2:] == ("KUDOS:0", "KUDOS:95")


def test_an_announced_refund_is_collected_by_itself(shop: Shop, purse: PurseFile) -> None:
    """A wallet that has paid a contract with auto_refund waits for the refund and collects it (fact 26)."""
    made = shop.order(body=REFUNDABLE, **AUTO_REFUND)
    paid = purse.pay(pay_uri(shop, made, "one"))
    found: list[Outcome | None] = []
    waiting = threading.Thread(target=lambda: found.append(purse.await_refund(paid)))
    waiting.start()
    time.sleep(0.5)
    assert not found
    shop.refund(made["order_id"], "KUDOS:5")
    waiting.join(timeout=30)
    assert [one and one.how for one in found] == ["collected"]
    assert shop.status(made["order_id"])["refund_pending"] is False


def test_no_refund_is_awaited_in_vain(shop: Shop, purse: PurseFile) -> None:
    """Where none is announced, or its time is over, the wallet does not wait."""
    plain = purse.pay(pay_uri(shop, shop.order()))
    assert purse.await_refund(plain) is None
    announced = purse.pay(pay_uri(shop, shop.order(**AUTO_REFUND)))
    assert PurseFile(purse.path, later=121).await_refund(announced) is None
