"""The payment flow, one test for each branch of the design's table; every test compares all operations."""

from __future__ import annotations

import json
from dataclasses import replace as replace_fields
from typing import Any

import pytest
from msgspec.structs import replace

from core.script import (
    BACKEND,
    EXISTS,
    NOW,
    OFFER,
    OTHER_SESSION,
    PAYMENT,
    POST,
    SESSION,
    SITE,
    STOREFRONT,
    UNKNOWN,
    by_hash,
    claimed,
    contract,
    created,
    decide,
    get,
    held,
    order,
    paid,
    status_url,
    unpaid,
    visit,
)
from taler_paywall import crockford
from taler_paywall.contract import contract_hash
from taler_paywall.decision import (
    CookiesNeeded,
    Grant,
    NotAcceptable,
    PaymentRequired,
    Refunded,
    TryAgain,
    Unavailable,
)
from taler_paywall.drive import run
from taler_paywall.errors import BackendUnreachable
from taler_paywall.flow import payment_flow
from taler_paywall.http import MAX_URL
from taler_paywall.operations import BackendResponse, Call, Forget, Op, PaymentKey, Recall, Remember, SessionId
from taler_paywall.session import Order

FIRST, SECOND, THIRD = order(0, price=""), order(1, price=""), order(2, price="")
REFUNDED: dict[str, Any] = {"refunded": True, "refund_amount": "KUDOS:0.5"}


def test_fresh_visitor() -> None:
    """Steps 4, 5, 10: a new order under a new session, its status, and the way to pay."""
    decision, script = decide(visit(), (POST, created(FIRST)), (get(FIRST), unpaid(FIRST)))
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert decision.order == replace(FIRST, price="KUDOS:0.5", page="/articles/one?ref=x", issued=NOW)
    assert decision.taler_pay_uri == unpaid(FIRST)[1]["taler_pay_uri"]
    assert decision.order_status_url.startswith(f"{BACKEND}orders/{FIRST.order_id}?token=")
    assert script.bodies == [
        {
            "order": {
                "order_id": FIRST.order_id,
                "summary": "Article one",
                "amount": "KUDOS:0.5",
                "fulfillment_url": f"{SITE}/articles/one",
                "public_reorder_url": f"{SITE}/articles/one",
                "extra": {"taler_paywall": {"resource": "/articles/{slug}/*?slug=one", "amount": "KUDOS:0.5"}},
            },
            "refund_delay": {"d_us": 3_600_000_000},
        }
    ]


def test_fresh_visitor_at_the_fulfillment_url() -> None:
    """The page where the payment ends need not be remembered."""
    decision, _ = decide(visit(page="/articles/one"), (POST, created(FIRST)), (get(FIRST), unpaid(FIRST)))
    assert decision.order == replace(FIRST, price="KUDOS:0.5", issued=NOW)


def test_deadlines_that_the_backend_tells() -> None:
    """With a new order, and with the status of a known one; where nothing was told there is none."""
    decision, _ = decide(visit(), (POST, (200, {"order_id": FIRST.order_id})), (get(FIRST), unpaid(FIRST)))
    assert decision.order is not None
    assert decision.order.pay_deadline == 0
    told = unpaid(order(), pay_deadline={"t_s": NOW + 99})
    decision, _ = decide(visit(order()), ("recall", None), (get(order()), told))
    assert decision.order == order(pay_deadline=NOW + 99)


def test_cached_payment_is_delivered() -> None:
    """Step 3: the cache holds the tuple, and the backend is not asked."""
    decision, _ = decide(visit(order()), ("recall", PAYMENT))
    assert decision == Grant(PAYMENT, order())


def test_what_is_remembered_is_recalled() -> None:
    """A payment opens the resource for the session that it was made in: the cache is asked for all three."""
    asked: list[Op[Any]] = []

    def perform(op: Op[Any]) -> Any:
        asked.append(op)
        if not isinstance(op, Call):
            return None
        return op.parse(BackendResponse(200, "application/json", json.dumps(paid(order())[1]).encode()))

    run(payment_flow(STOREFRONT, visit(order(), order(1)), OFFER), perform)
    keys = [PaymentKey(one.order_id, OFFER.resource.name, one.session_id) for one in (order(), order(1))]
    assert asked[0] == Recall(tuple(keys))
    assert asked[2] == Remember(keys[0], PAYMENT, STOREFRONT.recheck_after, contract(order())["merchant_pub"])


def test_one_order_in_two_sessions() -> None:
    """Where a proof has moved an order, the cookie of the session that is recalled counts, not the first of the ID."""
    here = order(session=OTHER_SESSION, order_id=order().order_id)
    held = PaymentKey(here.order_id, OFFER.resource.name, here.session_id), PAYMENT
    decision, _ = decide(visit(order(), here), ("recall", held))
    assert decision == Grant(PAYMENT, here)


def test_what_was_refunded_is_forgotten() -> None:
    """Whatever is held of the order."""
    asked: list[Op[Any]] = []

    def perform(op: Op[Any]) -> Any:
        asked.append(op)
        if not isinstance(op, Call):
            return None
        return op.parse(BackendResponse(200, "application/json", json.dumps(paid(order(), **REFUNDED)[1]).encode()))

    run(payment_flow(STOREFRONT, visit(order()), OFFER), perform)
    assert asked[2] == Forget(order().order_id)


def test_unpaid_reload_offers_the_same_order() -> None:
    """Step 10: an order that can be paid is offered again, and none is made."""
    decision, _ = decide(visit(order()), ("recall", None), (get(order()), unpaid(order())))
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert decision.order.order_id == order().order_id


def test_claimed_order_is_replaced_by_the_next_attempt() -> None:
    """Step 6: claimed by a wallet, so the order-ID is null and step 4 comes again."""
    decision, _ = decide(
        visit(order()),
        ("recall", None),
        *held(order()),
        (POST, created(SECOND)),
        (get(SECOND), unpaid(SECOND)),
    )
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert (decision.order.order_id, decision.order.attempt) == (SECOND.order_id, 1)


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        (claimed(SECOND), "claimed"),
        (UNKNOWN, "unknown-order"),
        (unpaid(SECOND, pay_deadline={"t_s": NOW - 1}), "expired"),
    ],
)
def test_replacement_unusable_as_well(again: Any, reason: str) -> None:
    """One replacement per request in all: then "try again", and the cookie keeps the newest attempt."""
    decision, _ = decide(
        visit(order()),
        ("recall", None),
        *held(order()),
        (POST, created(SECOND)),
        (get(SECOND), again),
    )
    assert isinstance(decision, TryAgain)
    assert (decision.order.order_id, decision.order.attempt) == (SECOND.order_id, 1)
    assert decision.reason == reason


def test_first_order_was_claimed_long_ago() -> None:
    """Without a cookie the first attempt is derived anew; if it is claimed, the one replacement follows."""
    decision, _ = decide(
        visit(), (POST, created(FIRST)), (get(FIRST), claimed(FIRST)), (POST, EXISTS), (get(SECOND), claimed(SECOND))
    )
    assert isinstance(decision, TryAgain)
    assert decision.order.attempt == 1


def test_order_exists_with_other_contents() -> None:
    """409/2503 means "exists": its status is asked, and its price is not taken for today's."""
    status = unpaid(FIRST, total_amount="KUDOS:0.3")
    decision, _ = decide(visit(), (POST, EXISTS), (get(FIRST), status))
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert (str(decision.amount), decision.order.price) == ("KUDOS:0.3", "")


def test_evicted_purchase_is_found_again() -> None:
    """A purchase whose cookie was lost is found by its derived ID, without the wallet."""
    decision, script = decide(visit(), (POST, EXISTS), (get(FIRST), paid(FIRST)), (f"remember {FIRST.order_id}", None))
    assert isinstance(decision, Grant)
    assert decision.order.order_id == FIRST.order_id
    assert script.remembered[0].seconds == 60


def test_paid_order_is_delivered_and_remembered() -> None:
    """Step 9, for as long as a refund is possible for a short time only."""
    decision, script = decide(
        visit(order()), ("recall", None), (get(order()), paid(order())), (f"remember {order().order_id}", None)
    )
    assert decision == Grant(PAYMENT, order(), reason="paid")
    assert script.remembered[0].seconds == 60


def test_payment_that_cannot_be_refunded_is_remembered_for_a_day() -> None:
    """Once the refund and the wire transfer deadline have passed, the backend is asked once a day."""
    terms = {"refund_deadline": {"t_s": NOW - 9}, "wire_transfer_deadline": {"t_s": NOW - 1}}
    _, script = decide(
        visit(order()), ("recall", None), (get(order()), paid(order(), terms)), (f"remember {order().order_id}", None)
    )
    assert script.remembered[0].seconds == 86_400


@pytest.mark.parametrize("last", ["refund_deadline", "wire_transfer_deadline"])
def test_payment_whose_deadlines_end_now(last: str) -> None:
    """A deadline has passed when it is over, and both must be."""
    terms = {"refund_deadline": {"t_s": NOW - 9}, "wire_transfer_deadline": {"t_s": NOW - 9}, last: {"t_s": NOW}}
    _, script = decide(
        visit(order()), ("recall", None), (get(order()), paid(order(), terms)), (f"remember {order().order_id}", None)
    )
    assert script.remembered[0].seconds == 60


def test_paid_for_another_resource() -> None:
    """A paid order opens what it was made for and nothing else: it is replaced like a claimed one."""
    other = {"extra": {"taler_paywall": {"resource": "/articles/{slug}/*?slug=two", "amount": "KUDOS:0.5"}}}
    decision, _ = decide(
        visit(order()),
        ("recall", None),
        (get(order()), paid(order(), other)),
        (POST, created(SECOND)),
        (get(SECOND), unpaid(SECOND)),
    )
    assert isinstance(decision, PaymentRequired)


def test_refunded() -> None:
    """Step 7: explained, forgotten by the cache, and no new order by itself."""
    decision, _ = decide(
        visit(order()),
        ("recall", None),
        (get(order()), paid(order(), **REFUNDED)),
        (f"forget {order().order_id}", None),
    )
    assert decision == Refunded(order(), "")


def test_refund_pending() -> None:
    """Step 8: with the link to the public order page, where the wallet collects it."""
    status = paid(order(), **REFUNDED, refund_pending=True)
    decision, _ = decide(visit(order()), ("recall", None), (get(order()), status), (f"forget {order().order_id}", None))
    assert decision == Refunded(order(), status_url(order()))


def test_buy_again_after_a_refund() -> None:
    """The next attempt has a fulfillment URL of its own, so that no wallet proves the refunded one."""
    decision, script = decide(
        visit(order(), buy_again=True),
        ("recall", None),
        (get(order()), paid(order(), **REFUNDED)),
        (f"forget {order().order_id}", None),
        (POST, created(SECOND)),
        (get(SECOND), unpaid(SECOND)),
    )
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert (decision.order.attempt, decision.order.again) == (1, 1)
    assert script.bodies[0]["order"]["fulfillment_url"] == f"{SITE}/articles/one?again=1"
    assert script.bodies[0]["order"]["public_reorder_url"] == f"{SITE}/articles/one"


def test_buy_again_is_about_the_newest_order() -> None:
    """The reader has seen its page; what other tabs have is not asked for."""
    newer, older = order(issued=NOW), order(session=OTHER_SESSION, issued=NOW - 5)
    decision, _ = decide(
        visit(newer, older, buy_again=True),
        ("recall", None),
        (get(newer), paid(newer, **REFUNDED)),
        (f"forget {newer.order_id}", None),
        (POST, created(SECOND)),
        (get(SECOND), unpaid(SECOND)),
    )
    assert isinstance(decision, PaymentRequired)


def test_attempt_after_buying_again_keeps_its_fulfillment_url() -> None:
    """Claimed after a refund: the wallet must recognise the next attempt as the same thing."""
    second = order(1, again=1)
    _, script = decide(
        visit(second),
        ("recall", None),
        *held(second),
        (POST, created(THIRD)),
        (get(THIRD), unpaid(THIRD)),
    )
    assert script.bodies[0]["order"]["fulfillment_url"] == f"{SITE}/articles/one?again=1"


def test_buy_again_finds_a_later_purchase() -> None:
    """With the cookie lost after a refund, "buy again" finds what was bought since, and nobody pays twice."""
    decision, _ = decide(
        visit(buy_again=True),
        (POST, EXISTS),
        (get(FIRST), paid(FIRST, **REFUNDED)),
        (f"forget {FIRST.order_id}", None),
        (POST, EXISTS),
        (get(SECOND), paid(SECOND)),
        (f"remember {SECOND.order_id}", None),
    )
    assert isinstance(decision, Grant)


def test_unknown_order() -> None:
    """Step 5: 404 with code 2005 is "no order", and step 4 makes the next."""
    decision, _ = decide(
        visit(order()),
        ("recall", None),
        (get(order()), UNKNOWN),
        (POST, created(SECOND)),
        (get(SECOND), unpaid(SECOND)),
    )
    assert isinstance(decision, PaymentRequired)


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (NOW, {}),
        (NOW + 99, {"pay_deadline": {"t_s": NOW}}),
        (0, {"proto_contract_terms": {"pay_deadline": {"t_ms": NOW * 1000 - 1}}}),
    ],
)
def test_order_past_its_pay_deadline(known: int, told: dict[str, Any]) -> None:
    """An unpaid order that can no longer be paid is replaced, wherever its deadline stands."""
    old = order(pay_deadline=known)
    decision, _ = decide(
        visit(old),
        ("recall", None),
        (get(old), unpaid(old, **told)),
        (POST, created(SECOND)),
        (get(SECOND), unpaid(SECOND)),
    )
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert decision.order.attempt == 1


def test_deadline_never_and_unknown() -> None:
    """No deadline never passes."""
    old = order(pay_deadline=0)
    for told in ({}, {"pay_deadline": {"t_s": "never"}}):
        decision, _ = decide(visit(old), ("recall", None), (get(old), unpaid(old, **told)))
        assert isinstance(decision, PaymentRequired)


EARLIER = order(7, session=OTHER_SESSION)
PROVED = replace(order(), order_id=EARLIER.order_id, price="")


def test_already_paid_order_is_delivered_at_once() -> None:
    """A proof by the wallet is judged by step 9, the cookie is switched, and no redirect comes between."""
    decision, _ = decide(
        visit(order()),
        ("recall", None),
        (get(order()), unpaid(order(), already_paid_order_id=EARLIER.order_id)),
        (get(PROVED), paid(PROVED)),
        (f"remember {EARLIER.order_id}", None),
    )
    assert isinstance(decision, Grant)
    assert (decision.order.order_id, decision.order.session_id) == (EARLIER.order_id, order().session_id)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (paid(PROVED, {"extra": {}}), "foreign-order"),
        (paid(PROVED, {"extra": None}), "foreign-order"),
        (claimed(PROVED), "not-paid"),
        (unpaid(PROVED), "not-paid"),
        (UNKNOWN, "not-paid"),
    ],
)
def test_already_paid_order_that_is_not_acceptable(status: Any, reason: str) -> None:
    """A page of our own, never the redirect: the backend's page would send the browser straight back."""
    answer = unpaid(order(), already_paid_order_id=EARLIER.order_id)
    decision, _ = decide(visit(order()), ("recall", None), (get(order()), answer), (get(PROVED), status))
    assert decision == NotAcceptable(order(), reason)


def test_buying_what_a_proof_did_not_open() -> None:
    """Buying after an unacceptable proof makes an order that the wallet pays and does not prove."""
    decision, script = decide(
        visit(order(), buy_again=True),
        ("recall", None),
        (get(order()), unpaid(order(), already_paid_order_id=EARLIER.order_id)),
        (get(PROVED), paid(PROVED, {"extra": {}})),
        (POST, created(SECOND)),
        (get(SECOND), unpaid(SECOND)),
    )
    assert isinstance(decision, PaymentRequired)
    assert script.bodies[0]["order"]["fulfillment_url"].endswith("?again=1")


def test_already_paid_order_was_refunded() -> None:
    """The proof is of a refunded order: the refund is explained."""
    decision, _ = decide(
        visit(order()),
        ("recall", None),
        (get(order()), unpaid(order(), already_paid_order_id=EARLIER.order_id)),
        (get(PROVED), paid(PROVED, **REFUNDED)),
        (f"forget {EARLIER.order_id}", None),
    )
    assert isinstance(decision, Refunded)


def test_whichever_of_two_tabs_is_paid_opens() -> None:
    """Two tabs made an order each, under a session each; the paid one counts, though it is the older."""
    newer, older = order(issued=NOW), order(session=OTHER_SESSION, issued=NOW - 5)
    decision, _ = decide(
        visit(newer, older),
        ("recall", None),
        (get(newer), unpaid(newer)),
        (get(older), paid(older)),
        (f"remember {older.order_id}", None),
    )
    assert isinstance(decision, Grant)
    assert decision.order == older


def test_who_must_not_make_an_order() -> None:
    """A sub-resource, a prefetch or a crawler gets a price and nothing else; an order that exists is looked at."""
    decision, _ = decide(visit(may_order=False))
    assert decision == PaymentRequired(OFFER.amount)
    decision, _ = decide(visit(order(), may_order=False), ("recall", None), *held(order()))
    assert decision == PaymentRequired(OFFER.amount)


def test_scripts_of_other_origins() -> None:
    """Those that the site has named buy for a reader, others do not."""
    script = [(b"sec-fetch-mode", b"cors"), (b"sec-fetch-dest", b"empty"), (b"sec-fetch-site", b"same-site")]
    request = replace(visit().request, headers=[*script, (b"origin", b"https://app.news.example")])
    asked = replace(visit(page=""), request=request)
    assert decide(asked)[0] == PaymentRequired(OFFER.amount)
    named = replace_fields(STOREFRONT, cors_origins=frozenset({"https://app.news.example"}))
    decision, _ = decide(asked, (POST, created(FIRST)), (get(FIRST), unpaid(FIRST)), storefront=named)
    assert decision.order is not None


def test_browser_without_cookies() -> None:
    """Back from the backend's page without a cookie: one page about cookies, no order."""
    decision, _ = decide(visit(lost_cookies=True))
    assert decision == CookiesNeeded()


def test_landing_on_the_page_that_was_asked_for() -> None:
    """The first grant at the fulfillment URL leads to the page that was asked for, every other one delivers."""
    bought = order(page="/articles/one?ref=x")
    for page, landing in [
        ("/articles/one", "/articles/one?ref=x"),
        ("/articles/one?ref=x", ""),
        ("/articles/one?other", ""),
        ("", ""),
    ]:
        decision, _ = decide(visit(bought, page=page), ("recall", PAYMENT))
        assert isinstance(decision, Grant)
        assert decision.page == landing
    same = order(page="/articles/one")
    assert decide(visit(same, page="/articles/one"), ("recall", PAYMENT))[0] == Grant(PAYMENT, same)


ABSURD = [
    pytest.param((500, {"code": 61}), "backend-rejected", id="500"),
    pytest.param((404, {"code": 2000}), "backend-rejected", id="unknown instance"),
    pytest.param((401, {"code": 40}), "backend-rejected", id="token"),
    pytest.param((308, {}), "backend-rejected", id="moved"),
    pytest.param((200, {}), "backend-nonsense", id="empty"),
    pytest.param((200, {"order_status": "PAID"}), "backend-nonsense", id="unknown status"),
    pytest.param((200, ["paid"]), "backend-nonsense", id="list"),
    pytest.param((500, paid(order())[1]), "backend-rejected", id="paid with 500"),
    pytest.param(paid(order(), {"order_id": "other"}), "backend-nonsense", id="other order"),
    pytest.param(paid(order(), {"merchant_base_url": "https://evil.example/"}), "backend-nonsense", id="instance"),
    pytest.param(paid(order(), {"fulfillment_url": "https://evil.example/"}), "backend-nonsense", id="site"),
    pytest.param(paid(order(), {"amount": "KUDOS:0.4"}), "backend-nonsense", id="cheaper"),
    pytest.param(paid(order(), {"amount": "EUR:0.5"}), "backend-nonsense", id="currency"),
    pytest.param(paid(order(), {"amount": 0.5}), "backend-nonsense", id="float"),
    pytest.param(paid(order(), {"version": 1, "choices": [{"amount": "KUDOS:0.5"}]}), "backend-nonsense", id="choice"),
    pytest.param(paid(order(), refunded="false"), "backend-nonsense", id="text for boolean"),
    pytest.param(unpaid(order(), order_status_url="https://evil.example/orders/x"), "backend-nonsense", id="page"),
    pytest.param(unpaid(order(), order_status_url="javascript:alert(1)"), "backend-nonsense", id="script"),
    pytest.param(
        unpaid(order(), order_status_url="https://u@backend.example/orders/x"), "backend-nonsense", id="user name"
    ),
    pytest.param(unpaid(order(), order_status_url="http://backend.example/orders/x"), "backend-nonsense", id="scheme"),
    pytest.param(
        unpaid(order(), order_status_url="https://backend.example:444/orders/x"), "backend-nonsense", id="port"
    ),
    pytest.param(unpaid(order(), taler_pay_uri="https://backend.example/"), "backend-nonsense", id="no pay URI"),
    pytest.param(
        unpaid(order(), taler_pay_uri="taler://pay/evil.example/x/y"), "backend-nonsense", id="pay URI elsewhere"
    ),
    pytest.param(
        unpaid(order(), taler_pay_uri=unpaid(order(3))[1]["taler_pay_uri"]), "backend-nonsense", id="pay URI of another"
    ),
    pytest.param(BackendUnreachable("no answer"), "backend-unreachable", id="unreachable"),
]


@pytest.mark.parametrize(("answer", "reason"), ABSURD)
def test_unreachable_or_absurd(answer: Any, reason: str) -> None:
    """Unknown is neither paid nor unpaid: no content, and nothing that invites a second payment."""
    decision, _ = decide(visit(order()), ("recall", None), (get(order()), answer))
    assert isinstance(decision, Unavailable)
    assert decision.reason == reason


def test_the_log_learns_why() -> None:
    """What the failure says of itself goes along with the decision."""
    decision, _ = decide(visit(order()), ("recall", None), (get(order()), BackendUnreachable("no answer")))
    assert decision == Unavailable("backend-unreachable", "no answer")


@pytest.mark.parametrize("answer", [(409, {"code": 2514}), (410, {}), (451, {}), (200, {"order_id": "other"})])
def test_order_cannot_be_made(answer: Any) -> None:
    """An order that the backend refuses or renames is no order."""
    decision, _ = decide(visit(), (POST, answer))
    assert isinstance(decision, Unavailable)


def test_choice_of_a_v1_contract() -> None:
    """A contract of version 1 costs what its chosen choice costs."""
    terms = {"amount": None, "version": 1, "choices": [{"amount": "KUDOS:0"}, {"amount": "KUDOS:0.5"}]}
    steps = (
        ("recall", None),
        (get(order()), paid(order(), terms, choice_index=1)),
        (f"remember {order().order_id}", None),
    )
    assert isinstance(decide(visit(order()), *steps)[0], Grant)
    cheap = (get(order()), paid(order(), terms, choice_index=0))
    assert isinstance(decide(visit(order()), ("recall", None), cheap)[0], Unavailable)


def test_price_lowered_since() -> None:
    """Who paid more than today's price has paid."""
    dear = contract(order(), amount="KUDOS:9")
    decision, _ = decide(
        visit(order()), ("recall", None), (get(order()), paid(order(), dear)), (f"remember {order().order_id}", None)
    )
    assert isinstance(decision, Grant)


def test_bought_again_and_the_cookie_lost() -> None:
    """A refund, a second purchase, and the order cookie evicted: the second purchase opens, without the wallet."""
    decision, _ = decide(
        visit(),
        (POST, EXISTS),
        (get(FIRST), paid(FIRST, **REFUNDED)),
        (f"forget {FIRST.order_id}", None),
        (get(SECOND), paid(SECOND)),
        (f"remember {SECOND.order_id}", None),
    )
    assert isinstance(decision, Grant)
    assert (decision.order.order_id, decision.order.again) == (SECOND.order_id, 1)


def test_refunded_and_the_cookie_lost() -> None:
    """A refund, nothing bought since, and the order cookie evicted: the refund is explained."""
    decision, _ = decide(
        visit(),
        (POST, EXISTS),
        (get(FIRST), paid(FIRST, **REFUNDED)),
        (f"forget {FIRST.order_id}", None),
        (get(SECOND), UNKNOWN),
    )
    assert isinstance(decision, Refunded)
    assert decision.order.order_id == FIRST.order_id


def test_bought_again_behind_a_claimed_attempt() -> None:
    """The order cookie is lost, another wallet holds the first attempt, and the second was refunded: bought since."""
    third = order(2, again=1)
    decision, _ = decide(
        visit(),
        (POST, EXISTS),
        (get(FIRST), claimed(FIRST)),
        (POST, EXISTS),
        (get(SECOND), paid(SECOND, **REFUNDED)),
        (f"forget {SECOND.order_id}", None),
        (get(third), paid(third)),
        (f"remember {third.order_id}", None),
    )
    assert isinstance(decision, Grant)
    assert decision.order.order_id == third.order_id


def test_buying_anew_counts_purchases_and_not_attempts() -> None:
    """Whatever the attempt, what follows the first refund has one URL, by which a wallet knows a purchase again."""
    third = order(2, again=0)
    _, script = decide(
        visit(third, buy_again=True),
        ("recall", None),
        (get(third), paid(third, **REFUNDED)),
        (f"forget {third.order_id}", None),
        (POST, created(order(3))),
        (get(order(3)), unpaid(order(3))),
    )
    assert script.bodies[0]["order"]["fulfillment_url"] == f"{SITE}/articles/one?again=1"


@pytest.mark.parametrize("paid_tab", range(5))
def test_whichever_of_five_tabs_is_paid_opens(paid_tab: int) -> None:
    """Five tabs were opened at once; the one that was paid counts, and no order is made."""
    tabs = [order(0, session=SessionId(f"SESSION{tab}"), issued=NOW - tab) for tab in range(5)]
    asked = [(get(tab), unpaid(tab)) for tab in tabs[:paid_tab]]
    bought = tabs[paid_tab]
    decision, _ = decide(
        visit(*tabs), ("recall", None), *asked, (get(bought), paid(bought)), (f"remember {bought.order_id}", None)
    )
    assert isinstance(decision, Grant)
    assert decision.order == bought


def test_pay_uri_that_is_too_long() -> None:
    """Nobody is sent to a URI that does not fit into a header."""
    uri = unpaid(order())[1]["taler_pay_uri"] + "&x="
    for length, kind in ((MAX_URL, PaymentRequired), (MAX_URL + 1, Unavailable)):
        answer = unpaid(order(), taler_pay_uri=uri.ljust(length, "y"))
        decision, _ = decide(visit(order()), ("recall", None), (get(order()), answer))
        assert isinstance(decision, kind)


def test_backend_that_takes_an_older_order_for_the_same() -> None:
    """UNCONFIRMED which contents a backend compares: an older price stands, paid or not, and nobody is shut out."""
    cheap = {
        "amount": "KUDOS:0.3",
        "extra": {"taler_paywall": {"resource": OFFER.resource.name, "amount": "KUDOS:0.3"}},
    }
    decision, _ = decide(
        visit(), (POST, created(FIRST)), (get(FIRST), paid(FIRST, cheap)), (f"remember {FIRST.order_id}", None)
    )
    assert isinstance(decision, Grant)
    decision, _ = decide(visit(), (POST, created(FIRST)), (get(FIRST), unpaid(FIRST, total_amount="KUDOS:0.3")))
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert (str(decision.amount), decision.order.price) == ("KUDOS:0.3", "")


@pytest.mark.parametrize("told", [{}, {"total_amount": "KUDOS:0.3"}])
def test_known_order_keeps_its_price(told: dict[str, Any]) -> None:
    """Who was asked for less than today's price pays that, whether or not the backend says it again."""
    old = order(price="KUDOS:0.3")
    answer = {name: value for name, value in unpaid(old)[1].items() if name != "total_amount"} | told
    decision, _ = decide(visit(old), ("recall", None), (get(old), (200, answer)))
    assert isinstance(decision, PaymentRequired)
    assert str(decision.amount) == "KUDOS:0.3"


def test_already_paid_order_of_another_price() -> None:
    """The price in the cookie is of the order that is to be paid, and not of the one that a wallet proves."""
    terms = {
        "amount": "KUDOS:0.3",
        "extra": {"taler_paywall": {"resource": OFFER.resource.name, "amount": "KUDOS:0.3"}},
    }
    decision, _ = decide(
        visit(order()),
        ("recall", None),
        (get(order()), unpaid(order(), already_paid_order_id=EARLIER.order_id)),
        (get(PROVED), paid(PROVED, terms)),
        (f"remember {EARLIER.order_id}", None),
    )
    assert isinstance(decision, Grant)
    assert decision.order == PROVED


@pytest.mark.parametrize(
    ("page", "kept"),
    [
        ("/articles/one", "/articles/one?ref=x"),
        ("/articles/one?other", "/articles/one?other"),
        ("", "/articles/one?ref=x"),
    ],
)
def test_page_of_the_next_attempt(page: str, kept: str) -> None:
    """A reader who comes back from paying still wants the page that was asked for at first, or else this one."""
    old = order(page="/articles/one?ref=x")
    decision, _ = decide(
        visit(old, page=page),
        ("recall", None),
        *held(old),
        (POST, created(SECOND)),
        (get(SECOND), unpaid(SECOND)),
    )
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert decision.order.page == kept


def test_known_order_that_changed_its_amount() -> None:
    """An order that this browser was asked a price for costs that price, or the answer is absurd."""
    decision, _ = decide(visit(order()), ("recall", None), (get(order()), unpaid(order(), total_amount="KUDOS:0.3")))
    assert isinstance(decision, Unavailable)


def tabs(number: int) -> list[Order]:
    """Return the orders of so many tabs, opened at once, newest first."""
    return [order(0, session=SessionId(f"SESSION{tab}"), issued=NOW - tab) for tab in range(number)]


def test_how_many_tabs_are_looked_at() -> None:
    """Five answers are enough for one request; the newest order that can be paid is offered."""
    many = tabs(6)
    decision, _ = decide(visit(*many), ("recall", None), *((get(tab), unpaid(tab)) for tab in many[:5]))
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert decision.order.order_id == many[0].order_id


def test_tabs_that_can_be_paid_among_others() -> None:
    """Where one order can be paid, no new one is needed, however many cannot."""
    many = tabs(6)
    asked = [(get(many[0]), unpaid(many[0])), *held(many[1]), *((get(tab), claimed(tab)) for tab in many[2:5])]
    decision, _ = decide(visit(*many), ("recall", None), *asked)
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert decision.order.order_id == many[0].order_id


def test_tabs_that_cannot_be_paid() -> None:
    """After three unusable orders the rest of the visit belongs to a new one, which follows the newest."""
    many = tabs(4)
    following = order(1, session=many[0].session_id)
    decision, _ = decide(
        visit(*many),
        ("recall", None),
        *held(many[0]),
        *((get(tab), claimed(tab)) for tab in many[1:3]),
        (POST, created(following)),
        (get(following), unpaid(following)),
    )
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert decision.order.order_id == following.order_id


def test_a_refunded_tab_among_others() -> None:
    """What was refunded takes more of a visit than what can be paid; the newest is explained."""
    many = tabs(4)
    decision, _ = decide(
        visit(*many),
        ("recall", None),
        (get(many[0]), paid(many[0], **REFUNDED)),
        (f"forget {many[0].order_id}", None),
        *((get(tab), unpaid(tab)) for tab in many[1:3]),
    )
    assert decision == Refunded(many[0], "")


READ = order(state="paid")


def test_a_purchase_that_moved_to_another_browser() -> None:
    """Step 6: what was read here and is claimed now, is paid elsewhere; the order that follows says so."""
    decision, _ = decide(
        visit(READ),
        ("recall", None),
        (get(READ), claimed(READ)),
        (f"forget {READ.order_id}", None),
        (POST, created(SECOND)),
        (get(SECOND), unpaid(SECOND)),
    )
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert (decision.order.order_id, decision.order.state) == (SECOND.order_id, "moved")


@pytest.mark.parametrize("state", ["", "moved"])
def test_a_claimed_order_that_was_never_read_has_not_moved(state: str) -> None:
    """Another wallet holds it; only an order that already follows a moved one passes it on."""
    mine = order(state=state)
    decision, _ = decide(
        visit(mine),
        ("recall", None),
        *held(mine),
        (POST, created(SECOND)),
        (get(SECOND), unpaid(SECOND)),
    )
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert decision.order.state == state


@pytest.mark.parametrize(("anew", "state"), [(False, "moved"), (True, "")])
def test_how_long_a_purchase_has_moved(anew: bool, state: str) -> None:  # noqa: FBT001 - a table
    """Through expired orders it stays so; what is bought anew after a refund is a purchase of its own."""
    mine = order(1, state="moved")
    gone = paid(mine, **REFUNDED) if anew else unpaid(mine, pay_deadline={"t_s": NOW - 1})
    forgotten = [(f"forget {mine.order_id}", None)] if anew else []
    decision, _ = decide(
        visit(mine, buy_again=anew),
        ("recall", None),
        (get(mine), gone),
        *forgotten,
        (POST, created(THIRD)),
        (get(THIRD), unpaid(THIRD)),
    )
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert (decision.order.order_id, decision.order.state) == (THIRD.order_id, state)


def foreseen(**changes: Any) -> tuple[int, Any]:
    """Return the answer to a new order by which its status is known, unless changed."""
    return 200, {name: value for name, value in (created(FIRST)[1] | changes).items() if value is not None}


def test_a_new_visitor_costs_one_call() -> None:
    """Where the backend's links are known, its status would tell nothing new; pages and cookies are alike."""
    asked, _ = decide(visit(), (POST, created(FIRST)), (get(FIRST), unpaid(FIRST)))
    assert decide(visit(), (POST, created(FIRST)), links_as_built=True)[0] == asked
    asked, _ = decide(visit(buy_again=True), (POST, created(FIRST)), (get(FIRST), unpaid(FIRST)))
    assert decide(visit(buy_again=True), (POST, created(FIRST)), links_as_built=True)[0] == asked


@pytest.mark.parametrize(
    "changes",
    [{"token": None}, {"token": ""}, {"token": "T/KEN"}, {"pay_deadline": None}],
    ids=["no token", "empty token", "odd token", "no deadline"],
)
def test_what_a_new_order_has_to_tell(changes: dict[str, Any]) -> None:
    """Without a token that fits into links, or without a deadline, the status is asked for."""
    decision, _ = decide(visit(), (POST, foreseen(**changes)), (get(FIRST), unpaid(FIRST)), links_as_built=True)
    assert isinstance(decision, PaymentRequired)


def test_a_new_order_that_is_over_at_once() -> None:
    """What is foreseen is judged like what is told."""
    over = foreseen(pay_deadline={"t_s": NOW})
    asked = [(POST, over), (POST, created(SECOND)), (get(SECOND), unpaid(SECOND))]
    decision, _ = decide(visit(), *asked, links_as_built=True)
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert decision.order.order_id == SECOND.order_id


def test_only_a_session_of_this_request_is_foreseen() -> None:
    """A browser that has one may have shown the order to a wallet: its status is asked for, paid or not."""
    known = replace(visit(), fresh=False)
    decision, _ = decide(known, (POST, created(FIRST)), (get(FIRST), unpaid(FIRST)), links_as_built=True)
    assert isinstance(decision, PaymentRequired)
    steps = (POST, created(FIRST)), (get(FIRST), paid(FIRST)), (f"remember {FIRST.order_id}", None)
    assert isinstance(decide(known, *steps, links_as_built=True)[0], Grant)
    other = replace(visit(), new_session=OTHER_SESSION)
    theirs = order(0, session=OTHER_SESSION)
    decision, _ = decide(other, (POST, created(theirs)), links_as_built=True)
    assert isinstance(decision, PaymentRequired)
    # An order of another session, or a later attempt, is never the first of this request.
    steps_of_the_next = (get(order()), UNKNOWN), (POST, created(SECOND)), (get(SECOND), unpaid(SECOND))
    decide(replace(visit(order()), new_session=None), ("recall", None), *steps_of_the_next, links_as_built=True)
    decide(visit(order()), ("recall", None), *steps_of_the_next, links_as_built=True)


def test_an_order_that_existed_is_never_foreseen() -> None:
    """409 says nothing of how it stands."""
    steps = (POST, EXISTS), (get(FIRST), claimed(FIRST)), (POST, EXISTS), (get(SECOND), unpaid(SECOND))
    assert isinstance(decide(visit(), *steps, links_as_built=True)[0], PaymentRequired)


URL, URI = unpaid(FIRST)[1]["order_status_url"], unpaid(FIRST)[1]["taler_pay_uri"]
OTHER_FORMS = [
    pytest.param({"order_status_url": URL.replace("?", ":443?").replace(".example/", ".example:443/")}, id="port"),
    pytest.param({"order_status_url": URL.replace("/instances", "/v2/instances")}, id="prefix"),
    pytest.param({"order_status_url": URL.partition("?")[0] + f"?session_id={SESSION}&token=T0KEN"}, id="query order"),
    pytest.param({"order_status_url": f"{URL}&lang=en"}, id="more"),
    pytest.param({"taler_pay_uri": f"{URI}&x=y"}, id="pay URI"),
    pytest.param({"taler_pay_uri": URI.replace("/instances", "/v2/instances")}, id="pay URI's prefix"),
    pytest.param(
        {"order_status_url": URL.replace("T0KEN", "T0KEN2"), "taler_pay_uri": URI.replace("T0KEN", "T0KEN2")},
        id="token",
    ),
    pytest.param({"order_status_url": "https://evil.example/", "taler_pay_uri": URI}, id="elsewhere"),
    pytest.param({"taler_pay_uri": "taler://pay/evil.example/x/y"}, id="pay URI elsewhere"),
]


@pytest.mark.parametrize("known", [False, True])
def test_links_are_learnt_from_a_new_order_with_its_token(known: bool) -> None:  # noqa: FBT001 - a table
    """Both links just as we would have made them: then, and not before, this process knows them."""
    asked = replace(visit(), fresh=False)
    answers = (POST, created(FIRST)), (get(FIRST), unpaid(FIRST))
    assert decide(asked, *answers, links_as_built=known)[1].links_as_built
    _, script = decide(asked, (POST, foreseen(token=None)), (get(FIRST), unpaid(FIRST)), links_as_built=known)
    assert script.links_as_built is known


@pytest.mark.parametrize("changes", OTHER_FORMS)
def test_links_of_another_form(changes: dict[str, Any]) -> None:
    """One answer that tells them otherwise is enough to ask for the status again from then on."""
    asked = replace(visit(), fresh=False)
    decision, script = decide(
        asked, (POST, created(FIRST)), (get(FIRST), unpaid(FIRST, **changes)), links_as_built=True
    )
    assert not script.links_as_built
    if isinstance(decision, PaymentRequired):
        assert decision.order_status_url.startswith("https://backend.example")


@pytest.mark.parametrize("changes", [form for form in OTHER_FORMS if form.id != "token"])
def test_links_of_another_form_on_a_reload(changes: dict[str, Any]) -> None:
    """A reader whom such a link led nowhere comes back, and so do the links that lead somewhere."""
    mine = order()
    told = unpaid(mine, **changes)
    assert not decide(visit(mine), ("recall", None), (get(mine), told), links_as_built=True)[1].links_as_built
    for known in (False, True):
        _, script = decide(visit(mine), ("recall", None), (get(mine), unpaid(mine)), links_as_built=known)
        assert script.links_as_built is known


PROVING = (get(order()), claimed(order())), (by_hash(order()), (402, {"already_paid_order_id": EARLIER.order_id}))


@pytest.mark.parametrize("page", ["/articles/one", ""], ids=["page", "picture"])
def test_a_wallet_that_claimed_and_proved(page: str) -> None:
    """Its proof opens the article and its pictures at once, on full evidence, and no order is made for it."""
    steps = (get(PROVED), paid(PROVED)), (f"remember {EARLIER.order_id}", None)
    decision, _ = decide(visit(order(), page=page, may_order=bool(page)), ("recall", None), *PROVING, *steps)
    assert isinstance(decision, Grant)
    assert (decision.order.order_id, decision.order.session_id) == (EARLIER.order_id, order().session_id)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (paid(PROVED, {"extra": None}), "foreign-order"),
        (
            paid(PROVED, {"extra": {"taler_paywall": {"resource": "another", "amount": "KUDOS:0.5"}}}),
            "other-resource",
        ),
        (claimed(PROVED), "not-paid"),
        (UNKNOWN, "not-paid"),
    ],
)
def test_a_wallet_that_claimed_and_proved_something_else(status: Any, reason: str) -> None:
    """The public status alone grants nothing; who presses "buy" gets an order that no wallet proves."""
    decision, _ = decide(visit(order()), ("recall", None), *PROVING, (get(PROVED), status))
    assert decision == NotAcceptable(order(), reason)
    steps = ("recall", None), *PROVING, (get(PROVED), status), (POST, created(SECOND)), (get(SECOND), unpaid(SECOND))
    decision, script = decide(visit(order(), buy_again=True), *steps)
    assert isinstance(decision, PaymentRequired)
    assert script.bodies[0]["order"]["fulfillment_url"].endswith("?again=1")


def test_a_wallet_that_claimed_and_proved_what_was_refunded() -> None:
    """The refund is explained."""
    steps = (get(PROVED), paid(PROVED, **REFUNDED)), (f"forget {EARLIER.order_id}", None)
    assert isinstance(decide(visit(order()), ("recall", None), *PROVING, *steps)[0], Refunded)


@pytest.mark.parametrize(
    "answer",
    [
        (202, {"public_reorder_url": SITE}),
        (402, {"taler_pay_uri": URI}),
        (302, {}),
        (403, {"code": 2105}),
        (404, {"code": 2005}),
        (410, {}),
        (500, {}),
        (402, []),
        (402, {"already_paid_order_id": 1}),
    ],
    ids=["public", "unpaid", "elsewhere", "forbidden", "unknown", "gone", "broken", "list", "number"],
)
def test_a_wallet_that_claimed_and_proved_nothing(answer: Any) -> None:
    """The order is replaced: nothing but an earlier payment's name is taken from the public status."""
    steps = (get(order()), claimed(order())), (by_hash(order()), answer)
    decision, _ = decide(
        visit(order()), ("recall", None), *steps, (POST, created(SECOND)), (get(SECOND), unpaid(SECOND))
    )
    assert isinstance(decision, PaymentRequired)
    assert decision.order is not None
    assert decision.order.order_id == SECOND.order_id


def test_paid_between_two_questions() -> None:
    """Claimed for the merchant, paid for the customer a moment later: the merchant is asked again, and it opens."""
    steps = (get(order()), claimed(order())), (by_hash(order()), (200, {"refunded": False}))
    again = (get(order()), paid(order())), (f"remember {order().order_id}", None)
    decision, _ = decide(visit(order()), ("recall", None), *steps, *again)
    assert decision == Grant(PAYMENT, order(), reason="paid")


def test_paid_for_the_customer_alone() -> None:
    """The public status opens nothing: where the merchant's still says "claimed" the order is replaced."""
    steps = (get(order()), claimed(order())), (by_hash(order()), (200, {"refunded": False}))
    new = (POST, created(SECOND)), (get(SECOND), unpaid(SECOND))
    decision, _ = decide(visit(order()), ("recall", None), *steps, (get(order()), claimed(order())), *new)
    assert isinstance(decision, PaymentRequired)


@pytest.mark.parametrize(
    "answer",
    [(402, {"already_paid_order_id": ".."}), BackendUnreachable("x")],
    ids=["dots", "unreachable"],
)
def test_a_public_status_that_cannot_be_used(answer: Any) -> None:
    """Whether it is paid is unknown then: no order is made, and nothing is opened."""
    steps = (get(order()), claimed(order())), (by_hash(order()), answer)
    assert isinstance(decide(visit(order()), ("recall", None), *steps)[0], Unavailable)


@pytest.mark.parametrize("terms", [None, {}, [], {"x": 0.5}], ids=["missing", "empty", "list", "float"])
def test_a_claimed_order_without_a_contract_that_can_be_hashed(terms: Any) -> None:
    """Nobody can be asked about it: it is replaced."""
    asked: list[tuple[str, Any]] = [(get(order()), (200, {"order_status": "claimed", "contract_terms": terms}))]
    if terms == {}:
        credential = f"h_contract={crockford.encode(contract_hash({}))}&{get(order()).partition('?')[2]}"
        asked.append((f"GET orders/{order().order_id}?{credential}", (404, {})))
    steps = ("recall", None), *asked, (POST, created(SECOND)), (get(SECOND), unpaid(SECOND))
    assert isinstance(decide(visit(order()), *steps)[0], PaymentRequired)


def test_one_claimed_order_a_visit_is_asked_about() -> None:
    """The newest that was never read here; what was read and is claimed now has been proved elsewhere."""
    read, newer, older = tabs(3)
    read = replace(read, state="paid")
    earlier = replace(newer, order_id=EARLIER.order_id, price="")
    decision, _ = decide(
        visit(read, newer, older),
        ("recall", None),
        (get(read), claimed(read)),
        (f"forget {read.order_id}", None),
        (get(newer), claimed(newer)),
        (by_hash(newer), (402, {"already_paid_order_id": EARLIER.order_id})),
        (get(earlier), paid(earlier)),
        (f"remember {EARLIER.order_id}", None),
    )
    assert isinstance(decision, Grant)
