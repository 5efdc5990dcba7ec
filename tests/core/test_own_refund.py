"""The reader's own refund: who gets it, until when, and that nothing is given back twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from core.script import (
    NOW,
    OFFER,
    OTHER_SESSION,
    STOREFRONT,
    UNKNOWN,
    Script,
    claimed,
    get,
    order,
    paid,
    unpaid,
)
from taler_paywall.decision import Refused, Unavailable
from taler_paywall.drive import run
from taler_paywall.errors import BackendUnreachable
from taler_paywall.offer import Offer, Storefront
from taler_paywall.own_refund import GivenBack, refund_flow
from taler_paywall.session import Order

Steps = tuple[str, Any]

REFUNDABLE = msgspec.structs.replace(OFFER, rule=replace(OFFER.rule, refundable=True))
ORDER, OTHER = order(), order(session=OTHER_SESSION)
GIVE_BACK = f"POST private/orders/{ORDER.order_id}/refund"
GRANTED = 200, {"taler_refund_uri": "taler://refund/x", "h_contract": "H"}
FORGET = f"forget {ORDER.order_id}", None
TOO_LATE = Refused(403, "refund-too-late")
NOTHING = Refused(404, "nothing-to-refund")


def give_back(
    *steps: Steps,
    orders: tuple[Order, ...] = (ORDER,),
    offer: Offer = REFUNDABLE,
    storefront: Storefront = STOREFRONT,
    now: int = NOW,
) -> tuple[GivenBack | Refused | Unavailable, Script]:
    script = Script(list(steps))
    outcome = run(refund_flow(storefront, offer, orders, now), script)
    assert not script.steps, f"never asked: {script.steps}"
    return outcome, script


def test_the_whole_price_goes_back() -> None:
    """What was paid, however much the resource costs today; access ends in this process at once."""
    terms = {"amount": "KUDOS:0.75"}
    outcome, script = give_back((get(ORDER), paid(ORDER, terms)), FORGET, (GIVE_BACK, GRANTED), FORGET)
    assert outcome == GivenBack(ORDER, already=False)
    assert script.bodies == [{"refund": "KUDOS:0.75", "reason": "requested by the reader"}]


def test_a_rule_has_to_allow_it() -> None:
    """Nothing is asked otherwise."""
    assert give_back(offer=OFFER)[0] == Refused(403, "not-refundable")


@pytest.mark.parametrize("refund", [{"refunded": True}, {"refund_pending": True}, {"refund_amount": "KUDOS:0.1"}])
def test_it_was_given_back_already(refund: dict[str, Any]) -> None:
    """A form that is sent twice, or after the merchant was faster, gives nothing more."""
    assert give_back((get(ORDER), paid(ORDER, **refund)), FORGET)[0] == GivenBack(ORDER, already=True)


def test_the_rest_goes_back_where_parts_are_kept() -> None:
    """Where a partial refund leaves the page open, the reader may give it back: the amount is the new total."""
    status = paid(ORDER, refunded=True, refund_amount="KUDOS:0.1")
    keep = replace(STOREFRONT, partial_refund="keep")
    outcome, script = give_back((get(ORDER), status), FORGET, (GIVE_BACK, GRANTED), FORGET, storefront=keep)
    assert outcome == GivenBack(ORDER, already=False)
    assert script.bodies[0]["refund"] == "KUDOS:0.5"


@pytest.mark.parametrize("status", [UNKNOWN, unpaid(ORDER), claimed(ORDER)], ids=["unknown", "unpaid", "claimed"])
def test_what_is_not_paid_here(status: tuple[int, Any]) -> None:
    """An order that another browser has paid, or nobody, is not this reader's to give back."""
    assert give_back((get(ORDER), status))[0] == NOTHING


def test_a_browser_without_orders() -> None:
    """There is nothing to ask for."""
    assert give_back(orders=())[0] == NOTHING


@pytest.mark.parametrize("extra", [None, {"taler_paywall": {"resource": "/articles/two", "amount": "KUDOS:0.5"}}])
def test_what_was_paid_for_something_else(extra: dict[str, Any] | None) -> None:
    """An order of another resource is not given back here."""
    assert give_back((get(ORDER), paid(ORDER, {"extra": extra})))[0] == NOTHING


def test_the_first_that_is_paid_counts() -> None:
    """Of several orders only the newest that is paid is looked at, refunded or not: one press, one payment."""
    orders = (ORDER, OTHER)
    other = f"POST private/orders/{OTHER.order_id}/refund"
    asked = [
        (get(ORDER), claimed(ORDER)),
        (get(OTHER), paid(OTHER)),
        (f"forget {OTHER.order_id}", None),
        (other, GRANTED),
        (f"forget {OTHER.order_id}", None),
    ]
    assert give_back(*asked, orders=orders)[0] == GivenBack(OTHER, already=False)
    assert give_back((get(ORDER), paid(ORDER, refunded=True)), FORGET, orders=orders)[0] == GivenBack(
        ORDER, already=True
    )


@pytest.mark.parametrize(("deadline", "in_time"), [(NOW + 1, True), (NOW, False), (NOW - 1, False), ("never", True)])
def test_the_refund_deadline(deadline: int | str, in_time: bool) -> None:  # noqa: FBT001 - a table
    """Until the deadline of the contract, and no moment longer."""
    asked: list[Steps] = [(get(ORDER), paid(ORDER, {"refund_deadline": {"t_s": deadline}}))]
    outcome, _ = give_back(*asked, *([FORGET, (GIVE_BACK, GRANTED), FORGET] if in_time else []))
    assert outcome == (GivenBack(ORDER, already=False) if in_time else TOO_LATE)


@pytest.mark.parametrize("refusal", [(410, {"code": 2169}), (403, {"code": 2532})], ids=["wired", "no delay"])
def test_the_backend_finds_it_too_late(refusal: tuple[int, Any]) -> None:
    """The exchange has paid the merchant already, or the order was made without a refund delay."""
    assert give_back((get(ORDER), paid(ORDER)), FORGET, (GIVE_BACK, refusal), FORGET)[0] == TOO_LATE


@pytest.mark.parametrize(
    "failure",
    [BackendUnreachable("no answer in time"), (500, {"code": 52}), (409, {"code": 2530}), (403, {"code": 16})],
    ids=["lost", "broken", "conflict", "token"],
)
def test_a_lost_answer(failure: Any) -> None:
    """Whether the money went back is unknown: nobody is believed to have paid, and sending it again is harmless."""
    outcome, _ = give_back((get(ORDER), paid(ORDER)), FORGET, (GIVE_BACK, failure), FORGET)
    assert isinstance(outcome, Unavailable)


@pytest.mark.parametrize(
    "status",
    [
        BackendUnreachable("no answer in time"),
        (500, {}),
        paid(ORDER, {"order_id": "ANOTHER"}),
        paid(ORDER, {"merchant_base_url": "https://elsewhere.example/"}),
        paid(ORDER, {"amount": "KUDOS:0.1"}),
        paid(ORDER, refund_amount="EUR:0"),
    ],
)
def test_evidence_that_does_not_stand(status: Any) -> None:
    """Nothing is given back on an answer that the payment flow would not believe."""
    assert isinstance(give_back((get(ORDER), status))[0], Unavailable)
