"""Facts 1 to 10 of the merchant API: how a paywall, its reader and the reader's wallet get along."""

from __future__ import annotations

from typing import Any

from .era import Era, Reader
from .shop import fresh_url, pay_uri
from .traffic import answered


def test_fact_01_a_new_order_is_unpaid(era: Era) -> None:
    """A new order is unpaid in session one, no other purchase is named, and its status URL is told."""
    made = era.shop.order()
    found = answered(
        era.shop.ask(made["order_id"], session_id="one"),
        *(200,),
        order_status="unpaid",
        order_status_url=f"{era.shop.url}orders/{made['order_id']}?token={made['token']}&session_id=one",
        taler_pay_uri=pay_uri(era.shop, made, "one"),
        creation_time=dict,
    )
    assert not {"already_paid_order_id", "already_paid_fulfillment_url"} & found.keys()
    assert ("t_ms" in found["creation_time"]) is era.form.has_milliseconds
    assert ("proto_contract_terms" in found) is not era.form.is_old


def test_fact_02_the_status_url_says_how_to_pay(era: Era) -> None:
    """The status URL of an unpaid order answers 402 with the pay URI."""
    found = era.shop.status(era.shop.order()["order_id"], session_id="one")
    answered(
        era.shop.http.get(found["order_status_url"]), 402, taler_pay_uri=found["taler_pay_uri"], fulfillment_url=str
    )


def test_fact_03_a_claim_changes_nothing_there(era: Era, reader: Reader) -> None:
    """After a wallet has claimed the order, its token URL still answers 402."""
    url = era.shop.status(era.shop.order()["order_id"], session_id="one")["order_status_url"]
    assert reader.do("claim", url).how == "claimed"
    answered(era.shop.http.get(url), 402, taler_pay_uri=str)


def test_fact_04_a_payment_does(era: Era, reader: Reader) -> None:
    """After a wallet has paid for session one, the same URL answers 200."""
    found = era.shop.status(era.shop.order()["order_id"], session_id="one")
    assert reader.do("pay", found["taler_pay_uri"]).how == "paid"
    members = {"refunded": False, "refund_pending": False, "refund_amount": "KUDOS:0", "refund_taken": "KUDOS:0"}
    answered(era.shop.http.get(found["order_status_url"]), 200, fulfillment_url=str, **members)


def test_fact_05_another_session_has_not_paid(era: Era) -> None:
    """An order that is paid in session one is claimed in session two."""
    bought = era.shop.bought("one")
    found = answered(
        era.shop.ask(bought["order_id"], session_id="two"),
        *(200,),
        order_status="claimed",
        contract_terms=bought["contract_terms"],
    )
    later = set() if era.form.is_old else {"order_status_url"}
    assert found.keys() == {"order_status", "contract_terms"} | later


def test_fact_06_the_same_uri_costs_nothing_again(era: Era, reader: Reader) -> None:
    """A wallet that opens the URI of its own purchase again pays nothing."""
    uri = pay_uri(era.shop, era.shop.order(), "one")
    assert reader.do("pay", uri).how == "paid"
    assert reader.posted() == ["claim", "pay"]
    assert reader.do("pay", uri).how in ("proved", "already paid")
    assert "pay" not in reader.posted()


def test_fact_07_a_new_session_knows_no_purchase(era: Era) -> None:
    """An order for what another session has bought is unpaid, and that purchase is not named."""
    url = fresh_url()
    era.shop.bought("one", fulfillment_url=url)
    made = era.shop.order(fulfillment_url=url)
    found = answered(era.shop.ask(made["order_id"], session_id="three"), 200, order_status="unpaid", taler_pay_uri=str)
    assert "already_paid_order_id" not in found


def _bought_again(era: Era, reader: Reader) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Let a wallet buy order A in session one and open order B, for the same thing, in session three."""
    url = fresh_url()
    first, second = era.shop.order(fulfillment_url=url), era.shop.order(fulfillment_url=url)
    assert reader.do("pay", pay_uri(era.shop, first, "one")).how == "paid"
    reader.posted()
    assert reader.do("pay", pay_uri(era.shop, second, "three")).how == "proved"
    return first, second, list(reader.asked)


def test_fact_08_a_wallet_proves_instead_of_paying_twice(era: Era, reader: Reader) -> None:
    """A wallet claims the second order, sees the same fulfillment URL, and proves the first in the new session."""
    first, second, asked = _bought_again(era, reader)
    orders = f"POST /orders/{second['order_id']}/claim", f"POST /orders/{first['order_id']}/paid"
    assert asked == list(orders)


def test_fact_09_the_proof_moves_the_purchase(era: Era, reader: Reader) -> None:
    """After the proof the first order is paid in session three, and claimed in session four."""
    first, _, _ = _bought_again(era, reader)
    answered(era.shop.ask(first["order_id"], session_id="three"), 200, order_status="paid", refunded=False)
    answered(era.shop.ask(first["order_id"], session_id="four"), 200, order_status="claimed", contract_terms=dict)


def test_fact_10_the_second_order_names_the_first(era: Era, reader: Reader) -> None:
    """After the proof the second order's status URL answers 402 and names the first order."""
    first, second, _ = _bought_again(era, reader)
    answer = era.shop.public(second["order_id"], token=second["token"], session_id="three")
    answered(answer, 402, already_paid_order_id=first["order_id"], taler_pay_uri=str)
