"""The poll of the visitor's own order: what is asked, what is waited for, and what is told."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from core.script import BACKEND, STOREFRONT, UNKNOWN, Script, claimed, contract, get, order, paid, unpaid
from taler_paywall import crockford
from taler_paywall.contract import contract_hash
from taler_paywall.decision import Refused, Unavailable
from taler_paywall.drive import run
from taler_paywall.errors import BackendBusy, BackendUnreachable
from taler_paywall.operations import BackendResponse, Call, Op
from taler_paywall.polling import Polled, poll_flow
from taler_paywall.session import Order

Steps = tuple[str, Any]

ORDER = order()
#: The URI while the order can be claimed, that of the public status of a claimed one, and ours when nobody tells one.
PAY_URI = unpaid(ORDER)[1]["taler_pay_uri"]
OTHER_URI = PAY_URI.replace("T0KEN", "T0KEN2")
BARE_URI = PAY_URI.partition("?")[0]
HASH = crockford.encode(contract_hash(contract(ORDER)))
FORBIDDEN = 403, {"code": 2105}


def polled(*steps: Steps, wait: float = 20, the_order: Order = ORDER) -> Polled | Refused | Unavailable:
    script = Script(list(steps))
    outcome = run(poll_flow(STOREFRONT, the_order, wait), script)
    assert not script.steps, f"never asked: {script.steps}"
    return outcome


def content(*steps: Steps, wait: float = 20) -> dict[str, bool | str]:
    outcome = polled(*steps, wait=wait)
    assert isinstance(outcome, Polled), outcome
    return outcome.content


def public(credential: str, wait: int = 0) -> str:
    waits = f"&timeout_ms={wait * 1000}" if wait else ""
    query = f"{credential}&session_id={ORDER.session_id}&allow_refunded_for_repurchase=YES{waits}"
    return f"GET orders/{ORDER.order_id}?{query.removeprefix('&')}"


BY_TOKEN, BY_HASH = public("token=T0KEN", 20), public(f"h_contract={HASH}", 20)
BY_HASH_AT_ONCE = public(f"h_contract={HASH}")


def to_pay(uri: str = OTHER_URI, **members: str) -> tuple[int, dict[str, str]]:
    return 402, {"taler_pay_uri": uri, **members}


def test_a_paid_order() -> None:
    """The private status says so: one call, and nothing is waited for."""
    assert content((get(ORDER), paid(ORDER))) == {"paid": True, "refunded": False}


def test_an_unclaimed_order_is_waited_for_with_its_token() -> None:
    """The public status waits; what it says at the end is how to pay."""
    asked = [(get(ORDER), unpaid(ORDER)), (BY_TOKEN, to_pay())]
    assert content(*asked) == {"paid": False, "taler_pay_uri": OTHER_URI}


def test_an_order_that_anybody_may_claim() -> None:
    """Without a claim token no credential is needed."""
    asked = [(get(ORDER), unpaid(ORDER, taler_pay_uri=BARE_URI)), (public("", 20), to_pay(BARE_URI))]
    assert content(*asked) == {"paid": False, "taler_pay_uri": BARE_URI}


def test_a_claimed_order_is_waited_for_with_the_hash_of_its_contract() -> None:
    """Claimed is still waiting: no other order is made."""
    assert content((get(ORDER), claimed(ORDER)), (BY_HASH, to_pay())) == {"paid": False, "taler_pay_uri": OTHER_URI}


def test_a_contract_with_names_of_the_merchant() -> None:
    """Members of a contract may have any names."""
    terms = contract(ORDER) | {"extra": {"größe, 2": 1}}
    by_hash = public(f"h_contract={crockford.encode(contract_hash(terms, any_names=True))}", 20)
    assert content((get(ORDER), (200, claimed(ORDER)[1] | {"contract_terms": terms})), (by_hash, to_pay()))


@pytest.mark.parametrize("status", [unpaid(ORDER), claimed(ORDER)], ids=["unclaimed", "claimed"])
def test_the_payment_wakes_and_the_private_status_decides(status: tuple[int, Any]) -> None:
    """The public "paid" is not believed, but makes us look again."""
    wait = BY_TOKEN if status == unpaid(ORDER) else BY_HASH
    assert content((get(ORDER), status), (wait, (200, {"refunded": False})), (get(ORDER), paid(ORDER)))["paid"] is True


def test_a_public_paid_alone_pays_nothing() -> None:
    """Where the private status keeps saying no, the answer is no."""
    asked = [(get(ORDER), unpaid(ORDER)), (BY_TOKEN, (200, to_pay()[1])), (get(ORDER), unpaid(ORDER))]
    assert content(*asked) == {"paid": False, "taler_pay_uri": PAY_URI}
    asked = [(get(ORDER), claimed(ORDER)), (BY_HASH, (200, {})), (get(ORDER), claimed(ORDER))]
    assert content(*asked, (BY_HASH_AT_ONCE, (200, {}))) == {"paid": False, "taler_pay_uri": BARE_URI}


@pytest.mark.parametrize(
    "asked",
    [
        [(get(ORDER), unpaid(ORDER, already_paid_order_id="EARLIER"))],
        [(get(ORDER), unpaid(ORDER)), (BY_TOKEN, to_pay(PAY_URI, already_paid_order_id="EARLIER"))],
        [(get(ORDER), claimed(ORDER)), (BY_HASH, to_pay(PAY_URI, already_paid_order_id="EARLIER"))],
    ],
    ids=["known", "unclaimed", "claimed"],
)
def test_an_earlier_purchase_ends_the_wait(asked: list[Steps]) -> None:
    """A wallet that proves it instead of paying is told at once."""
    assert content(*asked) == {"paid": False, "taler_pay_uri": PAY_URI, "already_paid_order_id": "EARLIER"}


@pytest.mark.parametrize(
    "refusal",
    [FORBIDDEN, (404, {"code": 2005}), (410, {}), (302, {}), (202, {"public_reorder_url": "https://news.example/"})],
    ids=["403", "404", "410", "302", "202"],
)
def test_a_claim_uses_the_token_up(refusal: tuple[int, Any]) -> None:
    """A refused token makes us look again, and ask with the contract that there is now: four calls, one wait."""
    asked = [(get(ORDER), unpaid(ORDER)), (BY_TOKEN, refusal), (get(ORDER), claimed(ORDER))]
    assert content(*asked, (BY_HASH_AT_ONCE, to_pay()))["taler_pay_uri"] == OTHER_URI
    assert content(*asked, (BY_HASH_AT_ONCE, refusal)) == {"paid": False, "taler_pay_uri": BARE_URI}


@pytest.mark.parametrize(
    ("asked", "uri"),
    [
        ([(get(ORDER), unpaid(ORDER))], PAY_URI),
        ([(get(ORDER), claimed(ORDER)), (BY_HASH_AT_ONCE, to_pay())], OTHER_URI),
    ],
    ids=["unclaimed", "claimed"],
)
def test_where_nothing_may_wait(asked: list[Steps], uri: str) -> None:
    """Only of a claimed order the public status is asked: the private one does not tell how to pay it."""
    assert content(*asked, wait=0) == {"paid": False, "taler_pay_uri": uri}


def test_the_wait_has_a_limit() -> None:
    """The backend is asked to wait for 55 seconds at most, and the request says so to the transport."""
    waits = []

    def perform(op: Op[Any]) -> Any:
        assert isinstance(op, Call)
        waits.append(op.request.wait)
        answer = b'{"order_status":"unpaid","taler_pay_uri":"%b","order_status_url":""}' % PAY_URI.encode()
        return op.parse(BackendResponse(200 if op.request.private else 402, "application/json", answer))

    run(poll_flow(STOREFRONT, ORDER, 3600), perform)
    assert waits == [0, 55]


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"refunded": True, "refund_amount": "KUDOS:0.50"}, {"refunded": True, "refund_amount": "KUDOS:0.5"}),
        ({"refund_amount": "KUDOS:0.1"}, {"refunded": True, "refund_amount": "KUDOS:0.1"}),
        ({"refund_pending": True}, {"refunded": True}),
        ({"refunded": True, "refund_amount": "0"}, {"refunded": True}),
    ],
)
def test_a_refund_is_told_and_forgets_the_payment(members: dict[str, Any], told: dict[str, Any]) -> None:
    """A refund that is learnt by polling counts at once in this process."""
    asked = [(get(ORDER), paid(ORDER, **members)), (f"forget {ORDER.order_id}", None)]
    assert content(*asked) == {"paid": True, **told}


def test_a_refund_of_an_order_that_we_did_not_make() -> None:
    """It is told like any other."""
    asked = [(get(ORDER), paid(ORDER, {"extra": None}, refunded=True)), (f"forget {ORDER.order_id}", None)]
    assert content(*asked) == {"paid": True, "refunded": True}


def test_a_bare_zero() -> None:
    """Some backends write no currency where nothing was refunded."""
    assert content((get(ORDER), paid(ORDER, refund_amount="0"))) == {"paid": True, "refunded": False}


def test_an_unknown_order() -> None:
    """The backend knows it no longer, before or after the wait."""
    assert polled((get(ORDER), UNKNOWN)) == Refused(404, "unknown-order")
    asked = [(get(ORDER), unpaid(ORDER)), (BY_TOKEN, UNKNOWN), (get(ORDER), UNKNOWN)]
    assert polled(*asked) == Refused(404, "unknown-order")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ([(get(ORDER), BackendUnreachable("no answer in time"))], "backend-unreachable"),
        ([(get(ORDER), unpaid(ORDER)), (BY_TOKEN, BackendBusy("too many"))], "backend-busy"),
        ([(get(ORDER), unpaid(ORDER)), (BY_TOKEN, (500, {"code": 52}))], "backend-rejected"),
        ([(get(ORDER), paid(ORDER, {"order_id": "ANOTHER"}))], "backend-nonsense"),
        ([(get(ORDER), paid(ORDER, {"merchant_base_url": "https://elsewhere.example/"}))], "backend-nonsense"),
        ([(get(ORDER), paid(ORDER, {"fulfillment_url": "https://elsewhere.example/"}))], "backend-nonsense"),
        ([(get(ORDER), paid(ORDER, refund_amount="1"))], "backend-nonsense"),
        ([(get(ORDER), (200, {"order_status": "claimed"}))], "backend-nonsense"),
        ([(get(ORDER), (200, {"order_status": "claimed", "contract_terms": {"x": 0.5}}))], "backend-nonsense"),
        ([(get(ORDER), unpaid(ORDER)), (BY_TOKEN, to_pay("https://evil.example/"))], "backend-nonsense"),
        ([(get(ORDER), unpaid(order(1)))], "backend-nonsense"),
    ],
)
def test_what_cannot_be_used(asked: list[Steps], reason: str) -> None:
    """Whether it is paid is unknown then, and why stands in the log alone."""
    outcome = polled(*asked)
    assert isinstance(outcome, Unavailable)
    assert outcome.reason == reason
    assert outcome.detail


def test_an_address_of_another_backend_is_never_told() -> None:
    """Also without a wait the URI is held against the backend, the order and the session."""
    uri = PAY_URI.replace("backend.example", "evil.example")
    assert isinstance(polled((get(ORDER), unpaid(ORDER, taler_pay_uri=uri)), wait=0), Unavailable)


def test_a_name_that_fits_into_no_address() -> None:
    """An order of another shop system may have a colon in its ID: no wallet can have been given it."""
    odd = replace(ORDER, order_id="2026:1")
    refused = "GET orders/2026%3A1?" + BY_HASH_AT_ONCE.partition("?")[2], FORBIDDEN
    outcome = polled((get(odd), claimed(ORDER)), refused, (get(odd), claimed(ORDER)), refused, wait=0, the_order=odd)
    assert isinstance(outcome, Unavailable)
    assert outcome.detail.startswith("the order fits into no pay URI")


def test_secrets_stay_out_of_logs() -> None:
    """The URI holds the session and the claim token."""
    assert PAY_URI not in repr(polled((get(ORDER), unpaid(ORDER)), wait=0))
    assert BACKEND not in repr(polled((get(ORDER), unpaid(ORDER)), wait=0))
