"""What the machine may happen upon, told on purpose: each story ends with what its reader sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from .test_machine import Machine
from .world import DAY, FAILING, GOODS, World

ARTICLE, OTHER, DAILY, SECTION, TRANSLATION = GOODS


@pytest.fixture
def shop(world: World) -> Iterator[Machine]:
    """Begin with nobody who knows anybody; every answer of the site is judged."""
    machine = Machine(world, Counter())
    yield machine
    machine.teardown()


def opens(shop: Machine, who: int = 0, goods: int = 0, worker: str = "wsgi") -> bool:
    """Tell whether something opens for a browser, to which the model must agree."""
    before = len(shop.opened)
    shop.visit(who, GOODS[goods], "open", 0, "asgi" if worker == "asgi" else "wsgi")
    return len(shop.opened) > before


@pytest.mark.parametrize("goods", range(len(GOODS)))
def test_what_was_bought_opens_at_every_worker_and_for_nobody_else(shop: Machine, goods: int) -> None:
    assert not opens(shop, goods=goods)
    shop.use_wallet(0, 0, "pay")
    assert opens(shop, goods=goods, worker="asgi")
    assert opens(shop, goods=goods, worker="wsgi")
    assert not opens(shop, who=1, goods=goods, worker="asgi")
    assert not opens(shop, who=1, goods=goods, worker="wsgi")


def test_cookies_end_unless_they_are_renewed(shop: Machine) -> None:
    shop.buy(0, ARTICLE, 0, "asgi")
    shop.let_time_pass(60 * DAY, 0, "asgi", keep=True)
    shop.let_time_pass(60 * DAY, 0, "wsgi", keep=True)
    assert opens(shop)
    shop.let_time_pass(101 * DAY, 0, "asgi", keep=True)
    assert not opens(shop)


@pytest.mark.parametrize("amount", ["", "&amount=KUDOS:0.05"])
@pytest.mark.parametrize("collects", [True, False])
def test_a_refund_closes_once_it_is_known(shop: Machine, amount: str, *, collects: bool) -> None:
    shop.buy(0, ARTICLE, 0, "asgi")
    shop.refund(0, amount, "wsgi", collects=collects)
    assert not opens(shop, worker="wsgi")
    shop.let_time_pass(100, 0, "asgi", keep=True)
    assert not opens(shop, worker="asgi")
    shop.buy_again(0, ARTICLE, "wsgi")
    shop.use_wallet(0, 0, "pay")
    assert opens(shop)


def test_a_refund_that_is_known_closes_for_older_cookies_too(shop: Machine) -> None:
    shop.buy(0, ARTICLE, 0, "asgi")
    jar = shop.browsers[0].jar()
    shop.refund(0, "", "wsgi", collects=False)
    shop.browsers[0].drop("_order_")
    assert not opens(shop, worker="asgi")
    shop.browsers[0].hold(jar)
    assert not opens(shop, worker="asgi")


def test_a_cookie_opens_nothing_under_another_name(shop: Machine) -> None:
    shop.buy(0, ARTICLE, 0, "asgi")
    assert not opens(shop, goods=1)
    for copied in range(3):
        for over in range(3):
            jar = shop.browsers[0].jar()
            shop.rename_cookies(0, copied, over)
            assert not opens(shop, goods=1)
            shop.browsers[0].hold(jar)


def test_cookies_of_others_open_what_is_theirs_and_no_more(shop: Machine) -> None:
    shop.buy(0, ARTICLE, 0, "asgi")
    shop.move_cookies(1, 0, "_order_", 0, "asgi")
    assert opens(shop, who=1)
    assert not opens(shop, who=1, goods=1)


def test_a_retired_key_opens_nothing(shop: Machine) -> None:
    shop.buy(0, ARTICLE, 0, "asgi")
    shop.rotate_key(retire=False)
    assert opens(shop)
    shop.rotate_key(retire=True)
    assert not opens(shop)


@pytest.mark.parametrize("fault", FAILING)
def test_a_failing_backend_takes_away_nothing_that_is_known_and_gives_nothing_else(shop: Machine, fault: str) -> None:
    shop.buy(0, ARTICLE, 0, "asgi")
    for how in ("open", "program", "head", "picture"):
        shop.break_backend(fault, 0, how, "asgi", stays=True)
        shop.visit(0, ARTICLE, how, 0, "wsgi")
        shop.visit(1, ARTICLE, how, 0, "wsgi")
    assert opens(shop, worker="asgi")
    assert not opens(shop, worker="wsgi")
    shop.world.switch("")
    assert opens(shop, worker="wsgi")
    shop.world.switch(fault)
    shop.let_time_pass(100, 0, "asgi", keep=True)
    assert not opens(shop, worker="asgi")


def test_a_wallet_proves_what_a_browser_forgot(shop: Machine) -> None:
    shop.buy(0, ARTICLE, 0, "asgi")
    shop.move_cookies(0, 0, "", 0, "asgi")
    assert not opens(shop)
    shop.use_wallet(0, 0, "pay")
    assert shop.model.seen["wallet: proved"] == 1
    assert opens(shop)


def test_a_refunded_purchase_that_is_proved_ends_on_a_page_and_not_in_a_circle(shop: Machine) -> None:
    shop.buy(0, ARTICLE, 0, "asgi")
    shop.refund(0, "", "wsgi", collects=False)
    shop.move_cookies(0, 0, "", 0, "asgi")
    assert not opens(shop)
    shop.use_wallet(0, 0, "pay")
    assert shop.model.seen["wallet: proved"] == 1
    assert not opens(shop)
    shop.buy_again(0, ARTICLE, "wsgi")
    shop.use_wallet(0, 0, "pay")
    assert opens(shop)


def test_of_two_tabs_either_is_paid(shop: Machine) -> None:
    for which in (0, 1):
        shop.open_two_tabs(which, ARTICLE)
        shop.use_wallet(which, which, "pay")
        assert opens(shop, who=which)


def test_an_order_that_a_stranger_took_is_replaced(shop: Machine) -> None:
    for _ in range(3):
        assert not opens(shop)
        shop.use_wallet(0, 0, "stranger")
    assert not opens(shop)
    shop.use_wallet(0, 0, "pay")
    assert opens(shop)


def test_two_orders_are_made_and_no_more(shop: Machine) -> None:
    shop.world.switch("claimed")
    assert not opens(shop)
    assert not opens(shop)
    shop.world.switch("")
    assert not opens(shop)
    shop.use_wallet(0, 0, "pay")
    assert opens(shop)


def test_an_address_that_was_shared_opens_for_the_one_it_was_made_for(shop: Machine) -> None:
    assert not opens(shop)
    shop.use_wallet(0, 1, "pay")
    shop.return_from_paying(0, 1, "asgi")
    assert not opens(shop, who=1)
    assert opens(shop, who=0)


def test_an_offer_that_is_over_is_made_anew_at_the_price_of_the_day(shop: Machine) -> None:
    assert not opens(shop, goods=2)
    shop.change_price("KUDOS:3")
    shop.let_time_pass(DAY + 600, 0, "asgi", keep=True)
    assert not opens(shop, goods=2)
    shop.use_wallet(0, 0, "pay")
    shop.change_price("KUDOS:0.2")
    assert opens(shop, goods=2)


def test_what_is_settled_is_believed_for_a_day(shop: Machine) -> None:
    shop.buy(0, ARTICLE, 0, "asgi")
    shop.let_time_pass(8 * DAY + 600, 0, "asgi", keep=True)
    shop.let_time_pass(100, 0, "asgi", keep=True)
    shop.world.switch("refuse")
    assert opens(shop, worker="asgi")
    assert not opens(shop, worker="wsgi")
    shop.let_time_pass(DAY + 10_000, 0, "asgi", keep=True)
    assert not opens(shop, worker="asgi")


def test_nothing_is_forgotten_by_who_starts_again(shop: Machine) -> None:
    shop.buy(0, SECTION, 0, "asgi")
    shop.restart_backend()
    shop.restart_worker("asgi")
    assert opens(shop, goods=3, worker="asgi")
