"""The merchant backend's API: what is asked, and what its answers are taken for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taler_paywall import merchant
from taler_paywall.amount import Amount
from taler_paywall.answers import (
    Claimed,
    MerchantConfig,
    OrderCreated,
    OrderExists,
    OrderUnknown,
    Paid,
    PaidAccepted,
    PublicStatus,
    RefundGranted,
    Unpaid,
)
from taler_paywall.errors import BackendError, BackendNonsense, BackendRejected
from taler_paywall.operations import BackendRequest, BackendResponse, Call, SessionId
from taler_paywall.timestamp import NEVER

SESSION = SessionId("S&1=/?")
ORDER = "2026.325-A:b_c"
NOW = 1_795_000_000

Json = dict[str, Any]

CONTRACT: Json = {
    "order_id": ORDER,
    "amount": "KUDOS:0.5",
    "merchant_base_url": "https://backend.example/",
    "merchant_pub": "8GSJZ649T2PXMKZC01Y4ANNBE7MF14QVK9SQEC4E46ZHKCVG8AS0",
    "fulfillment_url": "https://news.example/a",
    "refund_deadline": {"t_s": NOW},
    "wire_transfer_deadline": {"t_s": "never"},
    "extra": {"taler_paywall": {"resource": "/a", "amount": "KUDOS:0.5"}},
}
UNPAID: Json = {
    "order_status": "unpaid",
    "taler_pay_uri": "taler://pay/backend.example/ORDER/S",
    "order_status_url": "https://backend.example/orders/ORDER?token=T",
}
PAID: Json = {
    "order_status": "paid",
    "refunded": False,
    "refund_pending": False,
    "refund_amount": "KUDOS:0",
    "contract_terms": CONTRACT,
}


def answer(content: object, status: int = 200, media_type: str = "application/json") -> BackendResponse:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return BackendResponse(status, media_type, body)


def status_of(content: object, status: int = 200, media_type: str = "application/json") -> object:
    return merchant.get_order(ORDER, SESSION).parse(answer(content, status, media_type))


def without(members: Json, *names: str) -> Json:
    return {name: value for name, value in members.items() if name not in names}


def contract(**changes: Any) -> Json:
    return PAID | {"contract_terms": CONTRACT | changes}


CALLS: dict[str, Callable[[], Call[Any]]] = {
    "get_config": merchant.get_config,
    "post_order": lambda: merchant.post_order({"order": {"order_id": ORDER}}),
    "get_order": lambda: merchant.get_order(ORDER, SESSION),
    "get_public_order": lambda: merchant.get_public_order(ORDER, SESSION, ("h_contract", "H")),
    "post_refund": lambda: merchant.post_refund(ORDER, Amount("KUDOS", 0, 50_000_000), "sorry"),
    "post_paid": lambda: merchant.post_paid(ORDER, "SIG", "H", SESSION),
}

# Requests.

STATUS_QUERY = (("session_id", SESSION), ("allow_refunded_for_repurchase", "YES"))


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ("get_config", BackendRequest("GET", "config")),
        ("post_order", BackendRequest("POST", "private/orders", (), b'{"order":{"order_id":"%b"}}', private=True)),
        ("get_order", BackendRequest("GET", "private/orders/{}", STATUS_QUERY, private=True)),
        ("get_public_order", BackendRequest("GET", "orders/{}", (("h_contract", "H"), *STATUS_QUERY))),
        (
            "post_refund",
            BackendRequest(
                "POST", "private/orders/{}/refund", (), b'{"refund":"KUDOS:0.5","reason":"sorry"}', private=True
            ),
        ),
        (
            "post_paid",
            BackendRequest("POST", "orders/{}/paid", (), b'{"sig":"SIG","h_contract":"H","session_id":"S&1=/?"}'),
        ),
    ],
)
def test_requests(call: str, request_: BackendRequest) -> None:
    """Each call is one request: method, quoted path, query, body, and the token on private ones alone."""
    asked = CALLS[call]().request

    assert asked.path == request_.path.format("2026.325-A%3Ab_c")
    assert asked.body == (None if request_.body is None else request_.body.replace(b"%b", ORDER.encode()))
    assert (asked.method, asked.query, asked.private) == (request_.method, request_.query, request_.private)
    assert asked.private == asked.path.startswith("private/")


def test_a_long_poll_says_how_long() -> None:
    """The public status may be waited for, with a credential or without."""
    waiting = merchant.get_public_order(ORDER, SESSION, ("token", "T"), 5.5).request
    assert waiting.query == (("token", "T"), *STATUS_QUERY, ("timeout_ms", "5500"))
    assert waiting.wait == 5.5

    at_once = merchant.get_public_order(ORDER, SESSION, None).request
    assert (at_once.query, at_once.wait) == (STATUS_QUERY, 0)


def test_no_status_without_a_session() -> None:
    """Without a session the backend says "paid" to anybody: such a request cannot even be made."""
    with pytest.raises(ValueError, match="session"):
        merchant.get_order(ORDER, SessionId(""))
    with pytest.raises(ValueError, match="session"):
        merchant.get_order(ORDER, cast(SessionId, ""))


@pytest.mark.parametrize("content", [contract(version="\ud800"), PAID | {"\ud800": 1}])
def test_half_a_character(content: Json) -> None:
    """JSON can spell what no text can hold."""
    with pytest.raises(BackendNonsense):
        status_of(content)


def test_answers_stay_out_of_logs() -> None:
    """URLs, tokens and sessions stand in them: their kind alone is shown."""
    assert repr(SESSION) == "SessionId(...)"
    assert repr(status_of(UNPAID)) == "<Unpaid>"
    assert repr(merchant.post_order({}).parse(answer({"order_id": ORDER, "token": "T"}))) == "<OrderCreated>"


ORDER_CALLS: dict[str, Callable[[str], Call[Any]]] = {
    "get_order": lambda order_id: merchant.get_order(order_id, SESSION),
    "get_public_order": lambda order_id: merchant.get_public_order(order_id, SESSION, ("h_contract", "H")),
    "post_refund": lambda order_id: merchant.post_refund(order_id, Amount("KUDOS", 1, 0), ""),
    "post_paid": lambda order_id: merchant.post_paid(order_id, "SIG", "H", SESSION),
}
HOSTILE_IDS = [
    "",
    ".",
    "..",
    "../instances",
    "a/b",
    "a\\b",
    "a?session_id=",
    "a#b",
    "a%2fb",
    "a b",
    "a\r\nX: y",
    "a\n",
    "a\x00",
    "é",
    "a;b",
    "x" * 129,
    "\u0661",
]


@pytest.mark.parametrize("order_id", HOSTILE_IDS)
@pytest.mark.parametrize("call", list(ORDER_CALLS))
def test_hostile_order_ids_are_refused(call: str, order_id: str) -> None:
    """An order ID that could mean another address is never asked for."""
    with pytest.raises(BackendNonsense):
        ORDER_CALLS[call](order_id)


@given(st.text(max_size=20))
def test_no_order_id_leaves_its_segment(order_id: str) -> None:
    """Whatever an order ID is, it is refused or stays one segment of the path."""
    try:
        path = merchant.get_order(order_id, SESSION).request.path
    except BackendNonsense:
        return
    assert path.count("/") == 2
    assert path.isascii()
    assert not set(path) & set("?#\\ \r\n")
    assert path.rsplit("/", 1)[1].strip(".") or len(path.rsplit("/", 1)[1]) > 2


# Answers, each case of the union.


def test_unpaid() -> None:
    """What is needed to pay is read, and the rest where the backend tells."""
    status = status_of(UNPAID)

    assert isinstance(status, Unpaid)
    assert status.order_status_url == UNPAID["order_status_url"]
    assert status.taler_pay_uri == UNPAID["taler_pay_uri"]
    assert (status.amount, status.deadline, status.already_paid_order_id) == (None, None, None)


@pytest.mark.parametrize(
    "more",
    [
        {"total_amount": "KUDOS:0.5", "pay_deadline": {"t_s": NOW}},
        {"total_amount": "KUDOS:0.5", "pay_deadline": {"t_ms": NOW * 1000 + 999}},
        {"proto_contract_terms": {"amount": "KUDOS:0.5", "pay_deadline": {"t_s": NOW}, "version": 0}},
        {
            "total_amount": "KUDOS:0.5",
            "pay_deadline": {"t_s": NOW},
            "proto_contract_terms": {"amount": "KUDOS:9", "pay_deadline": {"t_s": 0}},
        },
    ],
)
def test_unpaid_with_amount_and_deadline(more: Json) -> None:
    """Backends of all ages tell the amount and the deadline, in one place or another."""
    status = status_of(UNPAID | more)

    assert isinstance(status, Unpaid)
    assert status.amount == Amount("KUDOS", 0, 50_000_000)
    assert status.deadline == NOW


def test_unpaid_with_an_earlier_order() -> None:
    """The order that a wallet proved is read."""
    status = status_of(UNPAID | {"already_paid_order_id": "EARLIER"})

    assert isinstance(status, Unpaid)
    assert status.already_paid_order_id == "EARLIER"


def test_claimed() -> None:
    """A claimed order is just that; its contract is kept as it stands, for its hash is a credential."""
    assert status_of({"order_status": "claimed", "contract_terms": CONTRACT}) == Claimed(contract_terms=CONTRACT)
    assert status_of({"order_status": "claimed"}) == Claimed()


def test_paid() -> None:
    """The evidence is read as it stands."""
    status = status_of(PAID | {"order_status_url": "https://backend.example/orders/ORDER", "last_payment": {"t_s": 1}})

    assert isinstance(status, Paid)
    assert (status.refunded, status.refund_pending, status.refund_amount) == (False, False, "KUDOS:0")
    assert status.order_status_url == "https://backend.example/orders/ORDER"
    assert status.amount == Amount("KUDOS", 0, 50_000_000)
    terms = status.contract_terms
    assert (terms.order_id, terms.merchant_base_url) == (ORDER, "https://backend.example/")
    assert (terms.merchant_pub, terms.fulfillment_url) == (CONTRACT["merchant_pub"], CONTRACT["fulfillment_url"])
    assert terms.extra == CONTRACT["extra"]
    assert (terms.refund_deadline.seconds, terms.wire_transfer_deadline.seconds) == (NOW, NEVER)


CHOICES = [{"amount": "KUDOS:1", "inputs": []}, {"amount": "KUDOS:2"}]


@pytest.mark.parametrize(
    ("changes", "index", "amount"),
    [
        ({"version": 1, "choices": CHOICES}, 0, "KUDOS:1"),
        ({"version": 1, "choices": CHOICES}, 1, "KUDOS:2"),
        ({"version": 1, "choices": CHOICES}, 2, None),
        ({"version": 1, "choices": CHOICES}, -1, None),
        ({"version": 1, "choices": CHOICES}, None, None),
        ({"version": 1, "choices": [{}]}, 0, None),
        ({"version": 1}, 0, None),
        ({"version": 0, "choices": CHOICES}, 1, "KUDOS:0.5"),
        ({"version": 0, "amount": None}, None, None),
    ],
)
def test_the_amount_that_was_paid(changes: Json, index: int | None, amount: str | None) -> None:
    """A contract of version 1 costs what the paid choice costs; if that is not said, nothing is taken for granted."""
    status = status_of(contract(**changes) | {"choice_index": index})

    assert isinstance(status, Paid)
    assert status.amount == (Amount.parse(amount) if amount else None)


def test_order_created_and_existing() -> None:
    """A new order, one that exists, and one that was made with the same contents before."""
    parse = merchant.post_order({}).parse

    assert parse(answer({"order_id": ORDER})) == OrderCreated(ORDER)
    created = parse(answer({"order_id": ORDER, "token": "T", "pay_deadline": {"t_s": NOW}, "new": 1}))
    assert isinstance(created, OrderCreated)
    assert (created.token, created.pay_deadline and created.pay_deadline.seconds) == ("T", NOW)
    assert parse(answer({"code": 2503, "hint": "exists"}, 409)) == OrderExists()


def test_other_answers() -> None:
    """Configuration, refund, proof and public status are read from what the API documents."""
    version = {"name": "taler-merchant", "version": "25:0:13", "currency": "KUDOS", "currencies": {"KUDOS": {"x": 1}}}
    config = CALLS["get_config"]().parse(answer(version | {"exchanges": []}))
    refund = CALLS["post_refund"]().parse(answer({"taler_refund_uri": "taler://refund/x", "h_contract": "H"}))

    assert config == MerchantConfig("25:0:13", "taler-merchant", "KUDOS", {"KUDOS": {"x": 1}})
    assert refund == RefundGranted("taler://refund/x", "H")
    assert CALLS["post_paid"]().parse(answer(b"", 204, "")) == PaidAccepted()
    assert CALLS["post_paid"]().parse(answer({"refunded": True})) == PaidAccepted(refunded=True)


@pytest.mark.parametrize(
    ("status", "content", "paid"),
    [
        (200, {"refunded": True, "refund_pending": True, "refund_amount": "KUDOS:1"}, True),
        (402, {"taler_pay_uri": "taler://pay/x", "already_paid_order_id": "E"}, False),
        (202, {"public_reorder_url": "https://news.example/a"}, False),
        (402, {"paid": True}, False),
    ],
)
def test_public_status(status: int, content: Json, paid: bool) -> None:  # noqa: FBT001 - a table
    """Whether it is paid is what the HTTP status says, never the body."""
    found = CALLS["get_public_order"]().parse(answer(content, status))

    assert isinstance(found, PublicStatus)
    assert found.paid is paid
    assert (found.refunded, found.taler_pay_uri) == (content.get("refunded", False), content.get("taler_pay_uri"))


# Error statuses.


@pytest.mark.parametrize("call", list(CALLS))
@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, b'{"code": 5003}', 5003),
        (500, b"", 0),
        (502, b"<html>", 0),
        (401, b'{"code": 22}', 22),
        (404, b'{"code": 2000}', 2000),
        (404, b"", 0),
        (404, b'{"code": "2005"}', 0),
        (404, b'{"code": 2005.0}', 0),
        (404, b'[{"code": 2005}]', 0),
        (404, b'{"code": true}', 0),
        (404, b'{"code": null}', 0),
        (404, b"[" * 100_000, 0),
        (404, b"\xff\xfe", 0),
        (409, b'{"code": 2514}', 2514),
        (409, b"", 0),
        (410, b'{"code": 2005}', 2005),
        (400, b'{"code": 2503}', 2503),
        (201, b"{}", 0),
        (301, b"{}", 0),
        (308, b"", 0),
    ],
)
def test_error_statuses(call: str, status: int, body: bytes, code: int) -> None:
    """Any other status is a refusal with its code, even if the body looks like a good answer."""
    if call == "get_public_order" and status in {301, 308, 404, 410}:
        assert CALLS[call]().parse(answer(body, status)) is None
        return
    with pytest.raises(BackendRejected) as caught:
        CALLS[call]().parse(answer(body, status))

    assert (caught.value.http_status, caught.value.code) == (status, code)


def test_unknown_orders_and_existing_ones() -> None:
    """404 with 2005 and 409 with 2503 mean something where they are documented, and there alone."""
    assert status_of({"code": 2005, "hint": "unknown"}, 404) == OrderUnknown()
    for call, status, code in (("get_order", 409, 2503), ("post_order", 404, 2005), ("post_paid", 404, 2005)):
        with pytest.raises(BackendRejected):
            CALLS[call]().parse(answer({"code": code}, status))


def test_a_paid_body_with_an_error_status_is_no_payment() -> None:
    """The HTTP status goes before the body."""
    for status in (201, 202, 204, 206, 302, 402, 404, 500):
        with pytest.raises(BackendRejected):
            status_of(PAID, status)


# Nonsense.


@pytest.mark.parametrize("call", [name for name in CALLS if name != "get_public_order"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"paid"',
        b"1",
        b"<html></html>",
        b'{"order_status": "paid"',
        b"{}{}",
        b"\xef\xbb\xbf{}",
        json.dumps(PAID).encode("utf-16"),
        b'{"x": "\xff"}',
        b'{"x": NaN}',
        b'{"x": Infinity}',
        b'{"x": -Infinity}',
        b'{"x": 1, "x": 1}',
        b'{"x": {"y": 1, "y": 2}}',
        b'{"x": [{"y": 1, "\\u0079": 2}]}',
        b"[" * 100_000,
        b'{"x":' * 100_000,
        b'{"x": ' + b"1" * 10_000 + b"}",
    ],
)
def test_malformed_answers_are_nonsense(call: str, body: bytes) -> None:
    """What two parsers might read differently, or one cannot read, is no answer."""
    with pytest.raises(BackendNonsense):
        CALLS[call]().parse(answer(body))


def test_the_last_duplicate_does_not_count() -> None:
    """An answer that says "unpaid" and "paid" says nothing."""
    for body in (
        json.dumps(PAID).replace('"order_status": "paid"', '"order_status": "unpaid", "order_status": "paid"'),
        json.dumps(PAID).replace('"refunded": false', '"refunded": true, "refunded": false'),
        json.dumps(PAID).replace('"amount": "KUDOS:0.5"', '"amount": "KUDOS:9", "amount": "KUDOS:0.5"', 1),
    ):
        assert body != json.dumps(PAID)
        with pytest.raises(BackendNonsense):
            status_of(body.encode())


@pytest.mark.parametrize("media_type", ["", "text/html", "text/plain", "text/json", "application/problem+json"])
def test_other_media_types_are_nonsense(media_type: str) -> None:
    """A captive portal answers 200 too."""
    with pytest.raises(BackendNonsense):
        status_of(PAID, 200, media_type)


@pytest.mark.parametrize("depth", [*range(700, 1000, 7), 2000, 50_000])
def test_deep_answers_are_read_or_nonsense(depth: int) -> None:
    """However deep an answer is, it is read or refused; no other error comes out."""
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    body = json.dumps(contract(extra={"here": 0})).replace('{"here": 0}', deep.decode())
    with contextlib.suppress(BackendNonsense):
        assert isinstance(status_of(body.encode()), Paid)


@pytest.mark.parametrize("status", ["PAID", "Paid", "paid ", "", "refunded", None, True, 1, ["paid"], {"paid": 1}])
def test_unknown_order_statuses_are_nonsense(status: object) -> None:
    """There are three statuses, and none is guessed."""
    with pytest.raises(BackendNonsense):
        status_of(PAID | {"order_status": status})


@pytest.mark.parametrize("base", [UNPAID, PAID, {"order_status": "claimed"}])
def test_unknown_members_are_ignored(base: Json) -> None:
    """A younger backend may say more, anywhere."""
    more = {"new": {"x": [1, None, 1.5]}, "Refunded": True, "order_status ": "unpaid", "": None}
    wider = base | more
    if "contract_terms" in base:
        wider["contract_terms"] = base["contract_terms"] | more

    assert status_of(wider) == status_of(base)


@pytest.mark.parametrize("base", [UNPAID, PAID])
@pytest.mark.parametrize("nothing", ["missing", None])
def test_needed_members(base: Json, nothing: object) -> None:
    """An answer without a needed member is nonsense as a whole, and so is one where it is null."""
    for name in base:
        with pytest.raises(BackendNonsense):
            status_of(without(base, name) if nothing == "missing" else base | {name: None})


@pytest.mark.parametrize("name", ["order_id", "merchant_base_url", "refund_deadline", "wire_transfer_deadline"])
def test_needed_members_of_the_contract(name: str) -> None:
    """A contract without what it is judged by is nonsense."""
    for terms in (without(CONTRACT, name), CONTRACT | {name: None}):
        with pytest.raises(BackendNonsense):
            status_of(PAID | {"contract_terms": terms})


@pytest.mark.parametrize(
    "content",
    [
        PAID | {"refunded": "false"},
        PAID | {"refunded": 0},
        PAID | {"refund_pending": "no"},
        PAID | {"refund_pending": 0},
        PAID | {"refund_amount": 0},
        PAID | {"refund_amount": {"value": 0}},
        PAID | {"contract_terms": []},
        PAID | {"contract_terms": "x"},
        PAID | {"order_status_url": 1},
        PAID | {"choice_index": "0"},
        PAID | {"choice_index": 0.5},
        PAID | {"choice_index": True},
        contract(order_id=1),
        contract(order_id=[ORDER]),
        contract(amount=1),
        contract(amount="1"),
        contract(amount="KUDOS:-1"),
        contract(amount="KUDOS:1,5"),
        contract(amount={"currency": "KUDOS", "value": 1}),
        contract(merchant_base_url=1),
        contract(merchant_pub=1),
        contract(fulfillment_url=1),
        contract(fulfillment_url=["https://news.example/a"]),
        contract(extra=[]),
        contract(extra="x"),
        contract(version="1"),
        contract(version=True),
        contract(choices={}),
        contract(choices=[1]),
        contract(choices=[{"amount": "x"}]),
        contract(choices=[{"amount": 1}]),
        UNPAID | {"taler_pay_uri": 1},
        UNPAID | {"order_status_url": ["https://x"]},
        UNPAID | {"already_paid_order_id": 1},
        UNPAID | {"already_paid_order_id": ["X"]},
        UNPAID | {"total_amount": "x"},
        UNPAID | {"total_amount": 1},
        UNPAID | {"proto_contract_terms": []},
        UNPAID | {"proto_contract_terms": {"amount": "x"}},
    ],
)
def test_members_of_another_type_are_nonsense(content: Json) -> None:
    """Nothing is converted: a text is no boolean, a number no text, and what is no amount is none."""
    with pytest.raises(BackendNonsense):
        status_of(content)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ({"t_s": 0}, 0),
        ({"t_s": NOW}, NOW),
        ({"t_s": 2**53 - 1}, 2**53 - 1),
        ({"t_s": "never"}, NEVER),
        ({"t_ms": 1999}, 1),
        ({"t_ms": "never"}, NEVER),
        ({"t_s": 5, "t_ms": 9000}, 5),
        ({"t_s": 5, "future": True}, 5),
        ({}, None),
        ({"t_s": -1}, None),
        ({"t_s": 2**53}, None),
        ({"t_s": 10**30}, None),
        ({"t_s": 1.5}, None),
        ({"t_s": True}, None),
        ({"t_s": None}, None),
        ({"t_s": "5"}, None),
        ({"t_s": "forever"}, None),
        ({"t_ms": "soon"}, None),
        ({"t_us": 5}, None),
        (5, None),
        ("never", None),
        ("/Date(5)/", None),
    ],
)
def test_times(time: object, seconds: int | None) -> None:
    """Both spellings of a time are read, in contracts and elsewhere; nothing else is."""
    if seconds is None:
        for content in (contract(refund_deadline=time), UNPAID | {"pay_deadline": time}):
            with pytest.raises(BackendNonsense):
                status_of(content)
        return
    paid, unpaid = status_of(contract(refund_deadline=time)), status_of(UNPAID | {"pay_deadline": time})
    assert isinstance(paid, Paid)
    assert isinstance(unpaid, Unpaid)
    assert paid.contract_terms.refund_deadline.seconds == unpaid.deadline == seconds


@pytest.mark.parametrize(
    ("call", "content"),
    [
        ("get_config", {"version": "1:0:0", "currency": "KUDOS"}),
        ("get_config", {"version": "1:0:0", "currency": "KUDOS", "name": "taler-exchange"}),
        ("get_config", {"version": 1, "currency": "KUDOS", "name": "taler-merchant"}),
        ("post_order", {}),
        ("post_order", {"order_id": 1}),
        ("post_order", {"order_id": ORDER, "token": 1}),
        ("post_order", {"order_id": ORDER, "pay_deadline": 5}),
        ("post_refund", {"taler_refund_uri": "taler://refund/x"}),
        ("post_refund", {"h_contract": "H"}),
        ("post_paid", {"refunded": "no"}),
        ("get_public_order", {"refunded": "no"}),
        ("get_public_order", {"taler_pay_uri": 1}),
        ("get_public_order", []),
    ],
)
def test_other_nonsense(call: str, content: object) -> None:
    """The other answers are as strict."""
    with pytest.raises(BackendNonsense):
        CALLS[call]().parse(answer(content))


def test_errors_name_no_value() -> None:
    """What an error says of an answer is names and types, never what stood there."""
    for content in (
        contract(amount="do-not-tell"),
        UNPAID | {"total_amount": "KUDOS:do-not-tell"},
        PAID | {"refunded": "do-not-tell"},
        {"order_status": "do-not-tell"},
        contract(refund_deadline={"t_s": "do-not-tell"}),
    ):
        with pytest.raises(BackendNonsense) as caught:
            status_of(content)
        assert "do-not-tell" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(list(CALLS)),
    st.sampled_from([200, 201, 202, 204, 302, 402, 404, 409, 500]),
    st.sampled_from(["application/json", "text/html"]),
    st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_any_answer_is_read_or_refused(call: str, status: int, media_type: str, body: bytes) -> None:
    """Whatever comes back, it is an answer or a BackendError, and never a payment."""
    try:
        found = CALLS[call]().parse(BackendResponse(status, media_type, body))
    except BackendError:
        return
    assert not isinstance(found, Paid)


@given(st.sampled_from(sorted(PAID)), JSON)
def test_any_change_is_judged_by_type(name: str, value: Any) -> None:
    """A member of another type makes a paid answer nonsense; of the right type, it is read as it stands."""
    kinds = {
        "order_status": str,
        "refunded": bool,
        "refund_pending": bool,
        "refund_amount": str,
        "contract_terms": dict,
    }
    try:
        status = status_of(PAID | {name: value})
    except BackendNonsense:
        return
    assert isinstance(status, Paid)
    assert type(value) is kinds[name]
