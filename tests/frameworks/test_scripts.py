"""Scripts of another origin in a real Chromium: of the same site they buy and read, of another site they do neither."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, sync_playwright
from tab import ARGUMENTS, CHROMIUM

from taler_paywall.testing.sandbox import TalerSandbox
from taler_paywall.testing.wallet import TalerWallet

from .cases import CASES, Case
from .conftest import Sites

FETCH = """async ([url, options]) => {
    const answer = await fetch(url, {credentials: "include", ...options});
    const [taler, type] = ["Taler", "Content-Type"].map((name) => answer.headers.get(name));
    return {status: answer.status, taler, type, text: await answer.text()};
}"""
PROGRAM = {"headers": {"Accept": "application/json"}}


@dataclass(frozen=True)
class Answer:
    """What a script could read of an answer."""

    status: int
    taler: str | None
    type: str
    text: str


@dataclass(frozen=True)
class Scripts:
    """One browser, with pages from which scripts ask the site.

    Args:
        context: its cookies.
        site: that sells.
        near: a page of the same site that is another origin: ports do not tell sites apart.
        far: the same page as one of another site.
    """

    context: BrowserContext
    site: str
    near: str
    far: str

    def fetch(self, page: str, path: str, **options: Any) -> Answer:
        """Open a page and let its script ask the site, with its cookies."""
        tab = self.context.new_page()
        try:
            tab.goto(page)
            return Answer(**tab.evaluate(FETCH, [self.site + path, PROGRAM | options]))
        finally:
            tab.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser,
    ):
        yield browser


@pytest.fixture(params=[case for case in CASES if case.cors], ids=lambda case: case.id)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def scripts(case: Case, sites: Sites, chromium: Browser) -> Iterator[Scripts]:
    """Open a browser that has never been at the site, which names the origins of both pages."""
    near = sites("gunicorn sync", "examples.wsgi_site:app")
    far = near.replace("127.0.0.1", "localhost")
    site = sites(case.server, case.app, APP_ORIGINS=f"{near} {far}")
    with chromium.new_context() as context:
        yield Scripts(context, site, near, far)


def paid_by(wallet: TalerWallet, asked: Answer) -> None:
    """Require a 402 that a script can read, and pay what it asks for."""
    assert (asked.status, asked.type) == (402, "application/problem+json")
    assert asked.taler == json.loads(asked.text)["taler_pay_uri"]
    wallet.pay(asked.taler or "")


def test_a_script_of_the_same_site_buys_and_reads(
    case: Case, scripts: Scripts, taler_wallet: TalerWallet, taler_sandbox: TalerSandbox
) -> None:
    """It reads the 402 with what a wallet needs, and after the payment the article, of one order; as does the next."""
    path = case.article("bees")
    paid_by(taler_wallet, scripts.fetch(scripts.near, path))
    for _ in range(2):
        read = scripts.fetch(scripts.near, path)
        assert (read.status, "The bees are back" in read.text) == (200, True)
    assert len(taler_sandbox.orders()) == 1


def test_a_script_of_the_same_site_buys_what_needs_a_preflight(
    case: Case, scripts: Scripts, taler_wallet: TalerWallet
) -> None:
    """JSON is sent, refused with 402, paid, sent again and answered."""
    body = {"method": "POST", "body": json.dumps({"text": "three small words"})} if case.api == "words" else {}
    options = {"headers": PROGRAM["headers"] | {"Content-Type": "application/json"}} | body
    paid_by(taler_wallet, scripts.fetch(scripts.near, f"/api/{case.api}", **options))
    read = scripts.fetch(scripts.near, f"/api/{case.api}", **options)
    assert read.status == 200
    assert json.loads(read.text) == ({"words": 3} if body else ["The bees are back", "The night train"])


def test_a_script_of_another_site_learns_that_it_costs(
    case: Case, scripts: Scripts, taler_wallet: TalerWallet, taler_sandbox: TalerSandbox
) -> None:
    """It reads a 402 without an order, even in the browser of a reader who has paid."""
    path = case.article("bees")
    asked = scripts.fetch(scripts.far, path)
    assert (asked.status, asked.taler, json.loads(asked.text)["amount"]) == (402, None, "KUDOS:0.5")
    assert taler_sandbox.orders() == []
    paid_by(taler_wallet, scripts.fetch(scripts.near, path))
    assert scripts.fetch(scripts.far, path).status == 402
    assert len(taler_sandbox.orders()) == 1


def test_a_script_of_an_origin_that_is_not_named_reads_nothing(
    case: Case, scripts: Scripts, sites: Sites, taler_sandbox: TalerSandbox
) -> None:
    """An origin of the same site must be named as well: the browser keeps the answer from it, and no order is made."""
    strange = sites("waitress", "examples.flask_site:app")
    with pytest.raises(Error, match="Failed to fetch"):
        scripts.fetch(strange, case.article("bees"))
    assert taler_sandbox.orders() == []


@pytest.mark.parametrize("case", [case for case in CASES if "flask" in case.app][:1], indirect=True)
def test_headers_that_are_set_twice_cannot_be_read(case: Case, scripts: Scripts, sites: Sites) -> None:
    """A browser refuses the answer to which something around the paywall has added the same origin once more."""
    doubled = sites(case.server, "tests.frameworks.doubled:app", APP_ORIGINS=scripts.near)
    with pytest.raises(Error, match="Failed to fetch"):
        replace(scripts, site=doubled).fetch(scripts.near, case.article("bees"))
