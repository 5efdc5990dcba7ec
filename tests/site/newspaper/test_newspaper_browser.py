"""A real headless Chromium walks the whole way, and through every state, by clicks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL

import pytest
from playwright.sync_api import Playwright
from reader import order_of
from running import Sandbox, Site, StartSandbox, StartSite, Wallet, eventually
from tab import ARGUMENTS, CHROMIUM, SITE_COOKIES, Tab

from .conftest import OpenTab
from .test_newspaper_walk import CONTENT, ONE, TWO

PAY = "Pay with play money"


def buy(tab: Tab, url: str) -> str:
    """Buy an article by click and return the ID of its order."""
    assert tab.open(url) == 402, "the sandbox's order page"
    order_id = order_of(tab.page.url)
    tab.button(PAY).click()
    tab.wait_for(url)
    assert tab.last == (200, url)
    return order_id


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_whole_way_by_clicks(*, javascript: bool, open_tab: OpenTab, quick: Site, sandbox: Sandbox) -> None:
    """Front page, article, order page, pay, read, reload, back, next article, refund, buy again, pay, read."""
    tab = open_tab(java_script_enabled=javascript)
    assert tab.open(f"{quick.url}/") == 200
    tab.link("Read The 22:14 still leaves on time").click()
    tab.wait_for(f"{sandbox.url}orders/*")
    assert CONTENT in tab.text
    assert "KUDOS:0.5" in tab.text
    assert "play money" in tab.text
    order_id = order_of(tab.page.url)
    tab.picture_of("order-page")

    tab.button(PAY).click()
    tab.wait_for(quick.url + ONE)
    assert tab.last == (200, quick.url + ONE)
    assert "You have bought this article" in tab.text
    eventually(lambda: (200, f"{quick.url}{ONE}/picture.svg") in tab.pictures, "the picture is shown")
    tab.picture_of("article")

    assert tab.reload() == 200
    tab.page.go_back()
    assert tab.last[0] in {200, 402}
    assert CONTENT in tab.text, "the paid order's page, or the front page"
    tab.picture_of("back")
    tab.page.go_forward()
    tab.wait_for(quick.url + ONE)
    assert "You have bought this article" in tab.text

    tab.link("What is in the price of a loaf?").click()
    tab.wait_for(f"{sandbox.url}orders/*")
    assert order_of(tab.page.url) != order_id
    assert tab.open(quick.url + ONE) == 200

    sandbox.refund(order_id, "KUDOS:0.5")
    eventually(lambda: tab.reload() == 402, "the refund takes effect")
    assert "refunded" in tab.text
    tab.picture_of("refunded-page")
    tab.link("Collect the refund").click()
    tab.wait_for(f"{sandbox.url}orders/*")
    tab.picture_of("refund-page-of-the-sandbox")
    tab.button("Collect refund with play money").click()
    tab.page.get_by_text("The refund has been collected.").wait_for()
    tab.link("Back to the shop").click()
    tab.wait_for(quick.url + ONE)
    assert tab.last[0] == 402
    assert tab.link("Collect the refund").count() == 0

    tab.button("Buy again").click()
    tab.wait_for(f"{sandbox.url}orders/*")
    assert order_of(tab.page.url) != order_id
    tab.button(PAY).click()
    tab.wait_for(quick.url + ONE)
    assert "You have bought this article" in tab.text
    assert tab.reload() == 200
    assert tab.redirects_in_a_row <= 2


def test_the_page_that_was_asked_for(tab: Tab, newspaper: Site) -> None:
    """The reader lands on the very address that was typed in, with its query."""
    buy(tab, f"{newspaper.url}{ONE}?ref=x&a=%C3%BC")
    assert tab.open(newspaper.url + ONE) == 200
    assert tab.page.url == newspaper.url + ONE


def test_backend_on_another_site(open_tab: OpenTab, start_sandbox: StartSandbox, start_site: StartSite) -> None:
    """With a payment service on another host, cookies and forms cross between the sites as they should."""
    sandbox = start_sandbox("localhost")
    site = start_site(sandbox.url, "tests.site.newspaper.quick:app")
    tab = open_tab()
    order_id = buy(tab, f"{site.url}{ONE}?ref=x")
    sandbox.refund(order_id, "KUDOS:0.1")
    eventually(lambda: tab.reload() == 402, "the refund takes effect")
    tab.button("Buy again").click()
    tab.wait_for(f"{sandbox.url}orders/*")
    tab.button(PAY).click()
    tab.wait_for(f"{site.url}{ONE}?ref=x")
    assert tab.last[0] == 200
    assert tab.open(f"{site.url}{TWO}") == 402
    assert tab.open(f"{site.url}{ONE}") == 200


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_order_page_goes_on_by_itself(
    *, javascript: bool, open_tab: OpenTab, newspaper: Site, wallet: Wallet
) -> None:
    """Paid with another wallet, the order page leads to the article without a click."""
    tab = open_tab(java_script_enabled=javascript)
    url = f"{newspaper.url}{ONE}?ref=x"
    assert tab.open(url) == 402
    assert wallet.pay(tab.page.url).startswith("paid:")
    tab.wait_for(url)
    assert "You have bought this article" in tab.text


def test_unpaid_reload(tab: Tab, newspaper: Site) -> None:
    """Who does not pay and asks again is led to the same order again."""
    tab.open(newspaper.url + ONE)
    order_page = tab.page.url
    tab.page.go_back()
    tab.open(newspaper.url + ONE)
    assert tab.page.url == order_page
    tab.reload()
    assert tab.page.url == order_page
    assert tab.button(PAY).count() == 1


def test_claimed_and_both_claimed(open_tab: OpenTab, newspaper: Site, wallets: Callable[[], Wallet]) -> None:
    """Another wallet has the order: a new one; it has the new one too: a page that says so, then it works."""
    url = newspaper.url + ONE
    tab = open_tab()
    tab.open(url)
    first = tab.page.url
    state = tab.context.storage_state()
    wallets().claim(first)
    assert tab.open(url) == 402
    second = tab.page.url
    assert order_of(second) != order_of(first)
    wallets().claim(second)
    # Another tab of the same browser, which has not heard of the replacement.
    tab = open_tab(storage_state=state)
    assert tab.open(url) == 402
    assert tab.page.url == url, "a page of the site, no redirect"
    assert "another wallet" in tab.text
    tab.picture_of("try-again-page")
    tab.link("Try again").click()
    tab.button(PAY).click()
    tab.wait_for(url)
    assert "You have bought this article" in tab.text


def test_the_button_of_a_claimed_order(tab: Tab, newspaper: Site, wallet: Wallet) -> None:
    """The button of an order that another wallet has claimed meanwhile explains, and going back to the site helps."""
    tab.open(newspaper.url + ONE)
    wallet.claim(tab.page.url)
    tab.button(PAY).click()
    tab.page.get_by_text("another wallet has claimed").wait_for()
    tab.picture_of("claimed-by-another-wallet")
    buy(tab, newspaper.url + ONE)


def test_proved_after_cookies_are_deleted(tab: Tab, newspaper: Site, sandbox: Sandbox) -> None:
    """The site's cookies deleted: one click on the order page, no second payment."""
    first = buy(tab, newspaper.url + ONE)
    paid = sum(order.paid for order in sandbox.orders())
    tab.context.clear_cookies(name=SITE_COOKIES)
    assert tab.open(newspaper.url + ONE) == 402
    assert order_of(tab.page.url) != first
    tab.button(PAY).click()
    tab.wait_for(newspaper.url + ONE)
    assert "You have bought this article" in tab.text
    assert sum(order.paid for order in sandbox.orders()) == paid
    assert tab.reload() == 200


def test_refunded_and_cookies_deleted(tab: Tab, quick: Site, sandbox: Sandbox) -> None:
    """A wallet that proves a refunded purchase does not go round in circles: the article can be bought again."""
    url = quick.url + ONE
    order_id = buy(tab, url)
    sandbox.refund(order_id, "KUDOS:0.5")
    tab.context.clear_cookies(name=SITE_COOKIES)
    tab.open(url)
    for _ in range(4):
        if "You have bought this article" in tab.text:
            return
        (tab.button("Buy again") if tab.button("Buy again").count() else tab.button(PAY)).click()
        tab.page.wait_for_load_state()
    assert "You have bought this article" in tab.text


def test_the_state_of_the_sandbox_is_lost(tab: Tab, start_sandbox: StartSandbox, start_site: StartSite) -> None:
    """Orders that the payment service does not know any more are replaced, paid ones as well."""
    sandbox = start_sandbox()
    site = start_site(sandbox.url, "tests.site.newspaper.quick:app")
    buy(tab, site.url + ONE)
    tab.open(site.url + TWO)
    sandbox.process.end(SIGKILL)
    sandbox.wipe()
    restarted = sandbox.start()
    try:
        buy(tab, site.url + TWO)
        eventually(lambda: tab.open(site.url + ONE) == 402, "the cached payment expires")
        buy(tab, site.url + ONE)
    finally:
        restarted.end()


def test_the_payment_service_is_down(tab: Tab, start_sandbox: StartSandbox, start_site: StartSite) -> None:
    """A page says so, and its link works once the service is back."""
    sandbox = start_sandbox()
    site = start_site(sandbox.url)
    sandbox.process.end(SIGKILL)
    assert tab.open(f"{site.url}{ONE}?ref=x") == 503
    assert tab.page.url == f"{site.url}{ONE}?ref=x"
    tab.picture_of("unavailable-page")
    tab.link("Try again").click()
    assert tab.last[0] == 503
    restarted = sandbox.start()
    try:
        tab.link("Try again").click()
        tab.button(PAY).click()
        tab.wait_for(f"{site.url}{ONE}?ref=x")
        assert tab.last[0] == 200
    finally:
        restarted.end()


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_cookies_are_refused(
    *, javascript: bool, playwright: Playwright, newspaper: Site, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A browser that takes no cookies is asked, pays, and gets one page about cookies instead of a third redirect."""
    preferences = tmp_path / "Default" / "Preferences"
    preferences.parent.mkdir()
    preferences.write_text(json.dumps({"profile": {"default_content_setting_values": {"cookies": 2}}}))
    with playwright.chromium.launch_persistent_context(
        tmp_path, executable_path=CHROMIUM, args=ARGUMENTS, java_script_enabled=javascript
    ) as context:
        tab = Tab(context)
        assert tab.open(f"{newspaper.url}{ONE}?ref=x") == 402
        assert context.cookies() == []
        tab.button(PAY).click()
        tab.wait_for(newspaper.url + ONE)
        assert tab.last[0] == 402
        assert "ookie" in tab.text
        tab.picture_of("cookies-needed-page")
        before = len(tab.documents)
        assert tab.reload() == 402
        tab.link("Go on").click()
        tab.button(PAY).wait_for()
        assert len(tab.documents) - before <= 4
        assert tab.redirects_in_a_row <= 2


def test_mistaken_for_a_robot(open_tab: OpenTab, newspaper: Site, sandbox: Sandbox) -> None:
    """A reader whose browser calls itself a robot gets a page with a button, and loses nothing."""
    tab = open_tab(user_agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    before = len(sandbox.orders())
    assert tab.open(f"{newspaper.url}{ONE}?ref=x") == 402
    assert tab.page.url == f"{newspaper.url}{ONE}?ref=x"
    assert CONTENT in tab.text
    assert len(sandbox.orders()) == before
    tab.picture_of("payment-required-page")
    tab.button("Pay").click()
    tab.button(PAY).click()
    tab.wait_for(f"{newspaper.url}{ONE}?ref=x")
    assert "You have bought this article" in tab.text


def test_two_tabs_of_one_browser(tab: Tab, newspaper: Site, sandbox: Sandbox) -> None:
    """Paid in one tab, the other one is a click away from the article, and nobody pays twice."""
    before = len(sandbox.orders())
    other = Tab(tab.context)
    for one in (tab, other):
        assert one.open(newspaper.url + ONE) == 402
    tab.button(PAY).click()
    tab.wait_for(newspaper.url + ONE)
    other.wait_for(newspaper.url + ONE)
    assert "You have bought this article" in other.text
    assert len(sandbox.orders()) == before + 1
    assert other.redirects_in_a_row <= 2


def test_shared_links(tab: Tab, open_tab: OpenTab, newspaper: Site, sandbox: Sandbox) -> None:
    """Who is sent the link to somebody's order is led to the article, and is asked to pay for it there."""
    order_id = buy(tab, newspaper.url + ONE)
    friend = open_tab()
    assert friend.open(f"{sandbox.url}orders/{order_id}") == 402
    assert order_of(friend.page.url) != order_id
    friend.button(PAY).click()
    friend.wait_for(newspaper.url + ONE)
    assert "You have bought this article" in friend.text


def test_on_a_phone(open_tab: OpenTab, newspaper: Site) -> None:
    """Nothing on the pages of a phone's width is wider than the phone."""
    tab = open_tab(viewport={"width": 360, "height": 740}, device_scale_factor=2, is_mobile=True, has_touch=True)
    for name, url in (("front", "/"), ("order", ONE)):
        tab.open(newspaper.url + url)
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), url
        tab.picture_of(f"phone-{name}")


@pytest.mark.parametrize("path", [ONE, "/.well-known/taler-paywall/nothing"])
def test_no_page_of_ours_breaks_its_own_policy(path: str, open_tab: OpenTab, newspaper: Site) -> None:
    """The paywall's pages load their style sheet, and the browser's console has nothing to complain about."""
    tab = open_tab(user_agent="Googlebot/2.1")
    complaints: dict[str, str] = {}
    styles: list[int] = []
    tab.page.on("console", lambda message: complaints.update({message.location["url"]: message.text}))
    tab.page.on("response", lambda response: styles.append(response.status) if ".css?v=" in response.url else None)
    status = tab.open(newspaper.url + path)
    tab.page.wait_for_load_state("networkidle")
    assert styles == [200]
    # Browsers ask every site for this one, and not every site has it.
    complaints.pop(f"{newspaper.url}/favicon.ico", None)
    assert [text for text in complaints.values() if f"status of {status}" not in text] == []
