"""The payment service is killed, frozen, wiped and started again under the site's feet."""

from __future__ import annotations

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection

from reader import PAGE, Reader, order_of
from running import TOKEN, Sandbox, Site, StartSandbox, StartSite, Wallet, eventually
from servers import Protocol

from taler_paywall import async_transport, blocking_transport
from taler_paywall.breaker import PROBE_SECONDS
from taler_paywall.transport import TOTAL_TIMEOUT

from .sites import THREADS
from .test_newspaper_walk import ASKED, CONTENT, ONE, TWO, bought


def must_wait(site: Site, kind: str = "page") -> None:
    """Check that a stranger is told to come back, in time, and gets neither content nor an order."""
    with Reader(site.url) as stranger:
        began = time.monotonic()
        answer = stranger.visit(ONE) if kind == "page" else stranger.http.get(ONE, headers={"Accept": kind})
        took = time.monotonic() - began
        assert answer.status_code == 503
        assert took < 6
        assert int(answer.headers["retry-after"]) > 0
        assert "set-cookie" not in answer.headers
        assert "taler" not in answer.headers
        assert "You have bought" not in answer.text
        assert answer.headers["cache-control"] == "no-store"


def front_page_does_not_wait(site: Site) -> None:
    """Check that what is free does not wait for the backend."""
    with Reader(site.url) as stranger:
        began = time.monotonic()
        assert stranger.visit("/").status_code == 200
        assert time.monotonic() - began < TOTAL_TIMEOUT


def test_killed_and_started_again(start_sandbox: StartSandbox, start_site: StartSite, wallet: Wallet) -> None:
    """Strangers wait, the front page is fast, readers read on; with the old state everything goes on."""
    sandbox = start_sandbox()
    site = start_site(sandbox.url)
    with Reader(site.url) as reader, Reader(site.url) as halfway:
        bought(reader, wallet)
        unpaid = reader.visit(TWO)
        asked = halfway.visit(ASKED)

        sandbox.process.end(signal.SIGKILL)
        for kind in ("page", "application/json", "*/*"):
            must_wait(site, kind)
        front_page_does_not_wait(site)
        assert reader.visit(ONE).status_code == 200
        assert reader.picture(f"{ONE}/picture.svg").status_code == 200
        waiting = reader.visit(TWO)
        assert waiting.status_code == 503
        assert "set-cookie" not in waiting.headers
        told = [line for line in site.process.output.splitlines() if "unknown reason=" in line]
        assert len(told) == 4, "one line for every failure"
        assert all("reason=backend-unreachable" in line or "reason=circuit-open" in line for line in told)
        assert "backend-down" in site.process.output

        restarted = sandbox.start()
        try:
            assert reader.visit(ONE).status_code == 200
            again = eventually(lambda: asked_again(reader), "the backend is asked again", 3 * PROBE_SECONDS + 3)
            assert order_of(again) == order_of(unpaid.headers["location"])
            assert wallet.pay(unpaid.headers["location"]).startswith("paid:")
            assert reader.come_back(TWO).status_code == 200
            said = wallet.pay(asked.headers["location"])
            assert said.startswith("proved:")
            arrived = halfway.come_back(said.split()[-1])
            assert arrived.status_code in {200, 303}
            assert CONTENT in halfway.visit(ASKED).text
        finally:
            assert restarted.end() == 0
    output = site.process.output
    assert output.count("backend-up") == 1
    assert TOKEN not in output
    assert "Traceback" not in output


def asked_again(reader: Reader) -> str:
    """Return where a reader is led to, empty as long as the site does not ask the backend again."""
    return str(reader.visit(TWO).headers.get("location", ""))


def test_frozen(start_sandbox: StartSandbox, start_site: StartSite, wallet: Wallet) -> None:
    """A payment service that takes connections and says nothing costs nobody more than six seconds."""
    sandbox = start_sandbox()
    site = start_site(sandbox.url)
    with Reader(site.url) as reader:
        bought(reader, wallet)
        sandbox.process.popen.send_signal(signal.SIGSTOP)
        try:
            must_wait(site)
            front_page_does_not_wait(site)
            assert reader.visit(ONE).status_code == 200
        finally:
            sandbox.process.popen.send_signal(signal.SIGCONT)
        assert reader.visit(TWO).status_code == 302


def ask(site: Site) -> tuple[int, float]:
    """Ask for an article on a connection of one's own; return the status, and how long it took."""
    began = time.monotonic()
    with closing(HTTPConnection("127.0.0.1", site.port, timeout=60)) as connection:
        connection.request("GET", ONE, headers={"Accept": PAGE})
        return connection.getresponse().status, time.monotonic() - began


def test_many_strangers_wait(protocol: Protocol, start_site: StartSite) -> None:
    """Free pages go on while more strangers than there are threads wait for a backend that does not answer.

    Only so many calls are on their way as may be; who comes later is told at once, all others in time.
    """
    calls = async_transport.MAX_CALLS if protocol == "asgi" else blocking_transport.MAX_CALLS
    strangers = calls + 3 * THREADS
    with (
        socket.create_server(("127.0.0.1", 0), backlog=2 * strangers) as hanging,
        ThreadPoolExecutor(strangers) as pool,
        ExitStack() as held,
    ):
        hanging.settimeout(60)
        site = start_site(f"http://127.0.0.1:{hanging.getsockname()[1]}/")
        waiting = [pool.submit(ask, site) for _ in range(calls)]
        for _ in waiting:
            held.enter_context(hanging.accept()[0])
        late = [pool.submit(ask, site) for _ in range(strangers - calls)]
        front_page_does_not_wait(site)
        told = [stranger.result() for stranger in late]
        assert not any(stranger.done() for stranger in waiting)
        answers = [*told, *(stranger.result() for stranger in waiting)]
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < 3 * TOTAL_TIMEOUT


def test_wiped(start_sandbox: StartSandbox, start_site: StartSite, wallet: Wallet) -> None:
    """If the payment service has forgotten all, unpaid and paid orders are replaced, and the wallet pays anew."""
    sandbox = start_sandbox()
    site = start_site(sandbox.url, "tests.site.newspaper.quick:app")
    with Reader(site.url) as reader:
        bought(reader, wallet)
        unpaid = reader.visit(TWO)
        sandbox.process.end(signal.SIGKILL)
        sandbox.wipe()
        restarted = sandbox.start()
        try:
            replaced = reader.visit(TWO)
            assert replaced.status_code == 302
            assert order_of(replaced.headers["location"]) != order_of(unpaid.headers["location"])
            asked = wait_until_asked(reader)
            assert wallet.pay(asked).startswith("paid:")
            reader.come_back(ONE)
            assert reader.visit(ONE).status_code == 200
        finally:
            restarted.end()


def wait_until_asked(reader: Reader) -> str:
    """Visit until the cached payment has expired; return where the site leads to."""
    deadline = time.monotonic() + 20
    while (answer := reader.visit(ONE)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer.status_code == 302
    return str(answer.headers["location"])


def test_workers_agree(start_sandbox: StartSandbox, start_site: StartSite, wallet: Wallet) -> None:
    """Two processes with the same settings make the same order and know each other's cookies."""
    sandbox = start_sandbox()
    site = start_site(sandbox.url)
    twin = start_site(sandbox.url, TALER_PAYWALL_PUBLIC_URL=site.url)
    with Reader(site.url) as reader, Reader(twin.url) as elsewhere:
        asked = reader.visit(ONE)
        elsewhere.hold(reader.cookies())
        assert elsewhere.visit(ONE).headers["location"] == asked.headers["location"]
        elsewhere.drop("_order_")
        assert elsewhere.visit(ONE).headers["location"] == asked.headers["location"]
        wallet.pay(asked.headers["location"])
        assert elsewhere.visit(ONE).status_code == 200
        assert reader.visit(ONE).status_code == 200
        assert len(sandbox.orders()) == 1


def test_wrong_token(sandbox: Sandbox, start_site: StartSite) -> None:
    """A site with a wrong access token sells nothing and gives nothing away, and its log says why without secrets."""
    site = start_site(sandbox.url, TALER_PAYWALL_TOKEN="secret-token:not-this-one")
    must_wait(site)
    assert "token" in site.process.output
    assert "not-this-one" not in site.process.output
