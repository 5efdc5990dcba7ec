"""What readers of feeds are told: a feed of one entry, well-formed whatever is sold."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from core.script import NOW, SITE
from core.states import AMOUNT, CRAWLED, OPEN, PAGE, pages
from msgspec.structs import replace

from taler_paywall.http import Request
from taler_paywall.offer import Offer
from taler_paywall.resource import Rule, resource_of

from .conftest import Shop
from .facts_of import ATOM, FORMS
from .headers import FEED_READERS, Client

feeds = pytest.mark.parametrize("form", ["rss", "atom"])


@pytest.mark.parametrize("client", FEED_READERS, ids=str)
def test_readers_of_feeds_get_a_feed(shop: Shop, client: Client, name: str) -> None:
    """They show their user what is the matter and what it costs, though no order was made for them."""
    answer = shop.ask(client, f"/redirect/{name}")
    assert answer.headers["content-type"] == FORMS["rss"].media_type
    entry = ET.fromstring(answer.content).find("channel/item")
    assert entry is not None
    assert entry.findtext("link") == f"{shop.url}/redirect/{name}"
    assert f"Article {name}: 0.50\u00a0KUDOS (KUDOS:0.5)" in (entry.findtext("description") or "")


@feeds
def test_a_feed_has_what_its_format_needs(shop: Shop, form: str, name: str) -> None:
    """RSS 2.0 and RFC 4287: titles, links, an author, and an ID that stays the same, so that it is shown once."""
    answers = [shop.get(f"/redirect/{name}?n={n}", {"Accept": FORMS[form].accept}) for n in range(2)]
    roots = [ET.fromstring(answer.content) for answer in answers]
    if form == "rss":
        wanted = ["channel/title", "channel/link", "channel/description", "channel/item/title"]
        ids = [root.findtext("channel/item/guid") for root in roots]
    else:
        feed = ["id", "title", "updated", "author/name", "entry/id", "entry/title", "entry/updated", "entry/content"]
        wanted = ["/".join(ATOM + part for part in path.split("/")) for path in feed]
        ids = [root.findtext(f"{ATOM}entry/{ATOM}id") for root in roots]
    assert all(roots[0].findtext(path) for path in wanted)
    assert ids == [f"{shop.url}/redirect/{name}#unpaid"] * 2


@feeds
@pytest.mark.parametrize(
    "summary",
    [
        "a & <b> ]]> \"'",
        "bees 🐝",
        "\x85 \u2028 \x7f",
        "line\nfeed\ttab",
        "bell \x07 nul \x00 escape \x1b",
        "\ufffe \uffff",
    ],
)
@pytest.mark.parametrize("ordered", [True, False])
def test_feeds_are_well_formed(form: str, summary: str, ordered: bool) -> None:  # noqa: FBT001 - a parameter
    """Whatever a site calls what it sells, control characters included: no XML may hold them."""
    rule = Rule(PAGE, "KUDOS:0.5", summary=lambda _: summary)
    offer = Offer(rule, resource_of(rule, {}), AMOUNT, SITE)
    request = Request("GET", PAGE, PAGE.encode(), "", b"", [(b"accept", FORMS[form].accept.encode())])
    answer = pages().respond(request, replace(OPEN) if ordered else CRAWLED, offer, now=NOW)
    said = "".join(ET.fromstring(answer.body).itertext())
    for word in summary.split():
        assert word in said or not word.isprintable()
