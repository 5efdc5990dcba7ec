"""A site whose owner changes its settings, and a Chromium that holds the cookies of the former ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import trustme
from flood.pages import text_of
from flood.world import Backend
from playwright.sync_api import Browser
from running import SECRET_KEY, TOKEN, Process, eventually, listens
from tab import Tab

#: To a browser no names of its own machine, so that plain http is as insecure as anywhere.
HOST: Final = "news.example"
OTHER_HOST: Final = "www.news.example"
HOSTS: Final = (HOST, OTHER_HOST)
PAGE: Final = "/articles/bees"
PAY: Final = "Pay with play money"
#: What a reader presses at the most to read a page.
PRESSES: Final = 3
#: Where what is shown leads on.
WAY_ON: Final = re.compile("^(Go on|Bring it back)")


def resolver(ports: Mapping[str, int]) -> str:
    """Return the rule by which Chromium finds both names, at the usual ports, where the site really is.

    Args:
        ports: of this machine, by scheme.
    """
    usual = {"http": 80, "https": 443}
    rules = [f"MAP {host}:{usual[scheme]} 127.0.0.1:{port}" for scheme, port in ports.items() for host in HOSTS]
    return f"--host-resolver-rules={', '.join(rules)}"


@dataclass(frozen=True)
class Settings:
    """What the owner has decided.

    Args:
        scheme: of the public URL.
        served: the schemes that the site is served by, empty for that of the public URL.
        host: of the public URL.
        backend: which of the two.
        key: the secret key.
        clock: how many seconds the site's clock is ahead.
        options: further keywords of the middleware.
    """

    scheme: str = "http"
    served: tuple[str, ...] = ()
    host: str = HOST
    backend: int = 0
    key: str = SECRET_KEY
    clock: int = 0
    options: dict[str, Any] = field(default_factory=dict)


class Wild:
    """Everything that runs.

    Args:
        home: a directory for all files.
        chromium: opens tabs.
        backends: those that there are.
        ports: where the site is, by scheme.
    """

    def __init__(self, home: Path, chromium: Browser, backends: list[Backend], ports: Mapping[str, int]) -> None:
        self._home = home
        self._ports = ports
        self._certificate = home / "certificate.pem"
        trustme.CA().issue_cert(*HOSTS).private_key_and_cert_chain_pem.write_to_path(self._certificate)
        self.backends = backends
        self._paid_before = self._paid()
        self.processes: list[Process] = []
        self.context = chromium.new_context(ignore_https_errors=True)
        self.tab = Tab(self.context)

    def close(self) -> None:
        """End what was started here."""
        self.context.close()
        self.stop()

    def stop(self) -> None:
        """End the site."""
        for process in self.processes:
            process.end()
        self.processes = []

    def url(self, settings: Settings, scheme: str = "") -> str:
        """Return the address of the site by a scheme, by default that of its public URL."""
        return f"{scheme or settings.scheme}://{settings.host}"

    def serve(self, settings: Settings) -> None:
        """Start the site in the place of the one that runs."""
        self.stop()
        schemes = settings.served or (settings.scheme,)
        self.processes = [self._start(settings, scheme) for scheme in schemes]
        for process, scheme in zip(self.processes, schemes, strict=True):
            eventually(partial(self._listens, process, self._ports[scheme]), "the site listens")

    def _listens(self, process: Process, port: int) -> bool:
        assert process.popen.poll() is None, process.output
        return listens(port)

    def _start(self, settings: Settings, scheme: str) -> Process:
        """Start a server that speaks http or https, as a proxy in front of the site does."""
        tls = ("--ssl-keyfile", str(self._certificate), "--ssl-certfile", str(self._certificate))
        return Process(
            self._home,
            *("uvicorn", "tests.flood.site:asgi", "--host", "127.0.0.1", "--port", str(self._ports[scheme])),
            # It would wait for the browser to close its connections.
            *("--no-proxy-headers", "--timeout-graceful-shutdown", "1", *(tls if scheme == "https" else ())),
            TALER_PAYWALL_BACKEND=self.backends[settings.backend].url,
            TALER_PAYWALL_TOKEN=TOKEN,
            TALER_PAYWALL_SECRET_KEY=settings.key,
            TALER_PAYWALL_PUBLIC_URL=self.url(settings),
            OPTIONS=json.dumps(settings.options),
            CLOCK=str(settings.clock),
        )

    @property
    def log(self) -> str:
        """What the servers that run have said."""
        return "".join(process.output for process in self.processes)

    def cookies(self, url: str) -> set[str]:
        """Return the names of the paywall's cookies that the browser sends to an address."""
        names = {cookie.get("name", "") for cookie in self.context.cookies(url)}
        return {name for name in names if "taler_" in name and "sandbox" not in name}

    def read(self, url: str) -> list[str]:
        """Open a page, press whatever button or link leads on, read it, and return what was pressed."""
        pressed: list[str] = []
        self.tab.open(url)
        while f"<p>{self.tab.text}</p>".encode() not in text_of(urlsplit(url).path):
            assert len(pressed) < PRESSES, (pressed, self.tab.documents, self.tab.text)
            paying = any(self.tab.page.url.startswith(backend.url) for backend in self.backends)
            way_on = self.tab.button(PAY) if paying else self.tab.page.get_by_role("link", name=WAY_ON)
            name, before = way_on.inner_text(), len(self.tab.documents)
            way_on.click()
            eventually(partial(self._has_moved, before), "another document")
            pressed.append(name)
        assert self.tab.redirects_in_a_row <= 2, self.tab.documents
        return pressed

    def _has_moved(self, documents: int) -> bool:
        """Tell whether another document than the last of so many is shown, and no redirect is on its way."""
        self.tab.page.wait_for_load_state()
        return len(self.tab.documents) > documents and not 300 <= self.tab.last[0] < 400

    def reads_at_once(self, url: str) -> bool:
        """Tell whether a page opens without a detour."""
        before = len(self.tab.documents)
        return self.tab.open(url) == 200 and len(self.tab.documents) == before + 1

    @property
    def paid(self) -> list[int]:
        """How many orders were paid in this test, at each backend."""
        return [now - before for now, before in zip(self._paid(), self._paid_before, strict=True)]

    def _paid(self) -> list[int]:
        query = {"paid": "yes", "limit": "-1000"}
        return [len(backend.http.get("private/orders", params=query).json()["orders"]) for backend in self.backends]
