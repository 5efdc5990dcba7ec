"""The WSGI adapter among threads and greenlets: no cross talk, nobody waits for another, and nothing is started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from wsgiref.types import StartResponse, WSGIEnvironment

from reader import order_of
from running import ROOT, environment

from taler_paywall import payment_from
from taler_paywall.testing.wallet import TalerWallet
from taler_paywall.transport import TOTAL_TIMEOUT

from .till import Till
from .wsgi_backends import hanging
from .wsgi_calls import BROWSER, Answer, asked, behind, call

THREADS = 32
SLACK = 3


def receipt(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the page's name and the order that opened it."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", f"page={environ['PATH_INFO'][-2:]}")])
    payment = payment_from(environ)
    assert payment
    yield environ["PATH_INFO"].encode()
    yield payment.order_id.encode()


def run(home: Path, script: str, backend: str) -> str:
    """Run a script of these tests, every warning an error, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"tests.conformance.{script}", backend],
        cwd=ROOT,
        env=environment(home, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def held_after(before: str, new: str) -> dict[str, str]:
    """Return the cookies of a browser after an answer."""
    return dict(pair.split("=", 1) for pair in f"{before}; {new}".split("; ") if pair)


def test_threads_do_not_talk_across(sandbox: Till, purse: TalerWallet) -> None:
    """Thirty-two readers at once, a thread for each: each has its own order and cookies, and reads its own page."""
    site = behind(receipt, sandbox.url)
    pages = [f"/paid/thread-{number:02}" for number in range(THREADS)]
    together = Barrier(THREADS)

    def visit(page: str, cookies: str = "") -> Answer:
        together.wait(60)
        return call(site, asked(page, **BROWSER, **({"HTTP_COOKIE": cookies} if cookies else {})))

    with ThreadPoolExecutor(THREADS) as threads:
        ordered = list(threads.map(visit, pages))
        assert {answer.status for answer in ordered} == {302}
        cookies = [answer.cookies for answer in ordered]
        assert len(set(cookies)) == THREADS
        orders = [answer.header("location") or "" for answer in ordered]
        for order in orders:
            purse.pay(order)
        for _ in range(2):
            read = list(threads.map(visit, pages, cookies))
            for page, answer, order in zip(pages, read, orders, strict=True):
                assert answer.pieces == [page.encode(), order_of(order).encode()]
                assert answer.cookies.partition("; ")[0] == f"page={page[-2:]}"
            kept = [held_after(before, answer.cookies) for before, answer in zip(cookies, read, strict=True)]
            # The first time, an order's cookie notes that it was read.
            assert [held.keys() for held in kept] == [held_after(before, "").keys() | {"page"} for before in cookies]
            cookies = ["; ".join(f"{name}={value}" for name, value in held.items()) for held in kept]
        assert {answer.cookies for answer in read} == {f"page={page[-2:]}" for page in pages}
        stolen = list(threads.map(visit, pages, cookies[1:] + cookies[:1]))
    assert {answer.status for answer in stolen} == {302}
    for page in pages:
        mine = [order for order in sandbox.orders_for(page) if order.paid]
        assert [order.fulfillment_url.endswith(page) for order in mine] == [True]


def test_greenlets_wait_at_the_same_time(tmp_path: Path) -> None:
    """Under gevent fifty visits to a backend that says nothing take the time of one, and free pages none."""
    with hanging("says nothing") as backend:
        free, statuses, seconds = run(tmp_path, "wsgi_gevent", backend).splitlines()
    assert (free, statuses) == ("[b'hello']", "{503}")
    assert float(seconds) < SLACK * TOTAL_TIMEOUT


def test_nothing_is_started(sandbox: Till, tmp_path: Path) -> None:
    """No thread, no event loop, and no file or socket before the first request that needs the backend."""
    assert run(tmp_path, "wsgi_quiet", sandbox.url) == ""
