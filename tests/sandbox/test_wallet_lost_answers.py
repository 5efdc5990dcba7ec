"""The play wallet after answers that were lost: what may be paid is neither paid twice nor booked back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from taler_paywall.sandbox.wallet.wallet import WalletError

from .shop import REFUNDABLE, Shop, fresh_url, pay_uri
from .switch import Switch
from .wallets import Passage, PurseFile, Troubled, amounts, broken, failing


@pytest.fixture
def switch(processes: Any) -> Iterator[tuple[Shop, Switch]]:
    """Start a sandbox whose answers can be lost."""
    started = processes("--port", "0", "--control")
    shop = Shop(started.url)
    with Switch(started.control) as opened:
        yield shop, opened
    shop.http.close()


def lose_payment(shop: Shop, switch: Switch, purse: PurseFile, url: str) -> dict[str, Any]:
    """Pay an order whose merchant takes the coins, and whose answers do not come."""
    made = shop.order(fulfillment_url=url)
    status_url = shop.status(made["order_id"], session_id="one")["order_status_url"]
    switch.fault("broken", only="/pay", times=3)
    with pytest.raises(WalletError, match="cannot be reached"):
        purse.pay(status_url)
    switch.lift()
    assert shop.status(made["order_id"])["order_status"] == "paid"
    assert [one.status for one in purse.purchases] == ["unconfirmed"]
    return {**made, "status_url": status_url}


def test_the_status_url_of_an_unconfirmed_order(switch: tuple[Shop, Switch], purse: PurseFile) -> None:
    """Where the merchant says that it is paid, the wallet gets its receipt, in the session of the address."""
    shop, control = switch
    made = lose_payment(shop, control, purse, url := fresh_url())
    outcome = purse.pay(made["status_url"])
    assert (outcome.how, outcome.fulfillment_url) == ("paid", url)
    assert [(one.status, one.session_id) for one in purse.purchases] == [("paid", "one")]
    assert purse.pay(made["status_url"]).how == "already paid"
    assert amounts(purse.balances[0])[1] == "KUDOS:5"


def test_an_order_that_an_unconfirmed_one_stands_for(switch: tuple[Shop, Switch], purse: PurseFile) -> None:
    """Where the merchant names the order that is paid instead, the wallet gets the receipt for that."""
    shop, control = switch
    first = lose_payment(shop, control, purse, url := fresh_url())
    second = shop.order(fulfillment_url=url)
    outcome = purse.pay(shop.status(second["order_id"], session_id="one")["order_status_url"])
    assert outcome.purchase
    assert (outcome.how, outcome.purchase.order_id) == ("paid", first["order_id"])
    assert amounts(purse.balances[0])[1] == "KUDOS:5"


@pytest.mark.parametrize("taken", [True, False])
def test_the_same_thing_is_not_paid_with_new_money(
    switch: tuple[Shop, Switch], purse: PurseFile, *, taken: bool
) -> None:
    """An unconfirmed purchase is confirmed and proved before the same thing is paid under another order."""
    shop, control = switch
    url = fresh_url()
    if taken:
        first = lose_payment(shop, control, purse, url)
    else:
        first = shop.order(fulfillment_url=url)
        with pytest.raises(WalletError):
            purse.through(Troubled("pay", 3, broken)).pay(pay_uri(shop, first, "one"))
    second = pay_uri(shop, shop.order(fulfillment_url=url), "two")
    with pytest.raises(WalletError, match=r"may be paid already with order .*: the payment was refused: 503"):
        purse.through(Troubled("pay", 3, failing(503))).pay(second)
    outcome = purse.pay(second)
    assert outcome.purchase
    assert (outcome.how, outcome.purchase.order_id) == ("proved", first["order_id"])
    assert shop.status(first["order_id"], session_id="two")["order_status"] == "paid"
    assert amounts(purse.balances[0])[1] == "KUDOS:5"


@pytest.mark.parametrize("status", [402, 410])
def test_what_is_surely_not_paid_is_paid_anew(switch: tuple[Shop, Switch], purse: PurseFile, status: int) -> None:
    """An unconfirmed purchase that the merchant refuses, or has refunded, does not stand in the way for ever."""
    shop, _ = switch
    url = fresh_url()
    first = shop.order(fulfillment_url=url, body=REFUNDABLE)
    with pytest.raises(WalletError):
        purse.through(Troubled("pay", 3, broken, after=status == 402)).pay(pay_uri(shop, first, "one"))
    if status == 402:
        shop.refund(first["order_id"], "KUDOS:5")
    passage = Passage() if status == 402 else Troubled("pay", 1, failing(410))
    assert purse.through(passage).pay(pay_uri(shop, shop.order(fulfillment_url=url), "two")).how == "paid"
    assert [one.status for one in purse.purchases] == ["paid", "unconfirmed"]


@pytest.mark.parametrize("status", [400, 403, 409, 410])
def test_a_refusal_after_a_lost_answer_books_nothing_back(shop: Shop, purse: PurseFile, status: int) -> None:
    """Once an attempt has an unknown outcome the money stays set aside, within one payment and between several."""
    made = shop.order()
    uri = pay_uri(shop, made)
    lost = Troubled("pay", 1, broken, after=True)
    with pytest.raises(WalletError, match=str(status)):
        purse.through(_After(lost, status)).pay(uri)
    with pytest.raises(WalletError, match=str(status)):
        purse.through(Troubled("pay", 1, failing(status))).pay(uri)
    assert [one.status for one in purse.purchases] == ["unconfirmed"]
    assert purse.pay(uri).how == "paid"
    assert amounts(purse.balances[0])[1] == "KUDOS:5"


class _After(Passage):
    """A merchant that refuses payments once the first trouble is over."""

    def __init__(self, first: Troubled, status: int) -> None:
        super().__init__()
        self.first, self.status = first, status

    async def reach(self, request: Any) -> Any:
        over = request.url.path.endswith("/pay") and not self.first.times
        return failing(self.status)() if over else await self.first.reach(request)


@pytest.mark.parametrize("status", [401, 404, 408, 418, 425, 429])
def test_what_does_not_say_that_the_coins_were_not_taken(shop: Shop, purse: PurseFile, status: int) -> None:
    """Answers that may come from somebody on the way leave the payment unconfirmed."""
    uri = pay_uri(shop, shop.order())
    with pytest.raises(WalletError, match=str(status)):
        purse.through(Troubled("pay", 1, failing(status), after=True)).pay(uri)
    assert [one.status for one in purse.purchases] == ["unconfirmed"]
    assert purse.pay(uri).how == "paid"


@pytest.mark.parametrize("status", [400, 403, 406, 409, 410, 412, 413, 451])
def test_what_says_that_the_coins_were_not_taken(shop: Shop, purse: PurseFile, status: int) -> None:
    """A clear refusal of the only attempt gives the money back."""
    uri = pay_uri(shop, shop.order())
    with pytest.raises(WalletError, match=str(status)):
        purse.through(Troubled("pay", 1, failing(status))).pay(uri)
    assert [one.status for one in purse.purchases] == ["claimed"]
    assert amounts(purse.balances[0])[1] == "KUDOS:0"


def test_a_merchant_that_refuses_its_own_receipt(purse: PurseFile, processes: Any) -> None:
    """What was spent at a merchant that was set up anew stays in the books, beside the new purchase."""
    first = processes("--port", "0")
    shop = Shop(first.url)
    purse.pay(pay_uri(shop, shop.order(order_id="A")))
    shop.http.close()
    first.kill()
    shop = Shop(processes("--port", str(first.port)).url)
    purse.pay(pay_uri(shop, shop.order(order_id="A")))
    shop.http.close()
    assert [(one.order_id, one.status) for one in purse.purchases] == [("A", "paid"), ("A", "lost")]
    assert amounts(purse.balances[0])[1] == "KUDOS:10"


def test_a_receipt_that_is_refused_for_a_while(switch: tuple[Shop, Switch], purse: PurseFile) -> None:
    """Where the order turns out to be as it was, the same coins get a receipt again."""
    shop, control = switch
    uri = pay_uri(shop, shop.order())
    purse.pay(uri)
    control.fault("not-found", only="/paid", times=1)
    assert purse.pay(uri).how == "paid"
    assert [one.status for one in purse.purchases] == ["paid"]
    assert amounts(purse.balances[0])[1] == "KUDOS:5"


@pytest.mark.parametrize("generation", ["current", "2022"])
@pytest.mark.parametrize("collected", [True, False])
def test_what_was_given_back_is_bought_anew(
    purse: PurseFile, processes: Any, generation: str, *, collected: bool
) -> None:
    """A refund ends the ownership as soon as the wallet has the money back, and not before."""
    shop, url = Shop(processes("--port", "0", "--generation", generation).url), fresh_url()
    first = shop.order(fulfillment_url=url, body=REFUNDABLE)
    purse.pay(pay_uri(shop, first, "one"))
    uri = shop.refund(first["order_id"], "KUDOS:1").json()["taler_refund_uri"]
    if collected:
        purse.collect(uri)
    passage = Passage()
    outcome = purse.through(passage).pay(pay_uri(shop, shop.order(fulfillment_url=url), "two"))
    shop.http.close()
    assert outcome.how == ("paid" if collected else "proved")
    assert passage.count("paid") == (0 if collected else 1)
