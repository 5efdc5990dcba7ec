"""Several tabs and several browsers: one order for all requests of a session, and a purchase that moves."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Playwright
from running import Wallet, eventually
from tab import ARGUMENTS, CHROMIUM

from .conftest import OpenTab
from .counter import Counter, Shop
from .reading import Reading
from .test_page_paying import NOTICED

#: Asks for a page several times at once, and remembers the answers.
FETCH = """([url, times]) => { window.answers = Promise.all(Array.from({length: times}, () =>
fetch(url).then(async (answer) => [answer.status, (await answer.json()).order_id]))); }"""
#: Notes whether a page is shown again as it was.
NOTING = "addEventListener('pageshow', (event) => { if (event.persisted) sessionStorage.kept = location.href; });"
#: How much later than the tab was closed a payment arrives, in seconds.
LATE = 11 * 60


def test_ten_requests_at_once(open_tab: OpenTab, shop: Shop, counter: Counter, slug: str, wallet: Wallet) -> None:
    """Two tabs of a browser with a session ask ten times at once: one order, and it opens the page in both."""
    tabs = [tab := open_tab(), open_tab(tab)]
    tab.open(f"{shop.url}/book?chapter={slug}")
    url = f"{shop.url}/articles/{slug}"
    for one in tabs:
        one.open(shop.url)
    for one in tabs:
        one.page.evaluate(FETCH, [url, 5])
    answers: list[list[Any]] = [answer for one in tabs for answer in one.page.evaluate("answers")]
    assert len(answers) == 10
    assert {status for status, _ in answers} == {402}
    assert {order_id for _, order_id in answers} == {order.order_id for order in counter.orders_for(f"articles/{slug}")}
    assert len(counter.orders_for(f"articles/{slug}")) == 1
    tab.open(url)
    wallet.pay(tab.pay_uri)
    tab.read(url, NOTICED)
    assert tabs[1].open(url) == 200


@pytest.mark.parametrize("paid", [0, 1])
def test_two_tabs_at_once(paid: int, open_tab: OpenTab, counter: Counter, slug: str, wallet: Wallet) -> None:
    """Without any cookie yet: two orders at most; whichever is paid opens the page, and no cookie is lost."""
    tabs = [tab := open_tab(), open_tab(tab)]
    url = f"{tab.site}/articles/{slug}{'ab'[paid]}"
    for one in tabs:
        one.open(tab.site)
    for one in tabs:
        one.page.evaluate("(url) => { setTimeout(() => { location.href = url; }); }", url)
    for one in tabs:
        one.page.locator("main").wait_for()
    orders = {one.order_id for one in tabs}
    assert {order.order_id for order in counter.orders_for(url)} == orders
    cookies = [cookie.get("name", "") for cookie in tab.context.cookies()]
    assert len([name for name in cookies if "_order_" in name]) == len(orders)
    print(f"two tabs at once: {len(orders)} orders")
    wallet.pay(tabs[paid].pay_uri)
    tabs[paid].read(url, NOTICED)
    assert [one.reload() for one in tabs] == [200, 200]
    assert sum(order.paid for order in counter.orders_for(url)) == 1


@pytest.mark.parametrize("place", ["articles", "classic"])
def test_a_purchase_moves(place: str, open_tab: OpenTab, counter: Counter, slug: str, wallet: Wallet) -> None:
    """The first browser is told that the second has it now, and the wallet brings it back without a payment."""
    first, second = open_tab(), open_tab()
    url = f"{first.site}/{place}/{slug}?page=2"
    for one, says in ((first, "paid:"), (second, "proved:")):
        assert one.open(url) == 402
        assert wallet.pay(one.pay_uri).startswith(says)
        one.read(url, NOTICED)
    eventually(lambda: first.reload() == 402, "the first browser is told")
    assert first.page.url == url
    assert "in another browser" in first.page.get_by_role("heading", level=1).inner_text()
    first.look(f"moved-{place}")
    assert wallet.pay(first.pay_uri).startswith("proved:")
    first.read(url, NOTICED)
    eventually(lambda: second.reload() == 402, "the second browser is told")
    assert "in another browser" in second.page.get_by_role("heading", level=1).inner_text()
    assert sum(order.paid for order in counter.orders_for(slug)) == 1


def test_paid_long_after_the_tab_was_closed(
    tab: Reading, open_tab: OpenTab, counter: Counter, slug: str, wallet: Wallet
) -> None:
    """A payment that arrives eleven minutes late opens the page when its reader returns."""
    url = f"{tab.site}/articles/{slug}?page=2"
    tab.open(url)
    uri = tab.pay_uri
    tab.page.close()
    with counter.clock(LATE):
        assert wallet.pay(uri).startswith("paid:")
        later = open_tab(tab)
        assert later.open(url) == 200
        later.picture_of("page-paid-late")
    ends = [cookie.get("expires", 0) for cookie in tab.context.cookies(tab.site)]
    assert min(ends) > time.time() + LATE
    assert len(ends) == 2
    assert len(counter.orders_for(slug)) == 1


def test_back_in_time(playwright: Playwright, shop: Shop, counter: Counter, slug: str, wallet: Wallet) -> None:
    """A page that the browser has put aside and shows again as it was asks at once, and goes on.

    Chromium puts no page aside whose status is 402; one with a preview has 200.
    """
    url = f"{shop.url}/teased/{slug}?page=2"
    with (
        playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*ARGUMENTS, "--enable-features=BackForwardCache,CacheControlNoStoreEnterBackForwardCache"],
            ignore_default_args=["--disable-back-forward-cache"],
        ) as browser,
        browser.new_context(locale="en") as context,
    ):
        tab = Reading(context, shop.url)
        tab.page.add_init_script(NOTING)
        tab.open(url)
        uri = tab.pay_uri
        tab.open(counter.url)
        wallet.pay(uri)
        # Not at once: what asks for it must have been answered before the page is gone.
        tab.page.evaluate("() => { setTimeout(() => history.back()) }")
        tab.read(url, NOTICED)
        assert tab.page.evaluate("sessionStorage.kept") == url, "the browser has made the page anew"
        tab.close()
