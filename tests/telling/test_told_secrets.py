"""No event, metric, span or line of the log holds a cookie, a session, a token, a key, a query or a body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, get_args

import pytest
from attacks.parrot import MOODS, PLANTED_TOKEN, Parrot, honest
from attacks.test_secrets import SECRET_KEY, Walk, claim_tokens, never_told, shown
from conformance.till import Till
from running import eventually, free_port

from taler_paywall.events import Kind
from taler_paywall.session import Keys
from taler_paywall.testing.wallet import TalerWallet

from .conftest import OpenSite
from .listening import Listening

#: What readers and their scripts send along, of which nothing is the paywall's business.
PLANTED: Final = {
    name: f"planted-{name}-0123456789".encode()
    for name in ("query", "body", "authorization", "cookie", "header", "password")
}
HEADERS: Final = {
    "Authorization": f"Bearer {PLANTED['authorization'].decode()}",
    "X-Api-Key": PLANTED["header"].decode(),
    "Referer": f"https://elsewhere.example/?{PLANTED['header'].decode()}",
    "Accept": "application/json",
}
OWN: Final = "/.well-known/taler-paywall"


@pytest.fixture(scope="module")
def parrot(till: Till) -> Iterator[Parrot]:
    """Run the backend that the site knows, which says back what it is told."""
    with Parrot(till.port) as started:
        yield started


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def told(
    request: pytest.FixtureRequest, open_site: OpenSite, till: Till, parrot: Parrot, purse: TalerWallet
) -> tuple[Walk, dict[str, bytes]]:
    """Lead readers through everything that can happen, and return what the owner was told, by where."""
    planted = {"TALER_PAYWALL_TOKEN": PLANTED_TOKEN, "TALER_PAYWALL_SECRET_KEY": SECRET_KEY}
    # Nobody listens there.
    cache = f"redis://:{PLANTED['password'].decode()}@127.0.0.1:{free_port()}/0"
    options = {"recheck_after": 0, "serve_known_for": 0, "cache": cache}
    site = open_site(request.param, options=options, TALER_PAYWALL_BACKEND=parrot.url, **planted)
    walk = Walk(site.url, [Keys([SECRET_KEY.encode()], f"{site.url} {parrot.url}")])
    try:
        _lead(walk, till, parrot, purse)
        parrot.mood = MOODS["gone"]
        eventually(lambda: walk.reader().visit("/articles/bees") and _told_of(site, "backend-down"), "it is given up")
        parrot.mood = honest
        eventually(lambda: _told_of(site, "backend-up"), "it is asked again")
    finally:
        parrot.mood = honest
        walk.close()
    shown_at = {path: site.shown(path) for path in ("/events", "/metrics", "/spans")}
    assert all(_told_of(site, kind) for kind in get_args(Kind))
    _nothing_is_missing(site)
    return walk, shown_at | {"log": site.process.log.read_bytes()}


def _told_of(site: Listening, kind: Kind) -> bool:
    return kind in {event.kind for event in site.events}


def _lead(walk: Walk, till: Till, parrot: Parrot, purse: TalerWallet) -> None:
    owner = walk.reader()
    owner.http.headers.update(HEADERS)
    owner.http.cookies.set("other", PLANTED["cookie"].decode(), domain="127.0.0.1")
    query = PLANTED["query"].decode()
    assert owner.http.get(f"/articles/bees?token={query}").status_code == 402
    purse.pay(owner.visit(f"/articles/bees?token={query}").headers["location"])
    assert owner.http.get(f"/articles/bees?token={query}").status_code == 200
    for name in MOODS:
        parrot.mood = MOODS[name]
        answers = [owner.http.get(f"/articles/{slug}?token={query}") for slug in ("bees", name.replace(" ", "-"))]
        parrot.mood = honest
        assert 503 in [answer.status_code for answer in answers], name
        # A failure more, and it would not be asked any more.
        assert owner.http.get("/articles/bees").status_code == 200
    _knock_at_the_reserved_paths(walk, query)
    assert owner.http.get("/", extensions={"target": f"/articles//bees?{query}".encode()}).status_code == 400
    assert owner.http.get(f"/priceless/bees?{query}").status_code == 503
    assert owner.http.post("/search?about=bees", content=PLANTED["body"]).status_code == 402
    page = f"{walk.url}/articles/bees"
    till.give_back(next(order.order_id for order in till.orders() if order.fulfillment_url == page and order.paid))
    assert owner.http.get("/articles/bees").status_code == 402


def _knock_at_the_reserved_paths(walk: Walk, query: str) -> None:
    reader = walk.reader()
    body = PLANTED["body"].decode()
    assert reader.visit("/articles/ants").status_code == 302
    assert reader.http.get(f"{OWN}/poll-payment?order_id={query}").status_code == 404
    assert reader.http.get(f"{OWN}/nothing?{query}").status_code == 404
    assert reader.http.post(f"{OWN}/orders/ORDER/paid", content=body).status_code == 403
    for name in ("reorder", "refund"):
        fields = {"page": f"/articles/ants?token={query}", "said": body}
        assert reader.press(f"{OWN}/{name}?{query}", fields).status_code in {303, 403, 404}, name
        foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
        assert reader.press(f"{OWN}/{name}", fields, **foreign).status_code == 403, name


def _nothing_is_missing(site: Listening) -> None:
    """Make sure that what is searched is there: each event in the log, and the details of what the backend said."""
    assert sum(bool(event.detail) for event in site.events) > 20
    assert len([span for span in site.spans if span["status"] == "ERROR"]) > 20
    lines = [line for line in site.log if " taler_paywall " in line]
    assert len(lines) >= len(site.events)


@pytest.mark.parametrize("where", ["/events", "/metrics", "/spans", "log"])
def test_no_secret_is_told(told: tuple[Walk, dict[str, bytes]], till: Till, where: str) -> None:
    walk, texts = told
    secrets = never_told(walk) | walk.cookies | walk.sessions | claim_tokens(till) | PLANTED
    assert {"cookie 0", "token", "body", "query"} <= secrets.keys()
    text = texts[where]
    assert shown(secrets, text) == set()
    assert len(text) > 1000
    # The search finds what is there.
    at = len(text) // 2
    for name, secret in secrets.items():
        assert shown({name: secret}, text[:at] + json.dumps(secret.decode("latin-1")).encode() + text[at:]), name
