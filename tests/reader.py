"""A reader's browser as far as HTTP shows it: its headers, its cookies, and nobody who follows redirects for it."""

from __future__ import annotations

from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
from running import TLS

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PICTURE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


class Reader:
    """One browser with its cookies.

    Args:
        base_url: of the site.
        transport: the way to a site that runs in this process.
    """

    def __init__(self, base_url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.base_url = base_url
        self.http = httpx.Client(
            base_url=base_url,
            transport=transport,
            trust_env=False,
            verify=TLS,
            timeout=30,
            headers={"User-Agent": USER_AGENT, "Accept-Language": "en"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def visit(self, url: str, *, site: str = "none", referer: str = "") -> httpx.Response:
        """Navigate as if the address had been typed in, or a link been clicked."""
        headers = {
            "Accept": PAGE,
            "Sec-Fetch-Site": site,
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-User": "?1",
            "Sec-Fetch-Dest": "document",
            "Upgrade-Insecure-Requests": "1",
        }
        return self.http.get(url, headers=headers | ({"Referer": referer} if referer else {}))

    def come_back(self, url: str) -> httpx.Response:
        """Navigate as a browser that the page of another site has led here."""
        return self.visit(url, site="cross-site")

    def picture(self, url: str) -> httpx.Response:
        """Load a picture of a page."""
        headers = {
            "Accept": PICTURE,
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "no-cors",
            "Sec-Fetch-Dest": "image",
        }
        return self.http.get(url, headers=headers)

    def press(self, action: str, fields: dict[str, str], **changed: str) -> httpx.Response:
        """Send a form of the page."""
        headers = {
            "Accept": PAGE,
            "Origin": self.base_url,
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-User": "?1",
            "Sec-Fetch-Dest": "document",
        }
        kept = {name: value for name, value in (headers | changed).items() if value}
        return self.http.post(action, data=fields, headers=kept)

    def buy_again(self, page: str) -> httpx.Response:
        """Press the button of the refunded page."""
        return self.press("/.well-known/taler-paywall/reorder", {"page": page, "method": "GET"})

    def cookies(self, part: str = "") -> dict[str, str]:
        """Return the cookies whose names contain something."""
        return {cookie.name: cookie.value or "" for cookie in self.http.cookies.jar if part in cookie.name}

    def drop(self, part: str = "") -> None:
        """Lose the cookies whose names contain something."""
        for cookie in list(self.http.cookies.jar):
            if part in cookie.name:
                self.http.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)

    def hold(self, cookies: dict[str, str]) -> None:
        """Have these cookies and no others."""
        self.http.cookies.clear()
        for name, value in cookies.items():
            self.http.cookies.set(name, value, domain="127.0.0.1", path="/")


def order_of(status_url: str) -> str:
    """Return the ID of the order that a status URL is of."""
    return urlsplit(status_url).path.rpartition("/")[2]
