"""Facts written down, and what happens where a site's own template cannot be."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from core.script import NOW, SITE, order
from core.states import AMOUNT, MOVED, OPEN, ORDER, PAGE, STATUS_URL, pages
from taler_paywall.decision import Denial, PaymentRequired, Refunded, Refused, Unavailable
from taler_paywall.http import Request, Response
from taler_paywall.offer import Offer
from taler_paywall.resource import Rule, resource_of

HOUR = 3600


def respond(decision: Denial = OPEN, rule: Rule | None = None, **changes: Any) -> Response:
    """Return an answer; changes are to the request, the pages' options or how the reader came."""
    sold = rule or Rule(PAGE, "KUDOS:0.5", summary="An evening")
    headers = [(b"accept", changes.pop("accept", "text/html").encode()), *changes.pop("headers", [])]
    request = Request(changes.pop("method", "GET"), PAGE, PAGE.encode(), "", changes.pop("query", b"a=b"), headers)
    keeps_cookies = changes.pop("keeps_cookies", True)
    offer = changes.pop("offer", Offer(sold, resource_of(sold, {}), AMOUNT, changes.get("public_url", SITE)))
    return pages(**changes).respond(request, decision, offer, now=NOW, keeps_cookies=keeps_cookies)


def expiring(seconds: int) -> PaymentRequired:
    """Return an order whose offer ends in so many seconds."""
    return replace(OPEN, order=order(pay_deadline=NOW + seconds if seconds else 0))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(2 * HOUR, "2 hours"), (0, None), (-5, None), (400 * 86_400, None)],
)
def test_the_time_that_is_left(seconds: int, shown: str | None) -> None:
    """Told in words where it is a time that people wait for; the script gets it in any case."""
    text = respond(expiring(seconds)).body.decode()
    assert ("Time left to pay" in text) is (shown is not None)
    assert (shown or "") in text
    assert f'data-expires="{NOW + seconds if seconds else 0}"' in text


@pytest.mark.parametrize("seconds", [HOUR, 0])
def test_the_deadline_in_the_other_forms(seconds: int) -> None:
    """In seconds for programs, as a date for the rest; where there is none nothing is said."""
    problem = json.loads(respond(expiring(seconds), accept="application/json").body)
    assert problem.get("pay_deadline") == ({"t_s": NOW + HOUR} if seconds else None)
    lines = respond(expiring(seconds), accept="text/plain").body.decode().splitlines()
    assert lines[-1] == ("To be paid by 2026-11-18T12:06:40Z" if seconds else STATUS_URL)


@pytest.mark.parametrize("keeps", [True, False])
def test_where_a_page_without_scripts_goes(keeps: bool) -> None:  # noqa: FBT001 - a parameter
    """To itself; but who has shown no cookie yet is asked first whether there will be one."""
    text = respond(keeps_cookies=keeps).body.decode()
    own = "/.well-known/taler-paywall/continue?order_id=" + ORDER.order_id
    [goes] = [line.partition("url=")[2] for line in text.splitlines() if "http-equiv" in line]
    assert goes.startswith(f"{PAGE}?a=b" if keeps else own)
    assert "page=%2Farticles%2Fone%3Fa%3Db" in text


@pytest.mark.parametrize(
    ("method", "offer", "goes"),
    [("GET", True, f"{PAGE}?a=b"), ("POST", True, PAGE), ("GET", False, None), ("POST", False, None)],
)
def test_where_a_page_goes_while_nobody_knows(method: str, offer: bool, goes: str | None) -> None:  # noqa: FBT001
    """To the page itself, whatever cookies there are; never to the address of a POST."""
    changes: dict[str, Any] = {"method": method, "keeps_cookies": False} | ({} if offer else {"offer": None})
    text = respond(Unavailable("x", ""), **changes).body.decode()
    assert re.findall('http-equiv="refresh" content="8; url=([^"]*)"', text) == ([goes] if goes else [])


@pytest.mark.parametrize("decision", [Unavailable("x", ""), Refused(429, "too-many-orders")])
def test_who_is_to_come_back(decision: Unavailable | Refused) -> None:
    """They are told what they wanted, no price that nobody knows, and by a link how to try again."""
    title, _, offer = respond(decision, accept="text/plain").body.decode().splitlines()
    assert (title, offer) == ("Please come back in a moment", "An evening")
    assert f'href="{PAGE}?a=b">Try again</a>' in respond(decision).body.decode()


def test_a_page_that_is_too_long_for_an_address() -> None:
    """The poll is asked without it: then the order's own cookie has to tell."""
    for query, told in ((b"a=" + b"b" * 400, True), (b"a=" + b"b" * 600, False)):
        [poll] = re.findall('data-poll="([^"]*)"', respond(query=query).body.decode())
        assert ("&amp;page=" in poll) is told


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("page.html", "{{ said.no_such_thing }}"),
        ("page.html", "{% extends 'taler_paywall/page.html' %}{% block head %}{{ 1 / 0 }}{% endblock %}"),
        ("rss.xml", "{{ nothing }}"),
    ],
)
def test_a_template_that_breaks(name: str, template: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Our own takes its place, so that the reader can pay all the same; the log has the traceback."""
    (tmp_path / name).write_text(template)
    rule = Rule(PAGE, "KUDOS:0.5", summary="An evening")
    with caplog.at_level(logging.ERROR, "taler_paywall"):
        answer = respond(rule=rule, templates=tmp_path, accept="application/rss+xml" if "rss" in name else "text/html")
    assert b"An evening" in answer.body
    assert (b"<rss" in answer.body) is ("rss" in name)
    [record] = caplog.records
    assert (record.exc_info is not None, name in record.getMessage()) == (True, True)


@pytest.mark.parametrize("teaser", [lambda _: "text", lambda _: 1 / 0], ids=["template", "callable"])
def test_a_teaser_that_breaks(teaser: Callable[..., object], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The page without one: 402, not to be indexed, with the way to pay; the log has the traceback."""
    (tmp_path / "teaser.html").write_text("{{ 1 / 0 }}")
    rule = Rule(PAGE, "KUDOS:0.5", summary="An evening", teaser=teaser)
    answer = respond(rule=rule, templates=tmp_path)
    assert (answer.status, b"noindex" in answer.body, b"An evening" in answer.body) == (402, True, True)
    [record] = caplog.records
    assert record.exc_info
    assert "the teaser cannot be shown" in record.getMessage()


def test_a_template_of_ours_that_breaks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to take its place: the request fails, and the adapter answers 503."""
    monkeypatch.setattr("taler_paywall.qr.svg", lambda *_: object.__getattribute__(0, "nothing"))
    with pytest.raises(AttributeError):
        respond()
    monkeypatch.setattr("taler_paywall.render._render", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        respond(Unavailable("x", ""))
    assert "a template of the site" not in caplog.text


def test_a_site_changes_a_block(tmp_path: Path) -> None:
    """A template of the same name extends ours."""
    (tmp_path / "page.html").write_text(
        "{% extends 'taler_paywall/page.html' %}{% block footer %}<p>Sold: {{ offer.resource.name }}</p>{% endblock %}"
    )
    text = respond(templates=tmp_path).body.decode()
    assert f"<p>Sold: {PAGE}</p>" in text
    assert "<h1>An evening</h1>" in text


@pytest.mark.parametrize(
    ("decision", "url"),
    [(Refunded(ORDER, STATUS_URL), STATUS_URL), (Refunded(ORDER, ""), None), (MOVED, STATUS_URL)],
)
def test_what_programs_hear_of_a_refund(decision: Denial, url: str | None) -> None:
    """Where it is collected while it is pending; what it would cost again in any case."""
    problem = json.loads(respond(decision, accept="application/json").body)
    assert (problem.get("order_status_url"), problem["amount"]) == (url, "KUDOS:0.5")
    assert ("taler_pay_uri" in problem) is (decision is MOVED)


@pytest.mark.parametrize("accept", ["application/rss+xml", "application/atom+xml"])
def test_a_feed_about_nothing_that_is_sold(accept: str) -> None:
    """It leads to what was asked for."""
    assert f"{SITE}{PAGE}?a=b".encode() in respond(Unavailable("x", ""), accept=accept, offer=None).body
