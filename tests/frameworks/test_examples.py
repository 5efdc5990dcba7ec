"""Every example as it stands, under real servers: free, asked for money, paid, read."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from reader import Reader
from running import ROOT

from taler_paywall.testing.sandbox import TalerSandbox
from taler_paywall.testing.wallet import TalerWallet

from .cases import CASES, FRIEND, Case, fetch
from .conftest import Sites

TITLE, OTHER_TITLE = "The bees are back", "The night train"


def follow(reader: Reader, path: str) -> httpx.Response:
    """Navigate, and follow the redirects that stay at the site, which are few."""
    answer = reader.visit(path)
    for _ in range(3):
        if not answer.is_redirect:
            break
        target = answer.headers["location"].removeprefix(reader.base_url)
        assert target.startswith("/"), target
        answer = reader.visit(target)
    return answer


def buy(reader: Reader, wallet: TalerWallet, path: str) -> httpx.Response:
    """Ask for a page, pay, and come back to it."""
    asked = reader.visit(path)
    assert asked.status_code == 302, asked.text
    return follow(reader, wallet.pay(asked.headers["location"]).fulfillment_url or path)


def cookie_names(answer: httpx.Response) -> set[str]:
    return {cookie.partition("=")[0] for cookie in answer.headers.get_list("set-cookie")}


def test_the_front_page_and_static_files_are_free(reader: Reader, taler_sandbox: TalerSandbox) -> None:
    """The front page lists the articles, the style sheet comes, and no order is made."""
    front = reader.visit("/")
    assert front.status_code == 200
    assert (TITLE in front.text, OTHER_TITLE in front.text) == (True, True)
    style = reader.http.get("/static/style.css")
    assert (style.status_code, style.headers["content-type"].partition(";")[0]) == (200, "text/css")
    assert "font" in style.text
    assert taler_sandbox.orders() == []


def test_a_reader_pays_and_reads(
    case: Case, reader: Reader, taler_wallet: TalerWallet, taler_sandbox: TalerSandbox
) -> None:
    """Who pays reads, and reloads; the page shows the payment; the next article is sold by itself."""
    read = buy(reader, taler_wallet, case.article("bees"))
    [purchase] = taler_wallet.purchases
    assert f"Paid: KUDOS:0.5, order {purchase.order_id}." in read.text
    again = reader.visit(case.article("bees"))
    assert (again.status_code, TITLE in again.text) == (200, True)
    assert reader.visit(case.article("night-train")).status_code == 302
    assert [order["paid"] for order in taler_sandbox.orders()] == [True, False]


def test_every_answer_to_who_has_not_paid_is_empty_of_content(case: Case, program: httpx.Client) -> None:
    """Every method gets 402, with problem details for a program, and nothing of the article."""
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PROPFIND"):
        asked = program.request(method, case.article("bees"))
        assert (asked.status_code, TITLE in asked.text) == (402, False), method
        assert asked.headers["content-type"] == "application/problem+json"
        assert "set-cookie" not in asked.headers or method in {"GET", "POST"}
    assert program.get(case.article("bees")).json()["amount"] == "KUDOS:0.5"


def test_one_purchase_opens_both_spellings(
    case: Case, reader: Reader, taler_wallet: TalerWallet, taler_sandbox: TalerSandbox
) -> None:
    """With or without a slash at the end it is one article: asked for in one way, paid once, read in both."""
    assert TITLE in buy(reader, taler_wallet, case.other_spelling("bees")).text
    for path in (case.article("bees"), case.other_spelling("bees")):
        read = follow(reader, path)
        assert (read.status_code, TITLE in read.text) == (200, True), path
    assert len(taler_sandbox.orders()) == 1


def test_what_does_not_exist_is_the_sites_own_404(case: Case, reader: Reader, taler_sandbox: TalerSandbox) -> None:
    """An article that does not exist is not sold: the site answers as for any other page that it has not."""
    missing, elsewhere = reader.visit(case.article("wasps")), reader.visit("/nowhere/")
    assert (missing.status_code, missing.text) == (404, elsewhere.text)
    assert taler_sandbox.orders() == []


def test_a_program_pays(case: Case, program: httpx.Client, taler_wallet: TalerWallet) -> None:
    """A program is asked with the address for its wallet, pays, asks again and gets its data."""
    method, body = ("GET", None) if case.api == "headlines" else ("POST", {"text": "three small words"})
    asked = program.request(method, f"/api/{case.api}", json=body)
    assert (asked.status_code, asked.json()["amount"]) == (402, "KUDOS:0.1")
    taler_wallet.pay(asked.headers["taler"])
    paid = program.request(method, f"/api/{case.api}", json=body)
    assert paid.status_code == 200
    assert paid.json() == ([TITLE, OTHER_TITLE] if case.api == "headlines" else {"words": 3})


def test_the_sites_own_session_lives_beside_ours(case: Case, reader: Reader, taler_wallet: TalerWallet) -> None:
    """Both cookies arrive in one answer, and the site's session goes on counting; unpaid it is not even begun."""
    assert case.session not in cookie_names(reader.visit(case.article("bees")))
    buy(reader, taler_wallet, case.article("bees"))
    # Who has lost the order's cookie is given it again, with the page.
    reader.drop("_o")
    read = reader.visit(case.article("bees"))
    names = cookie_names(read)
    assert read.status_code == 200
    assert case.session in names
    assert any(name.startswith("taler_") for name in names), names
    assert case.session == "last" or "Articles opened: 2." in read.text


WITH_CORS = [pytest.param(case, id=case.id) for case in CASES if case.cors]


def preflight_of(method: str) -> dict[str, str]:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type"}
    return fetch("same-site") | asked


def may_read(answer: httpx.Response) -> bool:
    """Tell whether a browser gives an answer to scripts of the friend that have sent cookies: one value, no star."""
    origins = answer.headers.get_list("access-control-allow-origin")
    return (origins, answer.headers.get("access-control-allow-credentials")) == ([FRIEND], "true")


@pytest.mark.parametrize("case", WITH_CORS, indirect=True)
def test_scripts_of_a_friend_buy_and_read(case: Case, program: httpx.Client, taler_wallet: TalerWallet) -> None:
    """A preflight is answered without a payment, the 402 can be read and paid, and so can what was paid for be read."""
    path, headers = case.article("bees"), fetch("same-site")
    preflight = program.options(path, headers=preflight_of("GET"))
    assert (preflight.status_code in {200, 204}, may_read(preflight)) == (True, True)
    asked = program.get(path, headers=headers)
    assert (asked.status_code, may_read(asked)) == (402, True)
    assert "taler" in asked.headers["access-control-expose-headers"].lower()
    taler_wallet.pay(asked.headers["taler"])
    read = program.get(path, headers=headers)
    assert (read.status_code, TITLE in read.text, may_read(read)) == (200, True, True)
    assert may_read(program.get("/", headers=headers)), "what is free"


@pytest.mark.parametrize("case", WITH_CORS, indirect=True)
def test_scripts_that_cannot_buy(case: Case, program: httpx.Client, taler_sandbox: TalerSandbox) -> None:
    """Scripts of another site read the 402 without an order, if their origin is named; others read nothing."""
    path = case.article("bees")
    asked = program.get(path, headers=fetch("cross-site"))
    assert (asked.status_code, may_read(asked), "taler" in asked.headers) == (402, True, False)
    assert asked.json()["amount"] == "KUDOS:0.5"
    strange = program.get(path, headers=fetch("same-site", "https://comments.news.example"))
    assert (strange.status_code, "access-control-allow-origin" in strange.headers) == (402, False)
    assert taler_sandbox.orders() == []


@pytest.mark.parametrize("case", WITH_CORS, indirect=True)
def test_scripts_of_a_friend_may_post(case: Case, program: httpx.Client) -> None:
    """The preflight of what programs pay for is answered too, whatever its method."""
    method = "GET" if case.api == "headlines" else "POST"
    preflight = program.options(f"/api/{case.api}", headers=preflight_of(method))
    assert may_read(preflight)
    assert method in preflight.headers["access-control-allow-methods"]


@pytest.fixture
def spoilt(case: Case, sites: Sites) -> Iterator[Reader]:
    """Open a browser in front of the example with one article whose page breaks."""
    with Reader(sites(case.server, "tests.frameworks.spoilt:app", SPOILT=case.app)) as browser:
        # Some servers close a connection after a page that broke.
        browser.http.headers["Connection"] = "close"
        yield browser


@pytest.mark.parametrize("case", {case.app: case for case in CASES}.values(), ids=lambda case: case.id, indirect=True)
def test_a_view_that_breaks(case: Case, spoilt: Reader, taler_wallet: TalerWallet) -> None:
    """An exception of the site is answered by the framework's or the server's own 500, and the payment stands."""
    broken = buy(spoilt, taler_wallet, case.article("broken"))
    assert (broken.status_code, "taler" in broken.text.lower()) == (500, False)
    assert spoilt.visit(case.article("broken")).status_code == 500
    assert TITLE in buy(spoilt, taler_wallet, case.article("bees")).text


def test_the_docstring_says_how_to_start_it(case: Case) -> None:
    """What stands at the top of an example names its application; and the example fits on a page or two."""
    spec = importlib.util.find_spec(case.module)
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text()
    assert case.app in text.split('"""')[1]
    assert text.count("\n") < 100


def examples() -> list[str]:
    return [file.stem for file in sorted((ROOT / "examples").glob("*_site.py"))]


@pytest.mark.parametrize("example", examples())
def test_every_example_is_tested(example: str) -> None:
    """No example is without tests, and each is imported without a warning and without any setting."""
    assert f"examples.{example}" in {case.module for case in CASES}
    command = [sys.executable, "-W", "error", "-c", f"import examples.{example}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert 'os.environ.get("TALER_PAYWALL_BACKEND", "sandbox:")' in (ROOT / f"examples/{example}.py").read_text()
