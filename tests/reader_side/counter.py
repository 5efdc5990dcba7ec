"""The merchant's side: the play backend, whose clock can be put ahead, and the sites that sell for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from conformance.till import Till
from running import TLS, TOKEN, Process, free_port
from servers import BY_NAME

#: How long an offer stands where the site does not say, and how long it can be refunded, in seconds.
PAY_DELAY, REFUND_DELAY = 24 * 3600, 3600
THREADS = 8

#: Runs a test on both protocols.
both = pytest.mark.parametrize("shop", ["asgi", "wsgi"], indirect=True)

_SERVERS = {
    "asgi": ("uvicorn", "tests.reader_side.site:asgi", ("--factory",)),
    "wsgi": ("gunicorn threads", "tests.reader_side.site:wsgi()", ("--threads", str(THREADS))),
    "dressed": ("uvicorn", "tests.reader_side.site:dressed", ("--factory",)),
}


class Counter(Till):
    """The play backend of these sites."""

    @contextmanager
    def clock(self, shift: int) -> Iterator[None]:
        """Let its clock be ahead for a while, or behind.

        Args:
            shift: in seconds.
        """
        self._do("PUT", f"/clock?shift={shift}")
        try:
            yield
        finally:
            self._do("PUT", "/clock?shift=0")

    def claim(self, order_id: str) -> None:
        """Let a stranger's wallet claim an order."""
        self._do("POST", f"/orders/{order_id}/claim")

    def sell(self, fulfillment_url: str) -> str:
        """Make an order that is no site's, and return its status URL."""
        order = {"summary": "Something else", "amount": "KUDOS:0.5", "fulfillment_url": fulfillment_url}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        made = httpx.post(
            f"{self.url}private/orders", json={"order": order}, headers=headers, trust_env=False, verify=TLS
        )
        made.raise_for_status()
        order_id, token = made.json()["order_id"], made.json()["token"]
        return f"{self.url}orders/{order_id}?token={token}"


@dataclass(frozen=True)
class Shop:
    """A running site, at another host name than its backend, so that what crosses between the two is cross-site.

    Args:
        kind: ``asgi``, ``wsgi`` or ``dressed``.
        url: its base URL, no slash at the end.
    """

    kind: str
    url: str
    process: Process


@contextmanager
def selling(kind: str, counter: Counter, **settings: str) -> Iterator[Shop]:
    """Run a site on play money; it has to stay free of errors.

    Args:
        kind: see `Shop`.
        counter: whose home directory the site shares, to recognise it by its secret.
        settings: environment variables.
    """
    server, app, options = _SERVERS[kind]
    port = free_port()
    url = f"http://localhost:{port}"
    environment = {"TALER_PAYWALL_BACKEND": f"sandbox:{counter.port}", "TALER_PAYWALL_PUBLIC_URL": url}
    process = BY_NAME[server].start(counter.home, app, port, *options, **environment | settings)
    process.wait_for(f"http://127.0.0.1:{port}/")
    try:
        yield Shop(kind, url, process)
    finally:
        process.end()
    assert "Traceback" not in process.output, process.output
