"""The fixtures, used as a site owner's tests use them."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount

from taler_paywall.asgi import PaywallMiddleware, Receive, Scope, Send
from taler_paywall.testing.client import OpenClient, PaywalledClient, SiteError
from taler_paywall.testing.process import PUBLIC_URL, SandboxError, SandboxProcess
from taler_paywall.testing.sandbox import TalerSandbox
from taler_paywall.testing.wallet import TalerWallet, WalletError

from .site import broken_start, paywalled, plain_site, without_lifespan


@pytest.fixture
def reader(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> PaywalledClient:
    return paywalled_client(paywalled(**taler_sandbox.options))


def test_buy(reader: PaywalledClient, taler_sandbox: TalerSandbox) -> None:
    """A browser is sent to the order, pays, comes back to the very page, and reads on without paying."""
    asked = reader.get("/articles/bees?page=2")
    assert asked.status_code == 302
    assert asked.headers["location"].startswith(taler_sandbox.url)
    bought = reader.buy("/articles/bees?page=2")
    assert (bought.status_code, bought.text, bought.url.query) == (200, "All about bees", b"page=2")
    assert reader.get("/articles/bees").status_code == 200
    [order] = taler_sandbox.orders()
    assert (order["paid"], order["amount"]) == (True, "KUDOS:0.5")


def test_programs_buy(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """A program gets 402 with the pay URI, pays, and sends its request again."""
    program = paywalled_client(paywalled(**taler_sandbox.options), browser=False)
    asked = program.post("/echo", json={"text": "grüße"})
    assert (asked.status_code, asked.headers["content-type"]) == (402, "application/problem+json")
    assert program.buy("/echo", method="POST", json={"text": "grüße"}).json() == {"text": "grüße"}


def test_what_is_free_cannot_be_bought(reader: PaywalledClient) -> None:
    """A test that means to buy and is not asked to pay fails, and says what came instead."""
    with pytest.raises(AssertionError, match="GET / asked for no payment: 200\nfront"):
        reader.buy("/")


def test_buying_again_after_a_refund(reader: PaywalledClient, taler_sandbox: TalerSandbox) -> None:
    """A browser presses "Buy again", whether the refund was collected or not, and pays a new order each time."""
    for _ in range(3):
        assert reader.buy("/articles/bees?page=2").text == "All about bees"
        last = taler_sandbox.orders()[-1]
        taler_sandbox.refund(last["order_id"])
        assert reader.get("/articles/bees?page=2").status_code == 402
    first, second, third = taler_sandbox.orders()
    assert all(order["paid"] for order in (first, second, third))
    reader.wallet.refund(taler_sandbox.refund(third["order_id"]))
    assert reader.buy("/articles/bees").status_code == 200
    assert str(reader.wallet.balance["KUDOS"]) == "KUDOS:98.5"


@pytest.mark.parametrize("prefix", ["/shop", ""])
def test_buying_again_in_a_mounted_shop(prefix: str, taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """The button of the page is pressed where the page says, and names the page that the shop says."""
    options = {**taler_sandbox.options, "public_url": f"{PUBLIC_URL}/shop"}
    site = Starlette(routes=[Mount("/shop", paywalled(**options))])
    reader = paywalled_client(site, public_url=f"{PUBLIC_URL}{prefix}")
    path = "/articles/bees" if prefix else "/shop/articles/bees"
    assert reader.buy(path).text == "All about bees"
    taler_sandbox.refund(taler_sandbox.orders()[0]["order_id"])
    assert reader.get(path).status_code == 402
    assert reader.buy(path).text == "All about bees"


def test_programs_do_not_buy_again(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """A program is told that it was refunded, and so is the test."""
    program = paywalled_client(paywalled(**taler_sandbox.options), browser=False)
    program.buy("/articles/bees")
    [order] = taler_sandbox.orders()
    taler_sandbox.refund(order["order_id"])
    with pytest.raises(AssertionError, match=r"asked for no payment: 402\n(?s:.*)urn:taler-paywall:refunded"):
        program.buy("/articles/bees")


def test_other_hosts_are_not_the_site(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """A site that leads elsewhere does not get requests that are for others; the test is told what to do."""
    app = paywalled(**{**taler_sandbox.options, "public_url": "https://news.example"})
    with pytest.raises(SiteError, match=r"^https://news\.example/articles/bees is not at .*public_url="):
        paywalled_client(app).buy("/articles/bees")

    async def leading_away(scope: Scope, receive: Receive, send: Send) -> None:
        await RedirectResponse("//testserver.evil.example/")(scope, receive, send)

    away = paywalled_client(leading_away)
    assert away.get("/").status_code == 307
    with pytest.raises(SiteError, match=r"http://testserver\.evil\.example/ is not at http://testserver,"):
        away.get("/", follow_redirects=True)


def test_two_browsers_one_wallet(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """A second browser has no cookies; the wallet proves there what it has bought, and pays nothing."""
    app = paywalled(**taler_sandbox.options)
    reader, other = paywalled_client(app), paywalled_client(app)
    reader.buy("/articles/bees")
    left = reader.wallet.balance
    assert other.get("/articles/bees").status_code == 302
    assert other.buy("/articles/bees").status_code == 200
    assert other.wallet.balance == left


def test_two_wallets(
    taler_sandbox: TalerSandbox, paywalled_client: OpenClient, taler_wallet: TalerWallet, tmp_path: Path
) -> None:
    """Another wallet pays for itself."""
    app = paywalled(**taler_sandbox.options)
    with TalerWallet(tmp_path / "other.sqlite") as other:
        for wallet in (taler_wallet, other):
            assert paywalled_client(app, wallet=wallet).buy("/articles/bees").status_code == 200
            assert [purchase.status for purchase in wallet.purchases] == ["paid"]
            assert str(wallet.balance["KUDOS"]) == "KUDOS:99.5"
    assert [order["paid"] for order in taler_sandbox.orders()] == [True, True]


def test_the_wallet(reader: PaywalledClient, taler_sandbox: TalerSandbox, taler_wallet: TalerWallet) -> None:
    """The wallet claims, pays, proves and collects; it says what it did, and what it cannot do."""
    order_page = reader.get("/articles/bees").headers["location"]
    assert taler_wallet.claim(order_page).how == "claimed"
    paid = taler_wallet.pay(order_page)
    assert (paid.how, paid.fulfillment_url) == ("paid", "http://testserver/articles/bees")
    [order] = taler_sandbox.orders()
    refund_uri = taler_sandbox.refund(order["order_id"], "KUDOS:0.2", "too short")
    assert taler_sandbox.order_status(order["order_id"])["refund_details"][0]["reason"] == "too short"
    assert taler_wallet.refund(refund_uri).how == "collected"
    assert not taler_sandbox.order_status(order["order_id"])["refund_pending"]
    with pytest.raises(WalletError):
        taler_wallet.pay("taler+http://127.0.0.1:1/none/")


def test_order_status_is_for_a_session(reader: PaywalledClient, taler_sandbox: TalerSandbox) -> None:
    """An order that one session has paid is not paid for another."""
    reader.buy("/articles/bees")
    [order] = taler_sandbox.orders()
    assert taler_sandbox.order_status(order["order_id"])["order_status"] == "paid"
    assert taler_sandbox.order_status(order["order_id"], "another")["order_status"] == "claimed"


def test_claimed_by_a_stranger(reader: PaywalledClient, taler_sandbox: TalerSandbox) -> None:
    """An order that a stranger holds cannot be claimed again, and the site makes another one."""
    order_page = reader.get("/articles/bees").headers["location"]
    [order] = taler_sandbox.orders()
    taler_sandbox.claim(order["order_id"])
    assert taler_sandbox.order_status(order["order_id"])["order_status"] == "claimed"
    with pytest.raises(WalletError):
        reader.wallet.pay(order_page)
    assert reader.get("/articles/bees").headers["location"] != order_page
    with pytest.raises(SandboxError, match="409"):
        taler_sandbox.claim(order["order_id"])


def test_many_orders_are_listed(taler_sandbox: TalerSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of orders is whole, however many there are, and begins with the oldest of this test."""
    monkeypatch.setattr("taler_paywall.testing.sandbox.PAGE", 2)
    merchant = httpx.Client(base_url=taler_sandbox.url, headers={"Authorization": f"Bearer {taler_sandbox.token}"})
    with merchant:
        bodies = ({"order": {"summary": str(number), "amount": "KUDOS:1"}} for number in range(5))
        assert all(merchant.post("private/orders", json=body).status_code == 200 for body in bodies)
    assert [order["summary"] for order in taler_sandbox.orders()] == list("01234")


def test_options_by_the_environment(
    taler_sandbox_process: SandboxProcess, paywalled_client: OpenClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site that is configured by the environment is told the same by it."""
    for name, value in taler_sandbox_process.environment.items():
        monkeypatch.setenv(name, value)
    assert paywalled_client(paywalled()).buy("/articles/bees").status_code == 200


def test_another_address(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """A site can believe to be at an address of its own, with https and the cookies that go with it."""
    public_url = "https://news.example"
    options = {**taler_sandbox.options, "public_url": public_url}
    reader = paywalled_client(paywalled(**options), public_url=public_url)
    assert str(reader.buy("/articles/bees").url) == f"{public_url}/articles/bees"
    assert all(cookie.secure for cookie in reader.cookies.jar)


def test_the_site_is_started_and_ended_once(taler_sandbox: TalerSandbox, tmp_path: Path) -> None:
    """The lifespan of the application runs around all its browsers, and its state reaches the requests."""
    app = plain_site()
    with TalerWallet(tmp_path / "wallet.sqlite") as wallet, OpenClient(taler_sandbox.url, wallet) as open_client:
        for _ in range(2):
            assert open_client(app).get("/").text == "front, hello"
        assert app.state.events == ["started"]
    assert app.state.events == ["started", "ended"]


def test_a_site_without_a_lifespan(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """An application that knows HTTP only, as Django's, is served without a lifespan."""
    app = PaywallMiddleware(without_lifespan, {"/{page}": "KUDOS:1"}, **taler_sandbox.options)
    assert paywalled_client(app).buy("/one").text == "content"


def test_nothing_stays_open(taler_sandbox: TalerSandbox, taler_wallet: TalerWallet) -> None:
    """A test leaves no connection behind, whether its site knows a lifespan or not."""
    for site in (plain_site(), without_lifespan):
        open_before = len(list(Path("/dev/fd").iterdir()))
        for number in range(5):
            app = PaywallMiddleware(site, {"/articles/{slug}": "KUDOS:1"}, **taler_sandbox.options)
            with OpenClient(taler_sandbox.url, taler_wallet) as open_client:
                assert open_client(app).get(f"/articles/{number}").status_code == 302
        assert len(list(Path("/dev/fd").iterdir())) <= open_before


def test_a_site_that_does_not_start(paywalled_client: OpenClient) -> None:
    """An application whose start-up fails is not served."""
    with pytest.raises(SiteError, match="start-up failed"):
        paywalled_client(broken_start)


def test_an_exception_of_the_site_reaches_the_test(paywalled_client: OpenClient) -> None:
    """What the site raises is raised where the test asks, and not hidden behind a status."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        paywalled_client(broken).get("/")


def test_compressed_answers_are_read(paywalled_client: OpenClient) -> None:
    """A body that the site has compressed is decoded once."""

    async def compressed(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {"content-encoding": "gzip"}
        await Response(gzip.compress(b"plain"), headers=headers)(scope, receive, send)

    assert paywalled_client(compressed).get("/").text == "plain"


def test_within_an_event_loop(reader: PaywalledClient) -> None:
    """Asynchronous tests can use the fixtures, too: they bring event loops of their own."""

    async def test() -> int:
        return reader.buy("/articles/bees").status_code

    assert asyncio.run(test()) == 200


def test_a_sandbox_that_does_not_start(tmp_path: Path) -> None:
    """What the command complains about is in the exception."""
    with pytest.raises(SandboxError, match="No such option"):
        SandboxProcess(tmp_path, "--nonsense")


def test_a_sandbox_that_has_ended(tmp_path: Path) -> None:
    """Tests after the end of the sandbox say so, instead of failing at the first connection."""
    with SandboxProcess(tmp_path) as process:
        process.require_running()
    with pytest.raises(SandboxError, match="ended with status 0"):
        TalerSandbox(process)
