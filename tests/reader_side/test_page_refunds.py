"""Money back: given by the merchant, or asked for by the reader; and what was given back can be bought again."""

from __future__ import annotations

from playwright.sync_api import Locator
from running import eventually

from .counter import REFUND_DELAY, Counter, Shop
from .reading import PAY, Reading

REFUND = "/.well-known/taler-paywall/refund"


def the_button(tab: Reading) -> Locator:
    """Return the only button of a page."""
    return tab.page.get_by_role("button")


def buy_again(tab: Reading, url: str) -> None:
    """Press the button, pay with play money, and read."""
    tab.button("Buy again").click()
    tab.link(PAY).click()
    tab.button(PAY).click()
    tab.read(url)


def test_refunded_and_bought_again(tab: Reading, shop: Shop, counter: Counter, slug: str) -> None:
    """The page says that the refund waits, then that it is collected; the button makes an order that can be paid."""
    url = f"{shop.url}/articles/{slug}?page=2"
    first = tab.buy(url)
    counter.give_back(first)
    eventually(lambda: tab.reload() == 402, "the refund takes effect")
    tab.look("refund-pending")
    tab.link("Collect the refund").click()
    tab.button("Collect refund with play money").click()
    tab.link("Back to the shop").click()
    tab.page.get_by_role("heading", name="Refunded").wait_for()
    assert tab.last[0] == 402
    assert tab.link("Collect the refund").count() == 0
    tab.look("refund-collected")
    buy_again(tab, url.partition("?")[0])
    assert tab.open(url) == 200
    assert sum(order.paid for order in counter.orders_for(slug)) == 2


def test_given_back_by_the_reader(tab: Reading, shop: Shop, counter: Counter, slug: str) -> None:
    """A page asks, its button gives the money back, the page closes at once and can be bought again."""
    url = f"{shop.url}/returnable/{slug}"
    tab.buy(url)
    assert tab.open(f"{shop.url}{REFUND}?page=/returnable/{slug}") == 200
    tab.look("refund-question")
    tab.link("Keep it").click()
    tab.read(url)
    tab.page.go_back()
    the_button(tab).click()
    tab.page.get_by_role("heading", name="Refunded").wait_for()
    assert tab.last == (402, url)
    assert tab.link("Collect the refund").count() == 1
    assert tab.reload() == 402
    tab.picture_of("page-refunded-by-the-reader")
    buy_again(tab, url)
    assert sum(order.paid for order in counter.orders_for(slug)) == 2


def test_too_late(tab: Reading, shop: Shop, counter: Counter, slug: str) -> None:
    """After the deadline nothing goes back, the page says so, and what was bought stays open."""
    url = f"{shop.url}/returnable/{slug}"
    with counter.clock(-2 * REFUND_DELAY):
        tab.buy(url)
    tab.open(f"{shop.url}{REFUND}?page=/returnable/{slug}")
    the_button(tab).click()
    tab.page.wait_for_load_state()
    assert tab.last[0] == 403
    assert "over" in tab.text
    tab.look("refund-too-late")
    assert tab.open(url) == 200


def test_nothing_to_give_back(tab: Reading, shop: Shop, slug: str) -> None:
    """What cannot be given back is not asked about, and what was not bought is not given back."""
    assert tab.open(f"{shop.url}{REFUND}?page=/articles/{slug}") == 403
    tab.look("not-refundable")
    assert tab.open(f"{shop.url}{REFUND}?page=/returnable/{slug}") == 200
    the_button(tab).click()
    tab.page.wait_for_load_state()
    assert tab.last[0] == 404
    tab.look("nothing-to-refund")
