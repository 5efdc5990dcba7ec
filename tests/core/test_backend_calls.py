"""How often the merchant backend is asked for each kind of visit, at a real sandbox over HTTP: never more than this."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pytest

from benchmarks.shop import BODY, application, running_sandbox
from benchmarks.visits import READERS, RULES, Visit, visits
from taler_paywall import asgi, wsgi

POST, GET, PUBLIC = "POST private/orders", "GET private/orders/ID", "GET orders/ID"
#: Whoever comes while an order is looked for that is not paid shares the next look at it; of few it may be one.
CROWD: Final = f"unpaid, {READERS} requests of one session at once"
CALLS: Final[dict[str, list[str]]] = {
    "free page": [],
    "new visitor, first of the process": [POST, GET],
    "new visitor": [POST],
    "unpaid reload": [GET],
    "unpaid, session cookie alone": [POST, GET],
    "second article of a reader": [POST, GET],
    CROWD: [POST, GET, GET],
    "paid, not cached": [GET],
    "paid, cached": [],
    f"paid, not cached, {READERS} requests at once": [GET],
    "paid, session cookie alone": [POST, GET],
    "bought before, wallet has proved it": [GET, PUBLIC, GET],
    "refunded": [GET],
    "picture, order held by another wallet": [GET, PUBLIC],
    "order held by another wallet": [GET, PUBLIC, POST, GET],
    "new visitor, page of our own": [POST],
    "script of our own page": [],
    "poll of our own page, nobody waits": [GET],
}


def view(_: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [BODY]


def differences(found: Iterable[Visit]) -> list[str]:
    """Return what was asked otherwise than it should be, kind by kind."""
    found = list(found)
    wrong = [
        f"{visit.kind}: {len(visit.calls)} calls instead of {len(CALLS[visit.kind])}: {', '.join(visit.calls)}"
        for visit in found
        if list(visit.calls) != CALLS[visit.kind]
    ]
    return wrong + [f"{kind}: not counted" for kind in CALLS.keys() - {visit.kind for visit in found}]


@pytest.mark.parametrize(("adapter", "app"), [(asgi, application), (wsgi, view)], ids=["asgi", "wsgi"])
def test_calls_of_the_backend(adapter: Any, app: Any) -> None:
    """A change that asks more often has to say so here."""
    with running_sandbox() as sandbox:
        found = visits(sandbox, lambda **options: adapter.PaywallMiddleware(app, RULES, **options))
        assert not differences(found)


def test_a_difference_is_told() -> None:
    """By how much, and which calls they were."""
    found = [Visit(kind, tuple(calls)) for kind, calls in CALLS.items() if kind != "free page"]
    found[1] = Visit("new visitor", (POST, GET))
    assert differences(found) == [f"new visitor: 2 calls instead of 1: {POST}, {GET}", "free page: not counted"]
