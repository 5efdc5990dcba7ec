"""Facts 21 to 35 of the merchant API: claims, long polls, refunds, retries, instances.

What needs an exchange cannot be shown, because there is none:

| fact | what is missing | what is shown instead |
| --- | --- | --- |
| 27 | the exchange that has wired the money and refuses the refund | the sandbox says what it would say |
| 28 | the exchange that credits the wallet | the wallet gets a refund signed by a play exchange |
| 34 | GET config before any instance exists: there is always the default instance | GET config without a token |
| 35 | deposits that an exchange drops | fact 30: a payment that fails within the backend |
"""

from __future__ import annotations

import threading
import time

import httpx
import pytest

from taler_paywall import crockford
from taler_paywall.sandbox.wallet.wallet import WalletError

from .era import OTHER, Era, Reader
from .shop import REFUNDABLE, TOKEN, Shop, coin, fresh_nonce, fresh_url, pay_uri, until_waiting
from .traffic import answered, empty, refused

HOUR = 3600


def test_fact_21_a_claim_is_seen(era: Era) -> None:
    """An order is unpaid until a wallet claims it, then it is claimed."""
    made = era.shop.order()
    answered(era.shop.ask(made["order_id"]), 200, order_status="unpaid", taler_pay_uri=str)
    claimed = era.shop.claim(made)
    terms = claimed["contract_terms"]
    answered(era.shop.ask(made["order_id"]), 200, order_status="claimed", contract_terms=terms)


def test_fact_22_an_order_belongs_to_one_wallet(era: Era, reader: Reader) -> None:
    """A second wallet cannot claim an order, neither before its payment nor after it."""
    made = era.shop.order()
    second = {"nonce": fresh_nonce(), "token": made["token"]}
    era.shop.claim(made)
    refused(era.shop.post(made["order_id"], "claim", second), 409, 2301)
    with pytest.raises(WalletError, match="another wallet"):
        reader.do("pay", pay_uri(era.shop, made))
    answered(era.shop.post(made["order_id"], "pay", {"coins": [coin()]}), 200, sig=str)
    refused(era.shop.post(made["order_id"], "claim", second), 409, 2301)


def test_fact_23_polls_wait_for_the_payment(era: Era) -> None:
    """A long poll answers 402 when its time is over, and 200 as soon as the order is paid."""
    made = era.shop.order(body={"create_token": False})
    order_id = made["order_id"]
    started = time.monotonic()
    answered(era.shop.public(order_id, timeout_ms=500), 402, taler_pay_uri=str)
    h_contract = era.shop.claim(made)["h_contract"]
    answered(era.shop.public(order_id, timeout_ms=500, h_contract=h_contract), 402, taler_pay_uri=str)
    assert time.monotonic() - started >= 1
    found: list[httpx.Response] = []

    def poll() -> None:
        own = Shop(era.shop.url)
        found.append(own.public(order_id, timeout_ms=60_000, h_contract=h_contract))
        own.http.close()

    waiting = threading.Thread(target=poll)
    waiting.start()
    until_waiting(era.control, 1)
    answered(era.shop.post(order_id, "pay", {"coins": [coin()]}), 200, sig=str)
    waiting.join(timeout=15)
    answered(found[0], 200, refunded=False)


@pytest.mark.parametrize("goods", [{}, {"fulfillment_url": None, "fulfillment_message": "Thank you"}])
def test_fact_24_a_refund_is_seen_by_the_buyer_only(era: Era, goods: dict[str, str | None]) -> None:
    """A full refund is told to the merchant and to whoever knows the contract, and to nobody else."""
    bought = era.shop.bought("", body=REFUNDABLE, **goods)
    order_id, h_contract = bought["order_id"], bought["h_contract"]
    answered(era.shop.refund(order_id, "KUDOS:5"), 200, taler_refund_uri=str, h_contract=h_contract)
    paid = answered(era.shop.ask(order_id), 200, order_status="paid", refunded=True, refund_amount="KUDOS:5")
    assert {"exchange_ec", "exchange_hc"} <= paid.keys()
    assert ({"exchange_code", "exchange_http_status", "last_payment"} <= paid.keys()) is not era.form.is_old
    answered(era.shop.public(order_id, h_contract=h_contract), 200, refund_amount="KUDOS:5", refund_pending=True)
    refused(era.shop.public(order_id), 403, 2105)


def test_fact_25_refunds_are_totals(era: Era) -> None:
    """Refunds of 2.5, 5 and 10 of 10 make 10 in the end."""
    bought = era.shop.bought(body=REFUNDABLE, amount="KUDOS:10")
    for refund in ("KUDOS:2.5", "KUDOS:5", "KUDOS:10"):
        answered(era.shop.refund(bought["order_id"], refund), 200, taler_refund_uri=str)
        answered(era.shop.ask(bought["order_id"]), 200, refund_amount=refund, order_status="paid")


def test_fact_26_announced_refunds_are_picked_up_without_being_asked(era: Era) -> None:
    """A wallet that polls for the announced refund sees it as soon as it is granted, and picks it up."""
    bought = era.shop.bought("", body=REFUNDABLE, auto_refund={"d_us": 3_000_000})
    order_id, h_contract = bought["order_id"], bought["h_contract"]
    assert bought["contract_terms"]["auto_refund"]["d_us"] == 3_000_000
    poll = {"h_contract": h_contract, "timeout_ms": 1000, "await_refund_obtained": "yes"}
    answered(era.shop.public(order_id, **poll), 200, refund_pending=False)
    answered(era.shop.refund(order_id, "KUDOS:1"), 200, taler_refund_uri=str)
    answered(era.shop.public(order_id, **poll), 200, refund_pending=True, refund_taken="KUDOS:0")
    answered(era.shop.post(order_id, "refund", {"h_contract": h_contract}), 200, refund_amount="KUDOS:1")
    answered(era.shop.public(order_id, **poll), 200, refund_pending=False, refund_taken="KUDOS:1")


def test_fact_27_late_refunds(era: Era) -> None:
    """Once the money is wired, a refund is refused today; older backends granted it, and the exchange refused it."""
    now = int(time.time())
    bought = era.shop.bought(body={"refund_delay": {"d_us": 60_000_000}}, wire_transfer_deadline={"t_s": now + 120})
    era.switch(f"clock?shift={HOUR}")
    try:
        answer = era.shop.refund(bought["order_id"], "KUDOS:1")
        picked_up = era.shop.post(bought["order_id"], "refund", {"h_contract": bought["h_contract"]})
    finally:
        era.switch("clock?shift=0")
    if not era.form.is_old:
        refused(answer, 410, 2539)
        return
    answered(answer, 200, taler_refund_uri=str)
    (gone,) = answered(picked_up, 200, refund_amount="KUDOS:1", refunds=list)["refunds"]
    assert (gone["type"], gone["exchange_status"], gone["refund_amount"]) == ("failure", 410, "KUDOS:1")


def test_fact_28_refunds_are_picked_up(era: Era, reader: Reader) -> None:
    """A wallet collects a refund by its URI, once."""
    made = era.shop.order(body=REFUNDABLE)
    assert reader.do("pay", pay_uri(era.shop, made)).how == "paid"
    granted = answered(era.shop.refund(made["order_id"], "KUDOS:2"), 200, taler_refund_uri=str)
    answered(era.shop.ask(made["order_id"]), 200, refund_pending=True, refund_amount="KUDOS:2")
    assert reader.do("collect", granted["taler_refund_uri"]).how == "collected"
    answered(era.shop.ask(made["order_id"]), 200, refund_pending=False, refund_amount="KUDOS:2")


def test_fact_28_there_may_be_nothing_to_pick_up(era: Era) -> None:
    """Without a refund the wallet is told so, and a wrong contract gets nothing."""
    bought = era.shop.bought(body=REFUNDABLE)
    empty(era.shop.post(bought["order_id"], "refund", {"h_contract": bought["h_contract"]}), 204)


def test_fact_29_payments_are_idempotent(era: Era) -> None:
    """Claimed twice and paid twice it is the same contract and one payment."""
    made, nonce, coins = era.shop.order(), fresh_nonce(), [coin()]
    first = era.shop.claim(made, nonce)
    assert era.shop.claim(made, nonce) == first
    payments = [era.shop.post(made["order_id"], "pay", {"coins": coins, "session_id": "one"}) for _ in range(2)]
    signatures = [answered(payment, 200, sig=str)["sig"] for payment in payments]
    assert signatures[0] == signatures[1]
    assert era.shop.claim(made, nonce)["contract_terms"] == first["contract_terms"]
    answered(era.shop.ask(made["order_id"], session_id="one"), 200, order_status="paid", refund_amount="KUDOS:0")


def test_fact_30_a_wallet_tries_again(era: Era, reader: Reader) -> None:
    """A payment that fails once within the backend is repeated by the wallet, and the order is paid."""
    made = era.shop.order()
    era.switch("fault/error-json?times=1&only=/pay")
    assert reader.do("pay", pay_uri(era.shop, made)).how == "paid"
    assert reader.posted() == ["claim", "pay", "pay"]
    answered(era.shop.public(made["order_id"], token=made["token"]), 200, refunded=False)


def test_fact_31_nothing_can_be_paid_with_nothing(era: Era, reader: Reader) -> None:
    """An order that costs nothing is paid without coins, by a wallet too."""
    made, other = era.shop.order(amount="KUDOS:0"), era.shop.order(amount="KUDOS:0")
    era.shop.claim(made)
    answered(era.shop.post(made["order_id"], "pay", {"coins": []}), 200, sig=str)
    answered(era.shop.ask(made["order_id"]), 200, order_status="paid", refund_amount="KUDOS:0")
    assert reader.do("pay", pay_uri(era.shop, other)).how == "paid"


def test_fact_32_forgettable_members(era: Era, reader: Reader) -> None:
    """Orders with forgettable members can be paid, and a salt that was asked for is a real one."""
    extra = {"given": 1, "wanted": "x", "$forgettable": {"given": "SALT", "wanted": True}}
    made = era.shop.order(extra=extra)
    outcome = reader.do("pay", pay_uri(era.shop, made))
    assert outcome.how == "paid"
    assert outcome.contract_terms
    salts = outcome.contract_terms["extra"]["$forgettable"]
    assert salts["given"] == "SALT"
    assert len(crockford.decode(salts["wanted"])) == 32


def test_fact_33_one_proof_and_no_payment(era: Era, reader: Reader) -> None:
    """A new session and the same fulfillment URL make a wallet prove once, and pay never."""
    url = fresh_url()
    orders = [era.shop.order(fulfillment_url=url) for _ in range(2)]
    assert reader.do("pay", pay_uri(era.shop, orders[0], "one")).how == "paid"
    reader.posted()
    assert reader.do("pay", pay_uri(era.shop, orders[1], "two")).how == "proved"
    posted = reader.posted()
    assert (posted.count("paid"), posted.count("pay")) == (1, 0)


def test_fact_34_instances_and_their_tokens(era: Era) -> None:
    """GET config needs no token, wrong tokens are refused, blanks before the token are not, and no answer shows one."""
    name, token = OTHER
    for prefix, own, foreign in (("", TOKEN, token), (f"instances/{name}/", token, TOKEN)):
        shop = Shop(era.shop.url, prefix, own)
        config = answered(shop.http.get("config"), 200, name="taler-merchant", currency="KUDOS", version=str)
        assert era.form.config in (None, set(config))
        made = shop.order()
        shop.owner = {"Authorization": f"Bearer {foreign}"}
        refused(shop.ask(made["order_id"]), 401, era.form.unauthorized)
        shop.owner = {"Authorization": f"Bearer    {own}"}
        answer = shop.ask(made["order_id"])
        answered(answer, 200, order_status="unpaid", taler_pay_uri=str)
        assert "secret-token" not in answer.text + shop.http.get("config").text
        shop.http.close()
    refused(era.shop.http.get("instances/none/config"), 404, 2000)


def test_fact_35_a_payment_may_be_tried_until_it_works(era: Era) -> None:
    """After several failures the same coins still pay the order, once."""
    bought, made = {"coins": [coin()]}, era.shop.order()
    era.shop.claim(made)
    era.switch("fault/error-json?times=3&only=/pay")
    statuses = [era.shop.post(made["order_id"], "pay", bought).status_code for _ in range(5)]
    assert statuses == [500, 500, 500, 200, 200]
    answered(era.shop.ask(made["order_id"]), 200, order_status="paid", refund_amount="KUDOS:0")
