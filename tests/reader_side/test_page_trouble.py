"""When something is in the way: the payment service is down, wallets hold other orders, cookies are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from signal import SIGKILL
from time import monotonic

import pytest
from playwright.sync_api import BrowserContext, Playwright
from running import Wallet
from tab import ARGUMENTS, CHROMIUM

from .conftest import OpenShop, OpenTab
from .counter import Counter, Shop
from .reading import Reading
from .test_page_paying import NOTICED

#: Seconds after which a page without cookies would have been made anew several times.
AFTER_A_WHILE = 30


def test_the_payment_service_is_down(
    tab: Reading, open_tab: OpenTab, counter: Counter, slug: str, wallet: Wallet
) -> None:
    """The waiting page says so, stays, and goes on once the service is back and the order is paid."""
    url = f"{tab.site}/articles/{slug}?page=2"
    tab.open(url)
    uri = tab.pay_uri
    counter.process.end(SIGKILL)
    tab.page.get_by_text("The connection is lost.").wait_for(timeout=60_000)
    tab.picture_of("page-connection-lost")
    late = open_tab()
    assert late.open(url) == 503
    late.look("unavailable")
    counter.start()
    late.link("Try again").click()
    late.page.locator("main[data-poll]").wait_for()
    assert wallet.pay(uri).startswith("paid:")
    tab.read(url, 60)
    assert tab.documents == [(402, url), (200, url)]


def test_held_by_other_wallets(open_tab: OpenTab, shop: Shop, counter: Counter, slug: str, wallet: Wallet) -> None:
    """Orders that strangers have claimed are replaced, one in each request; then the page can be paid for."""
    url = f"{shop.url}/articles/{slug}?page=2"
    tab = open_tab()
    tab.open(url)
    state = tab.context.storage_state()
    counter.claim(tab.order_id)
    assert tab.reload() == 402
    counter.claim(tab.order_id)
    # Another tab of the same browser, which has not heard of the replacement.
    tab = open_tab(storage_state=state)
    assert tab.open(url) == 402
    tab.look("try-again")
    tab.link("Try again").click()
    tab.page.locator("main[data-poll]").wait_for()
    wallet.pay(tab.pay_uri)
    tab.read(url, NOTICED)
    assert len(counter.orders_for(slug)) == 3


def test_another_payment_is_proved(tab: Reading, shop: Shop, counter: Counter, slug: str, wallet: Wallet) -> None:
    """A wallet that has paid something else for the same address proves that: the page says so, and sells anew."""
    url = f"{shop.url}/articles/{slug}"
    assert wallet.pay(counter.sell(url)).startswith("paid:")
    tab.open(url)
    assert wallet.pay(tab.pay_uri).startswith("proved:")
    tab.page.get_by_role("heading", name="does not fit").wait_for()
    assert tab.last == (402, url)
    tab.look("not-acceptable")
    tab.button("Buy").click()
    assert wallet.pay(tab.pay_uri).startswith("paid:")
    tab.read(url, NOTICED)


def test_there_is_nothing(tab: Reading, shop: Shop) -> None:
    """Addresses of ours that do not exist, or cannot be read, have pages too."""
    assert tab.open(f"{shop.url}/.well-known/taler-paywall/nothing") == 404
    tab.look("unknown-path")
    assert tab.open(f"{shop.url}/articles//x") == 400
    tab.look("ambiguous-path")


@pytest.fixture(scope="module")
def no_cookies(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """Run a Chromium whose owner refuses all cookies."""
    home = tmp_path_factory.mktemp("chromium")
    preferences = home / "Default" / "Preferences"
    preferences.parent.mkdir()
    preferences.write_text(json.dumps({"profile": {"default_content_setting_values": {"cookies": 2}}}))
    with playwright.chromium.launch_persistent_context(
        home, executable_path=CHROMIUM, args=ARGUMENTS, locale="en"
    ) as context:
        yield context


def test_cookies_are_refused(no_cookies: BrowserContext, shops: OpenShop, counter: Counter, slug: str) -> None:
    """With scripts and without, on both protocols: one page about cookies, no circle, no order after order."""
    tabs: list[tuple[Reading, str]] = []
    end = monotonic() + AFTER_A_WHILE
    for kind in ("asgi", "wsgi"):
        for scripts in (True, False):
            tab = Reading(no_cookies, shops(kind).url)
            if not scripts:
                session = no_cookies.new_cdp_session(tab.page)
                session.send("Emulation.setScriptExecutionDisabled", {"value": True})
            url = f"{tab.site}/articles/{slug}-{'with' if scripts else 'without'}-scripts?page=2"
            assert tab.open(url) == 402
            tabs.append((tab, url))
    for tab, _ in tabs:
        tab.page.get_by_role("heading", name="Cookies are needed").wait_for(timeout=AFTER_A_WHILE * 1000)
    tabs[0][0].page.wait_for_timeout(1000 * max(end - monotonic(), 0))
    for tab, url in tabs:
        assert [status for status, _ in tab.documents] == [402, 402], tab.documents
        assert len(counter.orders_for(url.removeprefix("http://").partition("?")[0])) == 1
    tabs[0][0].look("cookies-needed")
    tab, url = tabs[1]
    tab.link("Go on").click()
    tab.page.locator("main[data-poll]").wait_for()
    assert no_cookies.cookies() == []
    for tab, _ in tabs:
        assert tab.complaints == tab.foreign == []
        assert tab.redirects_in_a_row <= 2
        tab.page.close()
