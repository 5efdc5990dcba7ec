"""No grant without full evidence, whatever the backend answers."""

from __future__ import annotations

import ast
import copy
import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.script import (
    BACKEND,
    EXISTS,
    NOW,
    OFFER,
    OTHER_SESSION,
    RESOURCE,
    SITE,
    STOREFRONT,
    UNKNOWN,
    claimed,
    contract,
    created,
    order,
    paid,
    unpaid,
    visit,
)
from taler_paywall import evidence, flow
from taler_paywall.amount import Amount
from taler_paywall.answers import Paid
from taler_paywall.decision import Decision, Grant, Refunded, Unavailable
from taler_paywall.drive import run
from taler_paywall.errors import BackendNonsense, BackendUnreachable
from taler_paywall.flow import payment_flow
from taler_paywall.merchant import get_order
from taler_paywall.offer import EXTRA
from taler_paywall.operations import BackendResponse, Call, Forget, LearnLinks, MayOrder, Op, RecallKnown, RecallLinks

PUB = contract(order())["merchant_pub"]
KEYED = replace(STOREFRONT, merchant_pub=PUB)
MANY = settings(max_examples=100, suppress_health_check=list(HealthCheck))

texts = st.text(max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
amounts = st.builds(
    lambda currency, value, fraction: str(Amount.from_parts(currency, value, fraction)),
    st.sampled_from(["KUDOS", "EUR", "KUDO", "KUDOSX"]),
    st.integers(0, 3),
    st.integers(0, 99_999_999),
)


def answer_once(answer: tuple[int, Any]) -> Decision:
    """Run the flow of a browser with one order that the cache does not hold; the backend answers as given."""

    def perform(op: Op[Any]) -> Any:
        if not isinstance(op, Call):
            return None
        if op.request.method == "POST":
            raise BackendUnreachable("only the first answer counts here")
        return op.parse(BackendResponse(answer[0], "application/json", json.dumps(answer[1]).encode()))

    return run(payment_flow(KEYED, visit(order()), OFFER), perform)


def changed(*path: str) -> Callable[[Any], tuple[int, Any]]:
    """Return a function that sets one member of a valid paid answer."""

    def change(value: Any) -> tuple[int, Any]:
        status, answer = copy.deepcopy(paid(order()))
        target: Any = answer
        for name in path[:-1]:
            target = target[name]
        target[path[-1]] = value
        return status, answer

    return change


def not_covering(text: Any) -> bool:
    """Tell whether an amount is no KUDOS:0.5 or more; written without the code under test."""
    if not isinstance(text, str):
        return True
    currency, _, number = text.partition(":")
    return currency != "KUDOS" or float(number) < 0.5


TERMS = "contract_terms"
NOT_FALSE = st.sampled_from([True]) | json_values.filter(lambda value: value is not False)
#: Each fact of step 9: which member says it, and what it may be changed to.
FACTS: dict[str, tuple[tuple[str, ...], st.SearchStrategy[Any]]] = {
    "order status": (("order_status",), json_values.filter(lambda value: value != "paid")),
    "order ID": ((TERMS, "order_id"), texts | st.just(order(1).order_id) | json_values),
    "instance": (
        (TERMS, "merchant_base_url"),
        st.sampled_from([BACKEND[:-1], BACKEND.upper(), SITE, ""]) | json_values,
    ),
    "key": ((TERMS, "merchant_pub"), texts | json_values),
    "site": (
        (TERMS, "fulfillment_url"),
        st.sampled_from(["https://evil.example/articles/one", SITE + ".evil.example/", "//news.example/", ""])
        | json_values,
    ),
    "resource": (
        (TERMS, "extra", EXTRA, "resource"),
        st.sampled_from([RESOURCE.name.replace("one", "two"), RESOURCE.name + " ", RESOURCE.name.upper()])
        | json_values,
    ),
    "extra": ((TERMS, "extra"), json_values),
    "amount": ((TERMS, "amount"), amounts.filter(not_covering) | json_values),
    "amount asked for": (
        (TERMS, "extra", EXTRA, "amount"),
        st.sampled_from(["KUDOS:0.50000001", "EUR:0.5", "KUDOS:1", "0.5", ""]) | json_values,
    ),
    "refunded": (("refunded",), st.sampled_from([True]) | json_values.filter(lambda value: value is not False)),
    "refund pending": (
        ("refund_pending",),
        st.sampled_from([True]) | json_values.filter(lambda value: value is not False),
    ),
    "refund amount": (
        ("refund_amount",),
        amounts.filter(lambda text: float(text.partition(":")[2]) > 0)
        | json_values.filter(lambda value: value != "0" if isinstance(value, str) else True),
    ),
}


def test_the_valid_answer_grants() -> None:
    """Where the changed cases start from."""
    assert isinstance(answer_once(paid(order())), Grant)


ASKED = (TERMS, "extra", EXTRA)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ((TERMS, "order_id"), order(1).order_id, "backend-nonsense"),
        ((TERMS, "merchant_base_url"), BACKEND[:-1], "backend-nonsense"),
        ((TERMS, "merchant_pub"), PUB[::-1], "backend-nonsense"),
        ((TERMS, "merchant_pub"), None, "backend-nonsense"),
        ((TERMS, "fulfillment_url"), "https://evil.example/articles/one", "backend-nonsense"),
        ((TERMS, "fulfillment_url"), None, "backend-nonsense"),
        ((TERMS, "extra"), None, "backend-nonsense"),
        ((TERMS, "extra"), {"another": {}}, "backend-nonsense"),
        (ASKED, RESOURCE.name, "backend-nonsense"),
        ((*ASKED, "resource"), None, "backend-unreachable"),
        ((*ASKED, "resource"), RESOURCE.name.upper(), "backend-unreachable"),
        (ASKED, {"resource": RESOURCE.name}, "backend-nonsense"),
        ((*ASKED, "amount"), "KUDOS:0.50000001", "backend-nonsense"),
        ((*ASKED, "amount"), "EUR:0.5", "backend-nonsense"),
        ((*ASKED, "amount"), "much", "backend-nonsense"),
        ((TERMS, "amount"), "KUDOS:0.49999999", "backend-nonsense"),
        ((TERMS, "amount"), "EUR:0.5", "backend-nonsense"),
        ((TERMS, "amount"), None, "backend-nonsense"),
        (("refunded",), True, "refunded"),
        (("refund_pending",), True, "refunded"),
        (("refund_amount",), "KUDOS:0.00000001", "refunded"),
        (("refund_amount",), "EUR:0", "backend-nonsense"),
        (("refund_amount",), "0.5", "backend-nonsense"),
        (("refund_amount",), "", "backend-nonsense"),
    ],
)
def test_what_one_changed_fact_leads_to(path: tuple[str, ...], value: Any, reason: str) -> None:
    """A refund is explained, what was bought for something else asks for a new order, and all else is unknown."""
    decision = answer_once(changed(*path)(value))
    assert isinstance(decision, Refunded | Unavailable)
    assert decision.reason == reason


@pytest.mark.parametrize("nothing", ["0", "KUDOS:0", "KUDOS:0.0"])
def test_a_refund_of_nothing(nothing: str) -> None:
    """Backends write it in several ways."""
    assert isinstance(answer_once(changed("refund_amount")(nothing)), Grant)


def never_granted(fact: str, data: st.DataObject) -> None:
    """Draw one changed answer and demand that it opens nothing."""
    path, values = FACTS[fact]
    assert not isinstance(answer_once(changed(*path)(data.draw(values))), Grant)


@pytest.mark.hypothesis
@pytest.mark.parametrize("fact", FACTS)
def test_no_grant_with_one_fact_changed(fact: str) -> None:
    """Each fact of step 9, changed a hundred times and more, opens nothing."""
    examples = 0

    @MANY
    @given(st.data())
    def check(data: st.DataObject) -> None:
        nonlocal examples
        never_granted(fact, data)
        examples += 1

    check()
    assert examples >= 100


def test_no_grant_cheaper_than_this_browser_was_asked_for() -> None:
    """An order's own word on its price does not beat the price in the signed cookie."""
    lower = {"amount": "KUDOS:0.4", "extra": {EXTRA: {"resource": RESOURCE.name, "amount": "KUDOS:0.4"}}}
    assert not isinstance(answer_once(paid(order(), lower)), Grant)


@MANY
@given(st.integers(100, 599).filter(lambda status: status != 200))
def test_no_grant_with_another_status(status: int) -> None:
    """The HTTP status comes first."""
    assert not isinstance(answer_once((status, paid(order())[1])), Grant)


# ---- every single check of the judge is needed -------------------------------------------------------------------


class _Dropped(ast.NodeTransformer):
    """Drops the n-th check: an ``if`` statement, or one operand of an ``or``."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.seen = 0
        self.text = ""

    def _is_it(self, node: ast.AST) -> bool:
        self.seen += 1
        if self.seen - 1 == self.index:
            self.text = ast.unparse(node).splitlines()[0]
            return True
        return False

    def visit_If(self, node: ast.If) -> Any:
        """Drop the whole check, or one of its operands."""
        if self._is_it(node):
            return None
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """Drop one operand."""
        if isinstance(node.op, ast.Or):
            kept = [operand for operand in node.values if not self._is_it(operand)]
            return kept[0] if len(kept) == 1 else ast.BoolOp(ast.Or(), kept)
        return node


def mutants() -> list[tuple[str, Any]]:
    """Return the judge once for each of its checks, without that check."""
    parts = (evidence.judge, evidence.check_contract, evidence._is_refunded)
    source = "\n".join(inspect.getsource(part) for part in parts)
    found: list[tuple[str, Any]] = []
    while True:
        drop = _Dropped(len(found))
        tree = ast.fix_missing_locations(drop.visit(ast.parse(source)))
        if not drop.text:
            return found
        namespace = dict(vars(evidence))
        exec(compile(tree, "mutant", "exec"), namespace)
        found.append((drop.text, namespace["judge"]))


def refuses_everything() -> None:
    """Run every property of this file once more, quickly."""
    test_no_grant_cheaper_than_this_browser_was_asked_for()
    for fact in FACTS:
        test_no_grant_with_one_fact_changed(fact)


MUTANTS = mutants()


#: Without these the next check may break on what is not there; without any other an answer is granted.
GUARDS = {"terms.fulfillment_url is None", "sold is None", "amount is None"}


@pytest.mark.hypothesis
@pytest.mark.parametrize(("text", "mutant"), MUTANTS, ids=[text for text, _ in MUTANTS])
def test_the_properties_notice_a_missing_check(text: str, mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any single check of the judge, the properties above fail because something was granted."""
    monkeypatch.setattr(flow, "judge", mutant)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - Hypothesis raises groups where examples fail differently
        refuses_everything()
    raised = caught.value.exceptions if isinstance(caught.value, ExceptionGroup) else [caught.value]
    assert any(guard in text for guard in GUARDS) or any(isinstance(error, AssertionError) for error in raised), (
        caught.value
    )


def test_the_judge_has_all_its_checks() -> None:
    """The list of checks above is the one that was meant; a new check needs a fact."""
    assert len(MUTANTS) == 16, [text for text, _ in MUTANTS]


# ---- whatever the backend answers --------------------------------------------------------------------------------

EARLIER = order(7)


def full_evidence(status: int, answer: Any, order_id: str, session_id: str) -> bool:
    """Tell whether an answer proves the payment; an oracle written apart from the judge."""
    try:
        terms = answer["contract_terms"]
        return (
            (status, answer["order_status"], terms["order_id"]) == (200, "paid", order_id)
            and terms["merchant_base_url"] == BACKEND
            and terms["fulfillment_url"].startswith(SITE + "/")
            and terms["extra"][EXTRA]["resource"] == RESOURCE.name
            and not not_covering(terms["amount"])
            and answer["refunded"] is False
            and answer["refund_pending"] is False
            and answer["refund_amount"] in {"KUDOS:0", "0"}
            and session_id != ""
        )
    except (KeyError, TypeError, AttributeError):
        return False


def some_answers(which: Any) -> st.SearchStrategy[tuple[int, Any]]:
    """Return answers about an order, from the usual to the absurd."""
    return st.one_of(
        st.sampled_from(
            [
                unpaid(which),
                unpaid(which, already_paid_order_id=EARLIER.order_id),
                unpaid(which, pay_deadline={"t_s": NOW - 1}),
                claimed(which),
                paid(which),
                paid(which, {"extra": {EXTRA: {"resource": "another", "amount": "KUDOS:0.5"}}}),
                paid(which, {"amount": "KUDOS:0.1"}),
                paid(which, refunded=True, refund_amount="KUDOS:0.5"),
                paid(which, refunded=True, refund_pending=True, refund_amount="KUDOS:0.1"),
                UNKNOWN,
                EXISTS,
                (500, {}),
                (204, {}),
            ]
        ),
        st.tuples(st.sampled_from([200, 402, 404, 409, 500]), json_values),
    )


visits = st.builds(
    lambda orders, may_order, buy_again, page: visit(*orders, may_order=may_order, buy_again=buy_again, page=page),
    st.lists(
        st.sampled_from([order(0), order(1), order(0, session=OTHER_SESSION), order(2, pay_deadline=NOW - 5)]),
        max_size=8,
        unique_by=lambda each: each.order_id,
    ),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "/articles/one", "/articles/one?ref=x"]),
)


@settings(max_examples=1500, suppress_health_check=list(HealthCheck))
@given(visits, st.data())
def test_no_grant_without_evidence_and_no_endless_asking(the_visit: Any, data: st.DataObject) -> None:
    """Whatever the backend answers in whatever order: a grant has its evidence; at most 9 operations and 2 POSTs."""
    ops: list[Op[Any]] = []
    proven: set[str] = set()

    def perform(op: Op[Any]) -> Any:
        if isinstance(op, RecallLinks | LearnLinks):
            return data.draw(st.booleans())
        ops.append(op)
        if not isinstance(op, Call):
            return None
        if not op.request.private:
            public = st.sampled_from(
                [(402, {"already_paid_order_id": "EARLIER"}), (402, {}), (202, {}), (404, {}), (500, {})]
            )
            return op.parse(answer_of(data.draw(public)))
        if op.request.method == "POST":
            made = json.loads(op.request.body or b"")["order"]["order_id"]
            answers = st.sampled_from([created(order(order_id=made)), EXISTS, (500, {}), (200, {"order_id": "x"})])
        else:
            made = op.request.path.removeprefix("private/orders/")
            answers = some_answers(order(order_id=made))
        if data.draw(st.integers(0, 19)) == 0:
            raise BackendUnreachable("no answer")
        status, answer = data.draw(answers)
        if full_evidence(status, answer, made, dict(op.request.query).get("session_id", "")):
            proven.add(made)
        return op.parse(BackendResponse(status, "application/json", json.dumps(answer).encode()))

    decision = run(payment_flow(STOREFRONT, the_visit, OFFER), perform)
    if isinstance(decision, Grant):
        assert decision.order.order_id in proven
    beside = (MayOrder, RecallKnown)
    counted = [op for op in ops if not (isinstance(op, beside) or (isinstance(op, Forget) and not op.lasting))]
    assert len(counted) <= 9
    assert sum(isinstance(op, Call) and op.request.method == "POST" for op in ops) <= 2
    if not (the_visit.request.may_order(frozenset()) or the_visit.buy_again):
        assert not any(isinstance(op, Call) and op.request.method == "POST" for op in ops)


@pytest.mark.parametrize(
    ("policy", "changes", "verdict"),
    [
        ("revoke", {"refund_amount": "KUDOS:0.1", "refunded": True}, "refunded"),
        ("keep", {"refund_amount": "KUDOS:0.1", "refunded": True}, "stands"),
        ("keep", {"refund_amount": "KUDOS:0.1", "refund_pending": True}, "stands"),
        ("keep", {"refund_amount": "KUDOS:0.49999999", "refunded": True}, "stands"),
        ("keep", {"refund_amount": "KUDOS:0.5", "refunded": True}, "refunded"),
        ("keep", {"refund_amount": "KUDOS:0.5", "refund_pending": True}, "refunded"),
        ("keep", {"refund_amount": "KUDOS:0.50000001", "refunded": True}, "refunded"),
        # A backend that does not say how much: then all of it.
        ("keep", {"refunded": True}, "refunded"),
        ("keep", {"refund_amount": "0", "refund_pending": True}, "refunded"),
        ("keep", {"refund_amount": "KUDOS:0"}, "stands"),
        ("keep", {"refund_amount": "0"}, "stands"),
        ("revoke", {"refund_amount": "0"}, "stands"),
    ],
)
def test_what_a_refund_of_a_part_does(policy: Any, changes: dict[str, Any], verdict: str) -> None:
    """It takes the purchase back, or leaves it, as the site has it; the whole price back always takes it back."""
    which = order()
    steps = [get_order(which.order_id, which.session_id).parse(answer_of(paid(which, **changes)))]
    assert isinstance(steps[0], Paid)
    assert evidence.judge(replace(STOREFRONT, partial_refund=policy), OFFER, which, steps[0]) == verdict


@pytest.mark.parametrize("amount", ["EUR:0.1", "KUDOS", "", "1"])
def test_a_refund_of_nonsense_is_no_policy(amount: str) -> None:
    """What cannot be compared with the price is nonsense, whatever the site does with parts."""
    which = order()
    status = get_order(which.order_id, which.session_id).parse(answer_of(paid(which, refund_amount=amount)))
    assert isinstance(status, Paid)
    with pytest.raises(BackendNonsense):
        evidence.judge(replace(STOREFRONT, partial_refund="keep"), OFFER, which, status)


def answer_of(answer: tuple[int, Any]) -> BackendResponse:
    return BackendResponse(answer[0], "application/json", json.dumps(answer[1]).encode())
