"""A tab that watches what the paywall's pages do: what they load, what the browser says of it, how they look."""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped] # it has no types
from playwright.sync_api import BrowserContext, ConsoleMessage, Frame, Request
from tab import TIMEOUT, Tab

from .site import BOUGHT

PAY: Final = "Pay with play money"
#: WCAG 2.2 AA and what axe recommends besides.
RULES: Final = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
NARROW: Final = 320
#: Statuses that our pages and polls have; the browser's console mentions each of them.
_EXPECTED: Final = re.compile(
    r"Failed to load resource: the server responded with a status of (400|402|403|404|429|503) "
)


class Reading(Tab):
    """A tab at one site.

    Args:
        context: the browser.
        site: its base URL.
    """

    def __init__(self, context: BrowserContext, site: str) -> None:
        super().__init__(context)
        self.site = site
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.loaded: list[Request] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._see)
        self.page.on("framenavigated", self._frame)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _EXPECTED.match(message.text):
            self.complaints.append(message.text)

    def _see(self, request: Request) -> None:
        self.loaded.append(request)
        shown = request.frame.url.startswith(self.site)
        if shown and not request.is_navigation_request() and not request.url.startswith((self.site, "data:")):
            self.foreign.append(request.url)

    def _frame(self, frame: Frame) -> None:
        if frame != self.page.main_frame:
            self.foreign.append(f"frame {frame.url}")

    @property
    def pay_uri(self) -> str:
        """The one URI for wallets on the page."""
        links = self.page.locator('a[href^="taler"]')
        assert links.count() == 1, self.text
        return links.get_attribute("href") or ""

    @property
    def order_id(self) -> str:
        """The order that the page waits for."""
        poll = self.page.locator("main").get_attribute("data-poll") or ""
        return parse_qs(urlsplit(poll).query)["order_id"][0]

    def read(self, url: str, seconds: float = TIMEOUT / 1000) -> None:
        """Wait until what was bought is shown, at its own address.

        Args:
            url: that was asked for.
            seconds: to wait at most.
        """
        self.page.get_by_role("heading", name=BOUGHT).wait_for(timeout=seconds * 1000)
        assert (self.page.url, self.last) == (url, (200, url))

    def buy(self, url: str) -> str:
        """Buy a page with play money, and return the ID of its order."""
        assert self.open(url) == 402
        order_id = self.order_id
        self.link(PAY).click()
        self.button(PAY).click()
        self.read(url)
        return order_id

    def look(self, name: str) -> None:
        """Hold what is shown against WCAG 2.2 AA, bright and dark, and a narrow screen against its edges."""
        self._check(name, "light")
        self._check(f"{name}-dark", "dark")
        size = self.page.viewport_size
        assert size is not None
        self.page.set_viewport_size({"width": NARROW, "height": 640})
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        self.picture_of(f"page-{name}-narrow")
        self.page.set_viewport_size(size)
        assert wide <= NARROW, name

    def _check(self, name: str, scheme: Literal["light", "dark"]) -> None:
        self.page.emulate_media(color_scheme=scheme)
        self.picture_of(f"page-{name}")
        found = Axe().run(self.page, options=RULES)
        self.page.emulate_media(color_scheme="null")
        assert found.violations_count == 0, found.generate_report()
        assert found.response["passes"]

    def close(self) -> None:
        """Close the browser, and say what it should never have seen."""
        self.context.close()
        assert self.redirects_in_a_row <= 2, self.documents
        assert self.complaints == []
        assert self.foreign == []
