"""The play wallet in trouble: no answer, too late, several at once; its money adds up all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from taler_paywall.sandbox.wallet.wallet import WalletError

from .shop import REFUNDABLE, Shop, pay_uri
from .wallets import Passage, PurseFile, Troubled, amounts, broken, failing


@pytest.mark.parametrize("trouble", [failing(500), failing(503), broken])
@pytest.mark.parametrize("after", [False, True])
def test_passing_trouble_is_sat_out(
    shop: Shop, purse: PurseFile, trouble: Callable[[], httpx.Response], *, after: bool
) -> None:
    """A status 5xx or a broken connection, before or after the merchant took the coins, is tried again (fact 30)."""
    for action in ("claim", "pay"):
        passage = Troubled(action, 2, trouble, after=after)
        assert purse.through(passage).pay(pay_uri(shop, shop.order(), "one")).how == "paid"
    assert amounts(purse.balances[0])[1] == "KUDOS:10"


def test_lasting_trouble_ends_with_the_money_set_aside(shop: Shop, purse: PurseFile) -> None:
    """The wallet gives up after three attempts, does not know whether it has paid, and finds out later (fact 30)."""
    made = shop.order()
    uri = pay_uri(shop, made, "one")
    passage = Troubled("pay", 9, failing(503))
    with pytest.raises(WalletError, match="the payment was refused: 503, the database is busy") as caught:
        purse.through(passage).pay(uri)
    assert (caught.value.status, caught.value.code, passage.count("pay")) == (503, 54, 3)
    assert [one.status for one in purse.purchases] == ["unconfirmed"]
    assert amounts(purse.balances[0]) == ("KUDOS:100", "KUDOS:5", "KUDOS:0", "KUDOS:95")
    with pytest.raises(WalletError, match="cannot be reached"):
        purse.through(Troubled("pay", 9, broken, after=True)).pay(uri)
    # When the offer is not valid any more: the merchant has had the coins in time.
    assert PurseFile(purse.path, later=48 * 3600).pay(uri).how == "paid"
    assert amounts(purse.balances[0]) == ("KUDOS:100", "KUDOS:5", "KUDOS:0", "KUDOS:95")


def test_killed_between_answer_and_note(shop: Shop, purse: PurseFile) -> None:
    """A payment that the wallet could not note is repeated with the same coins, and counts once."""
    made = shop.order()
    uri = pay_uri(shop, made, "one")
    assert purse.pay(uri).how == "paid"
    purse.forget_payment(shop, made)
    assert [one.status for one in purse.purchases] == ["unconfirmed"]
    assert purse.pay(uri).how == "paid"
    assert [one.status for one in purse.purchases] == ["paid"]
    assert amounts(purse.balances[0]) == ("KUDOS:100", "KUDOS:5", "KUDOS:0", "KUDOS:95")


def test_a_refused_payment_costs_nothing(shop: Shop, purse: PurseFile) -> None:
    """What the merchant does not take is in the purse again."""
    made = shop.order()
    with pytest.raises(WalletError, match="the payment was refused: 410, "):
        purse.through(Troubled("pay", 1, failing(410))).pay(pay_uri(shop, made))
    assert [one.status for one in purse.purchases] == ["claimed"]
    assert amounts(purse.balances[0]) == ("KUDOS:100", "KUDOS:0", "KUDOS:0", "KUDOS:100")


def test_an_expired_offer_is_not_paid(shop: Shop, purse: PurseFile) -> None:
    """The wallet does not send coins for an offer whose time is over."""
    made = shop.order()
    passage = Passage()
    with pytest.raises(WalletError, match="offer has expired"):
        PurseFile(purse.path, passage, later=48 * 3600).pay(pay_uri(shop, made))
    assert (passage.count("pay"), purse.balances) == (0, [])


def test_the_purse_never_runs_dry(shop: Shop, purse: PurseFile) -> None:
    """Play money is withdrawn in hundreds, as much as a price wants, up to the largest there is."""
    for price, expected in (
        ("KUDOS:0", ()),
        ("KUDOS:99.5", ("KUDOS:100", "KUDOS:99.5", "KUDOS:0", "KUDOS:0.5")),
        ("KUDOS:0.50000001", ("KUDOS:200", "KUDOS:100.00000001", "KUDOS:0", "KUDOS:99.99999999")),
        ("KUDOS:399", ("KUDOS:500", "KUDOS:499.00000001", "KUDOS:0", "KUDOS:0.99999999")),
        ("KUDOS:4503599627370000", None),
    ):
        assert purse.pay(pay_uri(shop, shop.order(amount=price))).how == "paid"
        if expected:
            assert amounts(purse.balances[0]) == expected
    for _ in range(2):
        assert purse.pay(pay_uri(shop, shop.order(amount="KUDOS:4503599627370496.99999999"))).how == "paid"
    # Sums are exact, however much they are cut where they are shown.
    assert amounts(purse.balances[0])[:2] == ("KUDOS:4503599627370496.99999999",) * 2
    left = purse.balances[0].units_available
    assert purse.pay(pay_uri(shop, shop.order(amount="KUDOS:0.00000001"))).how == "paid"
    assert (purse.balances[0].units_available - left + 1) % (100 * 10**8) == 0


def test_huge_sums_leave_the_balance_as_it_is(shop: Shop, purse: PurseFile) -> None:
    """What is paid and given back again and again adds up to nothing."""
    huge = "KUDOS:4503599627370496.99999999"
    for _ in range(3):
        made = shop.order(amount=huge, body=REFUNDABLE)
        purse.pay(pay_uri(shop, made))
        purse.collect(shop.refund(made["order_id"], huge).json()["taler_refund_uri"])
        assert str(purse.balances[0].available) == huge


def test_one_wallet_pays_an_order_once_whatever_happens_at_the_same_time(shop: Shop, purse: PurseFile) -> None:
    """Several processes with one file send the same coin for an order."""
    made = shop.order()
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(purse.pay(pay_uri(shop, made, "one")).how)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(outcomes) == 8
    assert set(outcomes) <= {"paid", "proved"}
    assert amounts(purse.balances[0]) == ("KUDOS:100", "KUDOS:5", "KUDOS:0", "KUDOS:95")


def test_one_of_many_wallets_gets_an_order(shop: Shop, tmp_path: Path) -> None:
    """Of wallets that want the same order at the same time one pays; the others hear 409 with code 2301 (fact 22)."""
    made = shop.order()
    outcomes: list[object] = []

    def run(number: int) -> None:
        try:
            outcomes.append(PurseFile(tmp_path / f"{number}.sqlite").pay(pay_uri(shop, made, "one")).how)
        except WalletError as error:
            outcomes.append((error.status, error.code))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(outcomes, key=str) == [(409, 2301)] * 7 + ["paid"]


def test_one_nonce_for_two_orders(shop: Shop, purse: PurseFile) -> None:
    """The coins of orders differ even where a URI gives both the same nonce."""
    nonce = "9TM70AKDTS57AWY9JK2J4TMBTMW6K62WHHGZWYDG0VM5ABPZKD40"
    for _ in range(2):
        assert purse.pay(f"{pay_uri(shop, shop.order())}&n={nonce}").how == "paid"
