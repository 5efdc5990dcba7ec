"""A tab of a real Chromium that counts the redirects its reader is sent through."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, Locator, Response
from running import ROOT

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ARTIFACTS = ROOT / "artifacts"
TIMEOUT = 20_000
SITE_COOKIES = re.compile("^taler_(?!paywall_sandbox)")


class Tab:
    """One tab, with a list of every document that its main frame was given."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.page = context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.documents: list[tuple[int, str]] = []
        self.pictures: list[tuple[int, str]] = []
        self.page.on("response", self._note)

    def _note(self, response: Response) -> None:
        if response.request.is_navigation_request() and response.frame == self.page.main_frame:
            self.documents.append((response.status, response.url))
        elif response.request.resource_type == "image":
            self.pictures.append((response.status, response.url))

    @property
    def redirects_in_a_row(self) -> int:
        """The longest run of redirects that this tab has ever seen, links and scripts in between or not."""
        longest = row = 0
        for status, _ in self.documents:
            row = row + 1 if 300 <= status < 400 else 0
            longest = max(longest, row)
        return longest

    @property
    def last(self) -> tuple[int, str]:
        """Status and address of the document that is shown."""
        return self.documents[-1]

    @property
    def text(self) -> str:
        return self.page.locator("body").inner_text()

    def open(self, url: str) -> int:
        """Type an address in; return the status of what is shown in the end."""
        response = self.page.goto(url)
        assert response is not None
        chain, request = 0, response.request
        while request.redirected_from is not None:
            chain, request = chain + 1, request.redirected_from
        assert chain <= 2, self.documents
        return response.status

    def reload(self) -> int:
        response = self.page.reload()
        assert response is not None
        return response.status

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    def wait_for(self, url: str) -> None:
        """Wait until an address is shown; a star stands for anything."""
        self.page.wait_for_url(re.compile(re.escape(url).replace(r"\*", ".*") + r"\Z"))

    def picture_of(self, name: str) -> Path:
        """Keep a picture of what the reader sees."""
        ARTIFACTS.mkdir(exist_ok=True)
        file = ARTIFACTS / f"{name}.png"
        self.page.screenshot(path=file, full_page=True)
        return file
