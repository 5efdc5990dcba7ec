"""From the first visit to the article, as HTTP shows it (first point of the issue's list)."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest
from reader import PAGE, Reader, order_of
from running import TLS, Sandbox, Site, StartSite, Wallet, eventually, free_port, listens

ONE, TWO = "/articles/night-train", "/articles/price-of-bread"
ASKED = f"{ONE}?ref=x&utm_source=a%20letter"
CONTENT = "The 22:14 still leaves on time"


def bought(reader: Reader, wallet: Wallet, path: str = ONE) -> str:
    """Buy an article, come to it, and return the ID of the order."""
    asked = reader.visit(path)
    assert asked.status_code == 302, asked.text
    said = wallet.pay(asked.headers["location"])
    assert said.startswith("paid:"), said
    arrived = reader.come_back(said.split()[-1])
    if arrived.status_code == 303:
        arrived = reader.visit(arrived.headers["location"])
    assert arrived.status_code == 200, arrived.text
    return order_of(asked.headers["location"])


def test_a_stranger_becomes_a_reader(reader: Reader, wallet: Wallet, sandbox: Sandbox, newspaper: Site) -> None:
    """Ask, pay with the command, come back by the fulfillment URL to the very page that was asked for, and read."""
    asked = reader.visit(ASKED)
    assert asked.status_code == 302
    status_url = asked.headers["location"]
    assert status_url.startswith(f"{sandbox.url}orders/")
    assert (asked.headers["cache-control"], asked.content) == ("no-store", b"")
    assert "cookie" in asked.headers["vary"].lower()
    assert len(asked.headers.get_list("set-cookie")) == 2
    for cookie in asked.headers.get_list("set-cookie"):
        assert {"Path=/", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))

    said = wallet.pay(status_url)
    assert said.startswith(f"paid: {CONTENT} (KUDOS:0.5)")
    fulfillment_url = said.split()[-1]
    assert fulfillment_url == newspaper.url + ONE

    arrived = reader.come_back(fulfillment_url)
    assert (arrived.status_code, arrived.headers["location"]) == (303, newspaper.url + ASKED)
    opened = reader.come_back(arrived.headers["location"])
    assert opened.status_code == 200
    assert CONTENT in opened.text
    assert "the platform is still empty" in opened.text
    assert "You have bought this article" in opened.text
    assert "private" in opened.headers["cache-control"]
    assert "cookie" in opened.headers["vary"].lower()
    assert "set-cookie" not in opened.headers

    again = reader.visit(fulfillment_url)
    assert again.status_code == 200, "the reader is led to the page that was asked for once, not for ever"
    assert reader.visit(f"{ONE}?page=2").status_code == 200
    assert reader.visit(f"{ONE}/").status_code in {200, 307}, "the site itself decides about the slash"


def test_pictures_belong_to_the_article(
    reader: Reader, readers: Callable[..., Reader], wallet: Wallet, sandbox: Sandbox
) -> None:
    """The reader's browser gets the picture, a stranger's gets 402, no cookie, and no order is made."""
    bought(reader, wallet)
    picture = reader.picture(f"{ONE}/picture.svg")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")
    before = len(sandbox.orders())
    refused = readers().picture(f"{ONE}/picture.svg")
    assert refused.status_code == 402
    assert "set-cookie" not in refused.headers
    assert "<svg" not in refused.text
    assert reader.picture(f"{TWO}/picture.svg").status_code == 402
    assert len(sandbox.orders()) == before


def test_every_article_and_every_browser_is_asked(
    reader: Reader, readers: Callable[..., Reader], wallet: Wallet
) -> None:
    """A paid article opens no other one, and no other browser; an unpaid order is shown again on reload."""
    bought(reader, wallet)
    second = reader.visit(TWO)
    assert second.status_code == 302
    assert "set-cookie" in second.headers
    reloaded = reader.visit(TWO)
    assert order_of(reloaded.headers["location"]) == order_of(second.headers["location"])
    assert "set-cookie" not in reloaded.headers
    assert readers().visit(ONE).status_code == 302


def test_programs_get_a_problem(newspaper: Site, sandbox: Sandbox) -> None:
    """A client that prefers JSON and sends no Sec-Fetch headers gets 402, problem details and the Taler header."""
    answer = httpx.get(newspaper.url + ONE, headers={"Accept": "application/json"}, trust_env=False, verify=TLS)
    assert (answer.status_code, answer.headers["content-type"]) == (402, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["amount"], problem["summary"]) == (402, "KUDOS:0.5", CONTENT)
    assert answer.headers["taler"] == problem["taler_pay_uri"]
    assert answer.headers["taler"].startswith("taler+http://pay/127.0.0.1:")
    assert problem["order_status_url"].startswith(sandbox.url)
    assert problem["order_id"] == order_of(problem["order_status_url"])
    assert "set-cookie" in answer.headers


def test_a_program_pays_and_reads(newspaper: Site, wallet: Wallet) -> None:
    """A program that keeps cookies pays the URI of the Taler header and gets its data."""
    with httpx.Client(
        base_url=newspaper.url, headers={"Accept": "application/json"}, trust_env=False, verify=TLS, timeout=30
    ) as client:
        asked = client.get("/api/v1/headlines")
        assert wallet.pay(asked.headers["taler"]).startswith("paid:")
        answer = client.get("/api/v1/headlines")
        assert answer.status_code == 200
        assert len(answer.json()) == 6


def test_the_rest_gets_text(newspaper: Site) -> None:
    """A client without preferences, such as curl, gets 402 and a few lines with the pay URI."""
    answer = httpx.get(
        newspaper.url + ONE, headers={"Accept": "*/*", "User-Agent": "curl/8"}, trust_env=False, verify=TLS
    )
    assert (answer.status_code, answer.headers["content-type"]) == (402, "text/plain; charset=utf-8")
    assert answer.headers["taler"] in answer.text
    assert len(answer.text.splitlines()) < 10


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PROPFIND"])
def test_other_methods_are_gated_and_make_no_order(method: str, newspaper: Site, quick: Site, sandbox: Sandbox) -> None:
    """HEAD, OPTIONS and unknown methods get 402 without order and cookie, on rules with and without a method."""
    before = len(sandbox.orders())
    for url in (newspaper.url + ONE, quick.url + ONE, f"{quick.url}/about"):
        answer = httpx.request(method, url, headers={"Accept": PAGE}, trust_env=False, verify=TLS)
        assert answer.status_code == 402
        assert "set-cookie" not in answer.headers
        assert answer.content == b"" or method != "HEAD"
    assert len(sandbox.orders()) == before


def test_unsafe_methods_are_never_redirected(newspaper: Site, quick: Site, wallet: Wallet) -> None:
    """A rule without a method asks for POST too, by 402 and a word about the lost body; a GET rule lets it pass."""
    with Reader(newspaper.url) as reader:
        asked = reader.press(ONE, {"comment": "first"})
        assert asked.status_code == 402
        assert "location" not in asked.headers
        assert "not kept" in asked.text
        wallet.pay(asked.headers["taler"])
        passed = reader.press(ONE, {"comment": "first"})
        assert passed.status_code == 405, "paid, the site's own answer comes through"
        assert reader.visit(ONE).status_code == 200
    with Reader(quick.url) as reader:
        assert reader.visit("/about").status_code == 302
        assert reader.press("/about", {}).status_code == 405


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}, "a frame"),
        ({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "cross-site"}, "a foreign fetch"),
        ({"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script", "Sec-Fetch-Site": "same-origin"}, "a script"),
        (
            {
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "document",
                "Sec-Fetch-Site": "none",
                "Sec-Purpose": "prefetch;prerender",
            },
            "a prefetch",
        ),
        ({"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}, "a crawler"),
        ({"User-Agent": "WhatsApp/2.23.20.0"}, "a preview"),
        ({"User-Agent": "facebookexternalhit/1.1"}, "a preview"),
    ],
)
def test_who_makes_no_order(headers: dict[str, str], why: str, newspaper: Site, sandbox: Sandbox) -> None:
    """Frames, sub-resources, foreign fetches, prefetches, previews and crawlers get 402, no order and no cookie."""
    before = len(sandbox.orders())
    answer = httpx.get(newspaper.url + ONE, headers={"Accept": PAGE} | headers, trust_env=False, verify=TLS)
    assert answer.status_code == 402, why
    assert "set-cookie" not in answer.headers
    assert CONTENT in answer.text, "the page says what is for sale"
    assert "the platform is still empty" not in answer.text
    assert len(sandbox.orders()) == before


def test_a_same_origin_fetch_makes_an_order(reader: Reader) -> None:
    """A script of the site itself may buy; it gets 402 with the header and not a redirect."""
    headers = {
        "Accept": "application/json",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Site": "same-origin",
    }
    answer = reader.http.get(ONE, headers=headers)
    assert answer.status_code == 402
    assert "taler" in answer.headers
    assert "set-cookie" in answer.headers


@pytest.mark.parametrize("path", ["/", "/about", "/static/style.css", "/articles/no-such-article", "/nowhere"])
def test_free_pages_are_untouched(path: str, reader: Reader, newspaper: Site, bare: Site, sandbox: Sandbox) -> None:
    """What is not for sale looks exactly as without the paywall, for strangers and for readers with cookies."""
    before = len(sandbox.orders())
    host = {"Host": "127.0.0.1:1"}
    wanted = httpx.get(bare.url + path, headers=host, trust_env=False, verify=TLS)
    reader.visit(TWO)
    stranger = httpx.get(newspaper.url + path, headers=host, trust_env=False, verify=TLS)
    for answer in (stranger, reader.http.get(path, headers=host)):
        assert answer.status_code == wanted.status_code
        assert fixed(answer) == fixed(wanted)
        assert answer.content == wanted.content
    assert len(sandbox.orders()) == before + 1


def fixed(answer: httpx.Response) -> list[tuple[bytes, bytes]]:
    """Return the headers as they came, without the one that tells the time."""
    return [(name, value) for name, value in answer.headers.raw if name.lower() != b"date"]


@pytest.mark.parametrize(
    "path",
    [
        "/articles/night-train%2Fpicture.svg",
        "/articles/./night-train",
        "/about/../articles/night-train",
        "//articles/night-train",
        "/articles//night-train",
        "/articles/night-train%00",
        "/articles/night-train;x",
        "/ARTICLES/night-train",
        "/articles/night-train/",
    ],
)
def test_odd_addresses_open_nothing(path: str, newspaper: Site) -> None:
    """However an address is spelled, a stranger does not see the article."""
    with closing(HTTPConnection("127.0.0.1", newspaper.port, timeout=30)) as connection:
        connection.request("GET", path, headers={"Accept": PAGE})
        answer = connection.getresponse()
        text = answer.read().decode()
    assert answer.status in {302, 400, 402, 404}
    assert "the platform is still empty" not in text
    assert "<svg" not in text


def test_the_archive_is_sold_as_one(reader: Reader, wallet: Wallet) -> None:
    """A section that is sold as one opens with all that is below it, and nothing else."""
    asked = reader.visit("/archive/2024")
    wallet.pay(asked.headers["taler"])
    arrived = reader.come_back("/archive")
    assert urlsplit(arrived.headers["location"]).path == "/archive/2024"
    assert reader.visit("/archive/2024").status_code == 200
    assert reader.visit("/archive/2025").status_code == 200
    assert reader.visit("/archive").status_code == 200
    assert reader.visit(ONE).status_code == 302


def test_unknown_reserved_paths(reader: Reader) -> None:
    """Below the reserved prefix only the paywall answers."""
    assert reader.visit("/.well-known/taler-paywall/nothing").status_code == 404
    assert reader.visit("/.well-known/taler-paywall/reorder").status_code == 405
    assert reader.visit("/.well-known/taler-paywall/static/style.css").headers["content-type"].startswith("text/css")


def test_the_sandbox_as_a_child_process(start_site: StartSite, wallet: Wallet) -> None:
    """With sandbox: no setting is needed; the play money starts at first use, says so, and ends with the site."""
    port = free_port()
    unset = {f"TALER_PAYWALL_{name}": "" for name in ("TOKEN", "SECRET_KEY", "PUBLIC_URL")}
    site = start_site(f"sandbox:{port}", **unset)
    assert not listens(port)
    with Reader(site.url) as reader:
        asked = reader.visit(ASKED)
        assert asked.status_code == 302
        assert asked.headers["location"].startswith(f"http://127.0.0.1:{port}/orders/")
        assert asked.headers["taler-paywall-sandbox"] == "play money"
        arrived = reader.come_back(wallet.pay(asked.headers["location"]).split()[-1])
        assert arrived.headers["location"] == site.url + ASKED
        opened = reader.visit(ASKED)
        assert opened.status_code == 200
        assert opened.headers["taler-paywall-sandbox"] == "play money"
    site.process.end()
    eventually(lambda: not listens(port), "the sandbox ends with the site")
    assert "play money" in site.process.output


def test_the_sandbox_dies_with_its_site(start_site: StartSite) -> None:
    """A site that is killed leaves no sandbox behind."""
    port = free_port()
    site = start_site(f"sandbox:{port}")
    with Reader(site.url) as reader:
        assert reader.visit(ONE).status_code == 302
    site.process.end(signal.SIGKILL)
    eventually(lambda: not listens(port), "the sandbox ends with the site")
