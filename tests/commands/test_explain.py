"""`explain` says what the paywall makes of a request, and so does the paywall."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from click.testing import CliRunner

from taler_paywall import Paywall
from taler_paywall.cli import main
from taler_paywall.http import Request
from taler_paywall.operator.explain import explain, why_no_order
from taler_paywall.settings import Settings

from .conftest import Desk

RULES = """
[[rules]]
pattern = "/articles/sample"
price = false

[[rules]]
pattern = "/articles/{slug}/*"
price = "KUDOS:0.5"
summary = "Article {slug}"

[[rules]]
pattern = "POST /api/translate"
price = "KUDOS:0.1"
page = "/prices"

[[rules]]
pattern = "/books/{slug}"
price = "commands.shop:Desk.price_of"
query = ["edition"]

[[rules]]
pattern = "/broken/{slug}"
price = "commands.shop:broken_price"
"""
OPTIONS = {
    "backend": "https://backend.example/",
    "token": "secret-token:of-these-tests",
    "secret_key": "a-key-of-these-tests-that-opens-nothing-else",
    "public_url": "https://news.example/today",
}


@pytest.fixture
def settings(write: Callable[..., str]) -> Settings:
    return Paywall.from_file(write(RULES, **OPTIONS)).settings


def said(settings: Settings, method: str, url: str, **headers: str) -> dict[str, str]:
    given = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    lines = list(explain(settings, method, url, given))
    assert len({label for label, _ in lines}) == len(lines)
    return dict(lines)


def test_what_is_sold(settings: Settings) -> None:
    """Rule, resource, price, page and order; the same for a path as for the whole address."""
    for url in ("/articles/bees/wing.png?size=2", "https://news.example/today/articles/bees/wing.png?size=2"):
        assert said(settings, "GET", url) == {
            "request": "GET /articles/bees/wing.png?size=2",
            "rule": "rule 2 (/articles/{slug}/*) is the first that matches",
            "resource": "/articles/{slug}/*?slug=bees",
            "price": "KUDOS:0.5",
            "summary": "Article bees",
            "page": "https://news.example/today/articles/bees, where readers return to after paying",
            "order": "one is made, if the reader has none",
            "answer": "the application's once it is paid; before that the paywall's",
        }
    assert said(settings, "POST", "/api/translate")["resource"] == "POST /api/translate"
    assert said(settings, "POST", "/api/translate")["page"].startswith("https://news.example/today/prices?resource=")


@pytest.mark.parametrize(
    ("method", "url", "answer"),
    [
        ("GET", "/articles/sample", "the application's: rule 1 (/articles/sample) makes it free"),
        ("GET", "/nothing", "the application's: no rule has the path"),
        ("GET", "/api/translate", "the application's: rule 3 (POST /api/translate) has the path, but is not for GET"),
        ("GET", "/.well-known/taler-paywall/poll-payment", "the paywall's: the address is one of its own"),
        ("GET", "/x//y", "the application's: no rule has the path"),
        (
            *("GET", "/x/..//articles/bees"),
            "400, paid or not: the path can be read in several ways, and these may be sold: '/articles/bees'",
        ),
        ("GET", "/articles/a%2Fb", "400, paid or not: the path can be read in several ways, and these may be sold: "),
        ("GET", f"/articles/{'a' * 5000}", "414, paid or not: the path has more than 4096 characters"),
        (
            "GET",
            "/books/bees?edition=1&edition=2",
            "400, paid or not: a query key that names the resource stands there",
        ),
    ],
)
def test_what_is_not_sold(method: str, url: str, answer: str, settings: Settings) -> None:
    assert said(settings, method, url)["answer"].startswith(answer)


def test_prices_of_callables(settings: Settings) -> None:
    """They are asked; None lets the application answer, and what breaks gives nothing away."""
    sold = said(settings, "GET", "/books/bees?edition=2")
    assert (sold["resource"], sold["price"]) == ("/books/{slug}?edition=2&slug=bees", "KUDOS:0.3, says its callable")
    free = said(settings, "GET", "/books/wasps")
    assert (free["price"], free["answer"]) == ("its callable says None: free, or not there", "the application's")
    broken = said(settings, "GET", "/broken/bees")
    assert broken["price"] == "its callable raises LookupError: the price list is lost"
    assert broken["answer"].startswith("503")


def test_settings_that_matter(settings: Settings, write: Callable[..., str]) -> None:
    """Another site, staff, the price in what is sold, and a paywall that is switched off."""
    other = said(settings, "GET", "https://other.example/articles/bees")
    assert other["site"].endswith("is not at https://news.example/today, where the site is")
    options = OPTIONS | {"exempt": "commands.shop:is_staff", "price_policy": "current"}
    staff = said(Paywall.from_file(write(RULES, **options)).settings, "GET", "/articles/bees")
    assert staff["exempt"] == "option exempt may let the request pass without paying"
    assert staff["resource"] == "/articles/{slug}/*?slug=bees for KUDOS:0.5"
    off = Paywall.from_file(write(RULES, **OPTIONS, enabled=False)).settings
    assert said(off, "GET", "/articles/bees")["answer"].startswith("the application's: the paywall is switched off")


@pytest.mark.parametrize(
    ("method", "headers", "reason"),
    [
        ("HEAD", {}, "HEAD only asks about a page"),
        ("GET", {"sec_purpose": "prefetch"}, "it is fetched ahead"),
        ("GET", {"x_moz": "prefetch"}, "it is fetched ahead"),
        ("GET", {"upgrade": "websocket"}, "a websocket shows nobody a page"),
        ("GET", {"user_agent": "Googlebot/2.1"}, "it calls itself a crawler"),
        (
            "GET",
            {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
            "its Sec-Fetch headers say that it is a part",
        ),
    ],
)
def test_who_makes_no_order(method: str, headers: dict[str, str], reason: str, settings: Settings) -> None:
    assert said(settings, method, "/articles/bees", **headers)["order"].startswith(f"none is made: {reason}")


def test_a_reason_is_given_whenever_no_order_is_made() -> None:
    """The explanation and the paywall agree, whatever is combined."""
    origins = frozenset({"https://app.news.example"})
    choices: list[list[tuple[bytes, bytes] | None]] = [
        [None, (b"upgrade", b"websocket")],
        [None, (b"purpose", b"prefetch"), (b"hx-preloaded", b"true")],
        [None, (b"user-agent", b"Googlebot/2.1")],
        [None, (b"sec-fetch-mode", b"navigate"), (b"sec-fetch-mode", b"cors")],
        [None, (b"sec-fetch-dest", b"document"), (b"sec-fetch-dest", b"image"), (b"sec-fetch-dest", b"empty")],
        [None, (b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"same-site")],
        [None, (b"origin", b"https://app.news.example")],
    ]
    seen = set()
    for method in ("GET", "HEAD", "POST", "PROPFIND"):
        for chosen in product(*choices):
            request = Request(method, "/articles/bees", None, "", b"", tuple(filter(None, chosen)))
            reason = why_no_order(request, origins)
            assert bool(reason) is not request.may_order(origins), request
            seen.add(reason)
    assert len(seen) == 7


def test_the_command(desk: Desk, write: Callable[..., str]) -> None:
    """It is understood on the command line, where the file has a default, and may be named in the environment."""
    file = write(RULES)
    done = desk.run("explain", "GET", "/articles/bees", "--config", file, "-H", "Sec-Purpose: prefetch")
    assert done.returncode == 0
    assert "price     KUDOS:0.5\n" in done.stdout
    assert "order     none is made: it is fetched ahead" in done.stdout
    desk.settings["TALER_PAYWALL_CONFIG"] = file
    assert "rule 1 (/articles/sample) makes it free" in desk.run("explain", "GET", "/articles/sample").stdout
    done = desk.run("explain", "GET", "/", "--app", "commands.sites:misconfigured()")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the paywall is not configured correctly:\n- ")
    assert desk.run("explain", "GET", "/", "-H", "nonsense").returncode == 2


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_terminals_of_few_letters(encoding: str, desk: Desk, write: Callable[..., str]) -> None:
    """What cannot be shown is written in another way; what is no text is refused as by a site."""
    desk.settings["PYTHONIOENCODING"] = encoding
    file = write('[[rules]]\npattern = "/статьи/{slug}"\nprice = "KUDOS:1"\n')
    done = desk.run("explain", "--config", file, "GET", "/статьи/eins")
    assert done.returncode == 0, done.stderr
    assert f"rule 1 ({'/статьи' if encoding == 'utf-8' else '/' + ascii('статьи')[1:-1]}/{{slug}})" in done.stdout
    done = desk.run("explain", "--config", file, "-H", "X: \udcff", "GET", "/статьи/\udcff")
    assert "400, paid or not: the path can be read in several ways" in done.stdout


@pytest.mark.parametrize("url", ["http://[bad", "//[bad", "articles/bees", "ftp://news.example/x", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    """Neither a traceback nor an answer about something else."""
    refused = CliRunner().invoke(main, ["explain", "GET", url])
    assert refused.exit_code == 2, refused.output
    assert "is an address such as" in refused.output


def test_an_address_with_letters_of_its_own_is_that_which_browsers_send() -> None:
    site = Paywall({"/articles/{slug}": "KUDOS:1"}, **OPTIONS)  # type: ignore[arg-type]  # all of them are texts
    told = dict(explain(site.settings, "GET", "/articles/é"))
    assert told["rule"].startswith("rule 1 ")
