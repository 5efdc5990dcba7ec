"""A real Chromium buys through TLS and the prefix, at the backend behind the same nginx."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from reader import order_of
from running import Sandbox, eventually
from tab import ARGUMENTS, CHROMIUM, Tab

from .setups import BACKEND, BACKEND_BELOW, PASSED_GUNICORN, STRIPPED_UVICORN, Proxied, Proxies
from .walk import BEES, BOUGHT

PAY = "Pay with play money"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser,
    ):
        yield browser


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Tab]:
    """Open a tab of a browser that does not know the certificates, and count its redirects in the end."""
    context = chromium.new_context(ignore_https_errors=True)
    opened = Tab(context)
    yield opened
    context.close()
    assert opened.redirects_in_a_row <= 2, opened.documents


@pytest.fixture(
    params=[(STRIPPED_UVICORN, BACKEND, "/"), (PASSED_GUNICORN, BACKEND_BELOW, "/backend/")],
    ids=["uvicorn", "gunicorn"],
)
def site(request: pytest.FixtureRequest, proxies: Proxies) -> Proxied:
    setup, section, path = request.param
    return proxies.get(setup, section, backend=path)


def test_the_whole_way_by_clicks(tab: Tab, site: Proxied, sandbox: Sandbox) -> None:
    """Front page, article, order page, pay, read, reload, back, next article, refund, buy again, read."""
    assert tab.open(f"{site.url}/") == 200
    tab.link("All about bees").click()
    tab.wait_for(f"{site.backend}orders/*")
    order_id = order_of(tab.page.url)
    tab.button(PAY).click()
    tab.wait_for(site.url + BEES)
    assert (tab.last, BOUGHT in tab.text) == ((200, site.url + BEES), True)
    assert tab.reload() == 200
    tab.page.go_back()
    assert tab.last[0] in {200, 402}
    tab.page.go_forward()
    tab.wait_for(site.url + BEES)
    assert BOUGHT in tab.text

    tab.link("All about wasps").click()
    tab.wait_for(f"{site.backend}orders/*")
    assert order_of(tab.page.url) != order_id
    assert tab.open(f"{site.url}{BEES}?ref=x") == 200

    sandbox.refund(order_id, "KUDOS:0.5")
    eventually(lambda: tab.open(site.url + BEES) == 402, "the refund takes effect")
    style = tab.page.evaluate("document.styleSheets[0].cssRules.length")
    assert style > 0, "the style sheet of the paywall is found under the prefix"
    tab.button("Buy again").click()
    tab.wait_for(f"{site.backend}orders/*")
    tab.button(PAY).click()
    tab.wait_for(site.url + BEES)
    assert (BOUGHT in tab.text, tab.reload()) == (True, 200)
    names = {cookie.get("name", "") for cookie in tab.page.context.cookies(site.url)}
    assert any(name.startswith("__Host-taler_") for name in names)
