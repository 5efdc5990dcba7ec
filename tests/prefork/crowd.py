"""Readers who all begin at the same moment: each is a thread with a browser, a cookie jar and a wallet of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

#: How often a reader whom one worker after another answers asks again until all have.
MOST_VISITS = 500
#: Seconds.
PATIENCE = 120


class Customer:
    """A reader and what she has: cookies, and a wallet's file.

    Args:
        url: of the site.
        purse: the wallet's file.
        pages: what she wants to read.
    """

    def __init__(self, url: str, purse: Path, pages: list[str]) -> None:
        self.purse = purse
        self.pages = pages
        self.reader = Reader(url)
        # The last of a crowd waits for all the others.
        self.reader.http.timeout = PATIENCE
        # Every visit may come to another worker.
        self.reader.http.headers["Connection"] = "close"
        #: How many of her requests were not answered.
        self.lost = 0

    def visit(self, url: str) -> httpx.Response:
        """Ask, and ask again where a worker has died meanwhile."""
        try:
            return self.reader.visit(url)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            self.lost += 1
            return self.reader.visit(url)

    def buy(self) -> None:
        """Go to one page after another, pay, come back, and read it."""
        with TalerWallet(self.purse) as wallet:
            for page in self.pages:
                asked = self.visit(page)
                assert asked.status_code == 302, (asked.status_code, asked.text)
                paid = wallet.pay(asked.headers["location"])
                assert (paid.how, paid.fulfillment_url) == ("paid", f"{self.reader.base_url}{page}")
                self.read(page)

    def read(self, page: str) -> int:
        """Read a page that is paid, without being asked for anything; return the worker that has shown it."""
        answer = self.visit(page)
        assert answer.status_code == 200, (answer.status_code, answer.headers, answer.text)
        worker, shown, _ = answer.text.split()
        assert shown == page
        return int(worker)

    def read_on(self, workers: set[int]) -> None:
        """Read each page until each of these workers has shown it, and no other."""
        for page in self.pages:
            seen: set[int] = set()
            for _ in range(MOST_VISITS):
                seen.add(self.read(page))
                if seen == workers:
                    break
            assert seen == workers, page


def all_at_once(tasks: list[Callable[[], None]]) -> None:
    """Run tasks in threads that begin together; raise what one of them raises."""
    start = Barrier(len(tasks))

    def run(task: Callable[[], None]) -> None:
        start.wait(PATIENCE)
        task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        list(pool.map(run, tasks))
