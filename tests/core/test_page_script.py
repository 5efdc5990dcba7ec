"""Our pages in a real Chromium: whether everybody can use them, and what their script does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped] # it has no types
from playwright.sync_api import Browser, Page, Route, sync_playwright
from tab import ARGUMENTS, CHROMIUM

from core.script import NOW, SITE
from core.states import PAGE, PAY_URI, STATES, answer, static

LONG = "Donaudampfschifffahrtsgesellschaftskapitänswitwenrente und andere Wörter"

#: Notes when the script asks, by the page's own clock.
NOTING = """
window.asked = [];
const ask = fetch;
window.fetch = (...question) => { asked.push(performance.now()); return ask(...question); };
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started, started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser:
        yield browser


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Show a page as it is sent; ``polled`` answers what its script asks, and where it goes on is an empty page."""
    contexts = []

    def shown(
        state: str, polled: Callable[[Route], None], *, language: str = "en", site: str = SITE, **options: Any
    ) -> Page:
        page = answer(state, language=language, summary=LONG)
        headers = {name.decode(): value.decode("latin-1") for name, value in page.headers}
        context = browser.new_context(**options)
        contexts.append(context)
        context.route("**/*", lambda route: route.fulfill(body="", headers={"content-type": "text/html"}))
        context.route("**/style.css*", lambda route: route.fulfill(body=static("style.css"), content_type="text/css"))
        context.route(
            "**/page.js*", lambda route: route.fulfill(body=static("page.js"), content_type="text/javascript")
        )
        context.route("**/poll-payment*", polled)
        context.route(f"{site}{PAGE}", lambda route: route.fulfill(status=page.status, body=page.body, headers=headers))
        tab = context.new_page()
        tab.clock.install(time=NOW)
        tab.add_init_script(NOTING)
        tab.goto(f"{site}{PAGE}")
        return tab

    yield shown
    for context in contexts:
        context.close()


def silent(route: Route) -> None:
    """Keep a question waiting."""


def says(body: str, status: int = 200, **headers: str) -> Callable[[Route], None]:
    """Return a poll's answer."""
    return lambda route: route.fulfill(status=status, body=body, headers=headers)


UNPAID = says('{"paid": false, "taler_pay_uri": "taler://pay/x/y/z"}')
PAID = says('{"paid": true, "refunded": false}')


@pytest.mark.parametrize("state", STATES)
def test_everybody_can_use_it(show: Callable[..., Page], state: str) -> None:
    """No violation of WCAG 2.2 AA that axe finds, nothing to scroll sideways for, nothing that the policy forbids."""
    page = show(state, silent, language="de", viewport={"width": 320, "height": 640})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.reload()
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    assert found.violations_count == 0, found.generate_report()
    page.emulate_media(color_scheme="dark")
    dark = Axe().run(page, options={"runOnly": {"type": "rule", "values": ["color-contrast"]}})
    assert dark.violations_count == 0, dark.generate_report()
    assert len(dark.response["passes"]) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert not [text for text in said if "Content Security Policy" in text]


@pytest.mark.parametrize(
    ("polled", "place"),
    [
        (PAID, f"{PAGE}?page=2"),
        (says('{"paid": false, "taler_pay_uri": "x", "already_paid_order_id": "o"}'), f"{PAGE}?page=2"),
        (says("{}", 404), "/.well-known/taler-paywall/continue?order_id="),
    ],
)
def test_the_page_goes_on(show: Callable[..., Page], polled: Callable[[Route], None], place: str) -> None:
    """In place of itself: the way back does not lead to a page that sends its reader on again."""
    page = show("open", polled)
    before = page.evaluate("history.length")
    with page.expect_navigation(url=lambda url: url.startswith(SITE + place)):
        page.clock.run_for(3000)
    assert page.evaluate("history.length") == before


class Questions:
    """What the script of a page asks, each question answered by the next one of some answers.

    Args:
        answers: the last one again and again.
    """

    def __init__(self, *answers: Callable[[Route], None]) -> None:
        self.asked: list[str] = []
        self._answers = answers

    def __call__(self, route: Route) -> None:
        self.asked.append(route.request.url)
        self._answers[min(len(self.asked), len(self._answers)) - 1](route)

    def wait_for(self, page: Page, number: int) -> None:
        """Let the page's time pass until it has asked so often."""
        deadline = time.monotonic() + 60
        while len(self.asked) < number and time.monotonic() < deadline:
            page.clock.run_for(250)
        assert len(self.asked) == number


def pauses(page: Page) -> list[float]:
    """Return the seconds of the page's time before each question."""
    times = [0.0, *page.evaluate("asked")]
    return [(later - earlier) / 1000 for earlier, later in pairwise(times)]


def test_questions_are_seconds_apart(show: Callable[..., Page]) -> None:
    """Where the answer comes at once, and also when readers come and go."""
    polled = Questions(UNPAID)
    page = show("open", polled)
    for number in range(1, 4):
        polled.wait_for(page, number)
        page.evaluate("dispatchEvent(new Event('online'))")
    # The page's own clock counts whole milliseconds.
    assert all(pause >= 2.99 for pause in pauses(page)), pauses(page)
    assert all(url.startswith(SITE) and url.endswith("&timeout=20") for url in polled.asked)


def test_failures_are_waited_out(show: Callable[..., Page]) -> None:
    """As long as the server says, else longer each time; the reader is told, and the page goes on in the end."""
    polled = Questions(says("", 503, **{"Retry-After": "20"}), Route.abort, says("<html>", 502), says("?"), PAID)
    page = show("open", polled)
    status = page.get_by_role("status")
    polled.wait_for(page, 4)
    assert all(pause >= least for pause, least in zip(pauses(page), (3, 20, 6, 12), strict=True)), pauses(page)
    assert status.inner_text() == "The connection is lost. This page tries again by itself."
    with page.expect_navigation(url=f"{SITE}{PAGE}?page=2"):
        polled.wait_for(page, 5)


def test_a_crowd_is_no_failure(show: Callable[..., Page]) -> None:
    """Where too many wait, the page asks again soon, without waiting, and does not speak of lost connections."""
    polled = Questions(says("", 429), says("", 429), says("", 429), PAID)
    page = show("open", polled)
    polled.wait_for(page, 3)
    assert [url.rpartition("=")[2] for url in polled.asked] == ["20", "0", "0"]
    assert all(pause <= 10.5 for pause in pauses(page)), pauses(page)
    assert page.get_by_role("status").inner_text() == "Waiting for your payment. This page goes on by itself."
    with page.expect_navigation(url=f"{SITE}{PAGE}?page=2"):
        polled.wait_for(page, 4)


def test_time_runs_out_once(show: Callable[..., Page]) -> None:
    """The page counts down, asks for a new offer in the end, and believes the site where clocks differ."""
    page = show("open", silent)
    left = page.locator("time")
    page.clock.run_for(45_000)
    assert left.inner_text() == "59 minutes"
    page.clock.fast_forward(3600_000 - 45_000 - 35_000)
    assert left.inner_text() == "40 seconds"
    with page.expect_navigation(url=f"{SITE}{PAGE}?page=2"):
        page.clock.fast_forward(40_000)
    late = show("open", silent)
    late.clock.set_system_time(NOW + 9999)
    documents: list[str] = []
    late.on("request", lambda request: documents.append(request.url) if request.is_navigation_request() else None)
    late.reload()
    late.clock.run_for(60_000)
    assert len(documents) == 1


@pytest.mark.parametrize(
    ("site", "told"), [(SITE, "Copied."), ("http://news.example", "The code is selected: copy it now.")]
)
def test_the_code_is_copied(show: Callable[..., Page], site: str, told: str) -> None:
    """Where the browser allows it, else it is selected."""
    page = show("open", silent, site=site, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text(told, exact=True).wait_for()
    copied = "navigator.clipboard.readText()" if site == SITE else "getSelection().toString()"
    assert page.evaluate(copied) == PAY_URI


def test_without_scripts_there_is_no_button_that_does_nothing(show: Callable[..., Page]) -> None:
    page = show("open", silent, java_script_enabled=False)
    assert page.get_by_role("button").count() == 0
    assert page.get_by_label("Or copy this code into your wallet").input_value() == PAY_URI


@pytest.mark.parametrize(
    "event",
    [
        "new Event('online')",
        "new PageTransitionEvent('pageshow', {persisted: true})",
        "new Event('visibilitychange', {bubbles: true})",
    ],
)
def test_who_comes_back_does_not_wait(show: Callable[..., Page], event: str) -> None:
    """Not even where the server has asked for patience: people pay elsewhere and return."""
    polled = Questions(says("", 503, **{"Retry-After": "3600"}), PAID)
    page = show("open", polled)
    polled.wait_for(page, 1)
    page.clock.run_for(9000)
    assert len(polled.asked) == 1
    with page.expect_navigation(url=f"{SITE}{PAGE}?page=2"):
        page.evaluate(f"document.dispatchEvent({event})" if "visibility" in event else f"dispatchEvent({event})")
