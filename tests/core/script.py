"""Drives a payment flow by a script: which operation is expected next, and what is answered."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from taler_paywall import crockford
from taler_paywall.amount import Amount
from taler_paywall.contract import contract_hash
from taler_paywall.decision import Decision
from taler_paywall.drive import run
from taler_paywall.errors import BackendError
from taler_paywall.flow import payment_flow
from taler_paywall.http import Request, quote_segment
from taler_paywall.offer import EXTRA, Offer, Storefront
from taler_paywall.operations import (
    BackendResponse,
    Call,
    Forget,
    LearnLinks,
    MayOrder,
    Op,
    Payment,
    Recall,
    RecallKnown,
    RecallLinks,
    Remember,
    SessionId,
)
from taler_paywall.resource import Rule, resource_of
from taler_paywall.session import Keys, Order
from taler_paywall.visit import Visit

BACKEND = "https://backend.example/instances/shop/"
SITE = "https://news.example"
NOW = 1_795_000_000
KEYS = Keys([b"k" * 16 + b"0123456789abcdef"], f"{SITE} {BACKEND}")
STOREFRONT = Storefront(SITE, BACKEND, KEYS, refund_delay=3600, recheck_after=60)
RULE = Rule("/articles/{slug}/*", "KUDOS:0.5", summary="Article {slug}")
RESOURCE = resource_of(RULE, {"slug": "one"})
OFFER = Offer(RULE, RESOURCE, Amount.parse("KUDOS:0.5"), SITE)
SESSION = KEYS.session_id("the secret of the session cookie")
OTHER_SESSION = KEYS.session_id("another browser")

Json = dict[str, Any]


def order(attempt: int = 0, *, session: SessionId = SESSION, **changes: Any) -> Order:
    """Return this browser's order of an attempt."""
    fields: dict[str, Any] = {
        "session_id": session,
        "order_id": KEYS.order_id(session, RESOURCE.name, attempt),
        "resource": RESOURCE.tag,
        "attempt": attempt,
        "again": 0,
        "price": "KUDOS:0.5",
        "page": "",
        "pay_deadline": NOW + 3600,
        "issued": NOW - 10,
    }
    return Order(**fields | changes)


def visit(
    *orders: Order,
    page: str = "/articles/one?ref=x",
    may_order: bool = True,
    buy_again: bool = False,
    lost_cookies: bool = False,
) -> Visit:
    """Return a navigation to the article with these orders in its cookies; without a page, a script's request."""
    mode, dest = (b"navigate", b"document") if page else (b"cors", b"empty")
    headers = [(b"sec-fetch-mode", mode), (b"sec-fetch-dest", dest), (b"sec-fetch-site", b"same-origin")]
    if not may_order:
        headers.append((b"sec-purpose", b"prefetch"))
    if lost_cookies:
        headers.append((b"referer", b"https://backend.example/"))
    path, _, query = (page or "/articles/one").partition("?")
    request = Request("GET", path, path.encode(), "", query.encode(), headers)
    return Visit(request, orders, SESSION, fresh=True, now=NOW, buy_again=buy_again)


def created(which: Order) -> tuple[int, Json]:
    """Return the backend's answer to a new order."""
    return 200, {"order_id": which.order_id, "token": "T0KEN", "pay_deadline": {"t_s": NOW + 3600}}


EXISTS = 409, {"code": 2503, "hint": "exists"}
UNKNOWN = 404, {"code": 2005, "hint": "unknown"}


def unpaid(which: Order, **changes: Any) -> tuple[int, Json]:
    """Return the status of an order that nobody has claimed."""
    base: Json = {
        "order_status": "unpaid",
        "taler_pay_uri": f"taler://pay/backend.example/instances/shop/{which.order_id}/{which.session_id}?c=T0KEN",
        "order_status_url": f"{BACKEND}orders/{which.order_id}?token=T0KEN&session_id={which.session_id}",
        "creation_time": {"t_s": NOW},
        "summary": "Article one",
        "total_amount": "KUDOS:0.5",
    }
    return 200, base | changes


def claimed(which: Order) -> tuple[int, Json]:
    """Return the status of an order that a wallet holds."""
    return 200, {"order_status": "claimed", "contract_terms": contract(which), "order_status_url": status_url(which)}


def by_hash(which: Order) -> str:
    """Return how `Script` writes the question of the customer who has claimed an order."""
    h_contract = crockford.encode(contract_hash(contract(which)))
    return f"GET orders/{which.order_id}?h_contract={h_contract}&{get(which).partition('?')[2]}"


def held(which: Order) -> list[tuple[str, Any]]:
    """Return the steps of an order that a wallet has claimed, and for which it has proved no other."""
    to_pay = 402, {"taler_pay_uri": unpaid(which)[1]["taler_pay_uri"]}
    return [(get(which), claimed(which)), (by_hash(which), to_pay)]


def status_url(which: Order) -> str:
    """Return the page of an order at the backend."""
    return f"{BACKEND}orders/{which.order_id}?h_contract=H&session_id={which.session_id}"


def contract(which: Order, **changes: Any) -> Json:
    """Return the contract terms of an order."""
    base: Json = {
        "order_id": which.order_id,
        "amount": "KUDOS:0.5",
        "max_fee": "KUDOS:0.1",
        "summary": "Article one",
        "merchant_base_url": BACKEND,
        "merchant_pub": "8GSJZ649T2PXMKZC01Y4ANNBE7MF14QVK9SQEC4E46ZHKCVG8AS0",
        "fulfillment_url": OFFER.fulfillment_url,
        "extra": {EXTRA: {"resource": RESOURCE.name, "amount": "KUDOS:0.5"}},
        "refund_deadline": {"t_s": NOW + 3600},
        "wire_transfer_deadline": {"t_s": NOW + 7200},
        "timestamp": {"t_s": NOW},
    }
    return base | changes


def paid(which: Order, terms: Json | None = None, **changes: Any) -> tuple[int, Json]:
    """Return the status of an order that is paid under its session: full evidence unless changed."""
    base: Json = {
        "order_status": "paid",
        "refunded": False,
        "refund_pending": False,
        "refund_amount": "KUDOS:0",
        "wired": False,
        "deposit_total": "KUDOS:0.5",
        "contract_terms": contract(which) | (terms or {}),
        "order_status_url": status_url(which),
    }
    return 200, base | changes


def get(which: Order) -> str:
    """Return how `Script` writes a status request."""
    query = f"session_id={which.session_id}&allow_refunded_for_repurchase=YES"
    return f"GET private/orders/{quote_segment(which.order_id)}?{query}"


POST = "POST private/orders"


@dataclass
class Script:
    """Performs operations: each must be the one that comes next.

    Args:
        steps: pairs of an operation's text and its answer: (status, JSON) or an error for calls, anything for others.
        links_as_built: what is known of the backend's links; operations about them are no steps.
        known: the payment that was confirmed not long ago; the question for it is no step either.
        wait: for how long no order may be made; these questions are none, but the clients are kept.
        dropped: orders of which nothing is remembered, for now.
    """

    steps: list[tuple[str, Any]]
    bodies: list[Json] = field(default_factory=list)
    remembered: list[Remember] = field(default_factory=list)
    links_as_built: bool = False
    known: Payment | None = None
    wait: float = 0.0
    clients: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def __call__(self, op: Op[Any]) -> Any:
        if isinstance(op, RecallKnown):
            return self.known and next((key, self.known) for key in op.keys if key.order_id == self.known.order_id)
        if isinstance(op, MayOrder):
            self.clients.append(op.client)
            return self.wait
        if isinstance(op, Forget) and not op.lasting:
            self.dropped.append(op.order_id)
            return None
        if isinstance(op, RecallLinks):
            return self.links_as_built
        if isinstance(op, LearnLinks):
            self.links_as_built = op.as_built
            return None
        assert self.steps, f"unexpected {text_of(op)}"
        expected, answer = self.steps.pop(0)
        assert text_of(op) == expected
        if isinstance(op, Remember):
            self.remembered.append(op)
        if isinstance(op, Recall) and isinstance(answer, Payment):
            return next((key, answer) for key in op.keys if key.order_id == answer.order_id)
        if not isinstance(op, Call):
            return answer
        if op.request.body:
            self.bodies.append(json.loads(op.request.body))
        if isinstance(answer, BackendError):
            raise answer
        return op.parse(BackendResponse(answer[0], "application/json", json.dumps(answer[1]).encode()))


def text_of(op: Op[Any]) -> str:
    """Return an operation as a script writes it."""
    match op:
        case Call(request=request):
            query = "&".join(f"{name}={value}" for name, value in request.query)
            return f"{request.method} {request.path}{'?' if query else ''}{query}"
        case Recall():
            return "recall"
        case Remember(key=key):
            return f"remember {key.order_id}"
        case Forget(order_id=order_id):
            return f"forget {order_id}"
        case _:
            raise AssertionError(op)


def decide(
    the_visit: Visit, *steps: tuple[str, Any], storefront: Storefront = STOREFRONT, **memory: Any
) -> tuple[Decision, Script]:
    """Run the flow through a script, with what is remembered, and demand that every step was used."""
    script = Script(list(steps), **memory)
    decision = run(payment_flow(storefront, the_visit, OFFER), script)
    assert not script.steps, f"never asked: {script.steps}"
    return decision, script


PAYMENT = Payment(order().order_id, RESOURCE.name, "KUDOS:0.5")
