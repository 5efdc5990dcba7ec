"""What is taken for a call of the backend, and what becomes of it: read and answered without I/O."""

from __future__ import annotations

import json
from typing import Any

import pytest
from core.test_paywall import BACKEND, FORM, KEYS, SITE, ask, cookie_for, cookies_of, settings_of

from taler_paywall import Rule
from taler_paywall.decision import Refused
from taler_paywall.drive import run
from taler_paywall.events import Event, Events
from taler_paywall.forms import MAX_FORM
from taler_paywall.http import Request, Response
from taler_paywall.operations import Forget, Op
from taler_paywall.paywall import SitePaywall
from taler_paywall.reserved import MAX_FORMS, Errand
from taler_paywall.session import Keys
from taler_paywall.webhook import Notice, read_notice

SECRETS = ("FIRST", "SECOND", "THIRD")
PATH = "/.well-known/taler-paywall/webhook"
OWN_SECRET = Keys(KEYS, f"{SITE} {BACKEND}").webhook_secrets[-1]
REFUND = b'{"order_id":"ORDER","event":"refund"}'


def call(authorization: str | None = "Bearer SECOND", method: str = "POST", **headers: str) -> Request:
    """Return what the backend sends."""
    given = {"authorization": authorization} if authorization is not None else {}
    return ask(method, PATH, content_type="application/json", **given, **headers)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("event", ["pay", "refund"])
def test_every_secret_opens(secret: str, event: str) -> None:
    """While a key is rotated, the backend may still use the older one; what else it tells is its own affair."""
    body = json.dumps({"order_id": "2026.11-ORDER:1", "event": event, "webhook_type": event, "amount": 1}).encode()
    assert read_notice(call(f"Bearer {secret}"), body, SECRETS) == Notice("2026.11-ORDER:1", event)  # type: ignore[arg-type] # one of two


@pytest.mark.parametrize(
    "authorization",
    [
        *(None, "", "Bearer", "Bearer ", "SECOND", "Basic SECOND", "Bearer SECON", "Bearer SECONDX", "Bearer second"),
        *("Bearer SECOND ", "Bearer  SECOND", "Bearer FIRSTSECOND", "Bearer SECOND, Bearer SECOND", "Bearer S\xc9COND"),
    ],
)
@pytest.mark.parametrize("body", [REFUND, b"nonsense", None])
def test_without_a_secret_nothing_is_read(authorization: str | None, body: bytes | None) -> None:
    """Who does not know one is told nothing else, whatever was sent."""
    assert read_notice(call(authorization), body, SECRETS) == Refused(403, "foreign-webhook")


def test_a_secret_that_is_not_there_opens_nothing() -> None:
    """A site without keys hears nobody."""
    assert read_notice(call("Bearer "), REFUND, ()) == Refused(403, "foreign-webhook")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"null", b'"ORDER"', b"{", b"\xff", b"[" * 4000, REFUND + b"x"),
        *(b'{"order_id":"ORDER"}', b'{"event":"refund"}', b'{"order_id":"ORDER","event":"order_created"}'),
        *(b'{"order_id":"ORDER","event":["refund"]}', b'{"order_id":7,"event":"refund"}'),
        *(b'{"order_id":"","event":"pay"}', b'{"order_id":"..","event":"pay"}', b'{"order_id":"a/b","event":"pay"}'),
        b'{"order_id":"%b","event":"pay"}' % (b"a" * 129),
        b'{"order_id":"ORDER\\n","event":"pay"}',
        b"order_id=ORDER&event=refund",
    ],
)
def test_what_is_malformed(body: bytes) -> None:
    """400: the backend then does not send it again."""
    assert read_notice(call(), body, SECRETS) == Refused(400, "malformed-webhook")


def test_a_body_that_is_too_long() -> None:
    """413, as for forms."""
    assert read_notice(call(), None, SECRETS) == Refused(413, "body-too-long")


def site(told: list[Event]) -> SitePaywall:
    return SitePaywall(settings_of([Rule("/articles/{slug}/*", "KUDOS:0.5")]), KEYS, SITE, Events([told.append]))


def outcome(
    paywall: SitePaywall, request: Request, body: bytes | None = REFUND, *, shared: bool = True
) -> tuple[Response, list[Op[Any]]]:
    """Return the answer, and what was done for it; ``shared`` whether all who share the cache could be told."""
    done: list[Op[Any]] = []

    def perform(op: Op[Any]) -> bool:
        done.append(op)
        return shared

    found = paywall.begin(request, body)
    if isinstance(found, Errand):
        found = paywall.finish(found, run(found.flow, perform))
    assert isinstance(found, Response)
    return found, done


@pytest.mark.parametrize(("event", "lasting"), [("pay", False), ("refund", True)])
def test_the_order_is_forgotten_and_nothing_else_is_done(event: str, lasting: bool) -> None:  # noqa: FBT001 - a table
    """204 without a cookie; after a refund no answer that is on its way brings the payment back, and it is told."""
    told: list[Event] = []
    body = json.dumps({"order_id": "ORDER", "event": event}).encode()
    answer, done = outcome(site(told), call(f"Bearer {OWN_SECRET}"), body)
    assert (answer.status, answer.body, done) == (204, b"", [Forget("ORDER", lasting=lasting)])
    assert told == ([Event("refunded", "webhook", order_id="ORDER")] if lasting else [])
    assert cookies_of(answer) == []


def test_where_not_all_could_be_told_it_is_to_be_sent_again() -> None:
    """Backends repeat what was not answered with success."""
    told: list[Event] = []
    answer, done = outcome(site(told), call(f"Bearer {OWN_SECRET}"), shared=False)
    assert (answer.status, dict(answer.headers)[b"retry-after"], len(done)) == (503, b"5", 1)
    assert told == [Event("unknown", "cache-lost", resource=PATH, order_id="ORDER")]


@pytest.mark.parametrize(
    ("authorization", "body", "status", "reason"),
    [
        ("Bearer GUESSED", REFUND, 403, "foreign-webhook"),
        (f"Bearer {OWN_SECRET}", b"{}", 400, "malformed-webhook"),
        (f"Bearer {OWN_SECRET}", None, 413, "body-too-long"),
    ],
)
def test_what_is_refused_does_nothing(authorization: str, body: bytes | None, status: int, reason: str) -> None:
    """It is told, without a word of what was sent."""
    told: list[Event] = []
    answer, done = outcome(site(told), call(authorization), body)
    assert (answer.status, done, told) == (status, [], [Event("refused", reason, resource=PATH)])
    assert json.loads(answer.body) == {"code": 0, "hint": reason}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"])
def test_only_post(method: str) -> None:
    """The others are told which one it is, before anything is compared."""
    answer, done = outcome(site([]), call("Bearer GUESSED", method))
    assert (answer.status, dict(answer.headers)[b"allow"], done) == (405, b"POST", [])


def test_it_is_no_form() -> None:
    """No origin is asked for, and none refused; it is not counted among a session's forms, nor refused with them."""
    paywall = site([])
    jar = cookie_for(paywall)
    for origin in ("https://evil.example", SITE):
        for _ in range(MAX_FORMS + 1):
            webhook = call(f"Bearer {OWN_SECRET}", origin=origin, cookie=jar, sec_fetch_site="cross-site")
            assert outcome(paywall, webhook)[0].status == 204
    reorder = ask("POST", "/.well-known/taler-paywall/reorder", cookie=jar, **FORM)
    assert not isinstance(paywall.begin(reorder, b"page=/articles/one"), Response)


def test_the_secrets_of_two_sites_and_of_two_keys_differ() -> None:
    """One backend may serve many sites, and none of them speaks for another."""
    other = b"another key, of the same length as the first one"
    keys = [Keys(KEYS, SITE), Keys(KEYS, "https://other.example"), Keys((other,), SITE), Keys((*KEYS, other), SITE)]
    first, of_site, of_key, of_both = (each.webhook_secrets for each in keys)
    assert len({first[0], of_site[0], of_key[0]}) == 3
    assert of_both == (first[0], of_key[0])


def test_a_body_of_the_greatest_length_is_read() -> None:
    """What adapters let through is read."""
    assert isinstance(read_notice(call(), REFUND.ljust(MAX_FORM), SECRETS), Notice)
