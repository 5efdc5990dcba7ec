"""The proof of an earlier purchase: read strictly, checked here, checked by the backend, and judged."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core.script import (
    BACKEND,
    OTHER_SESSION,
    RESOURCE,
    SESSION,
    STOREFRONT,
    UNKNOWN,
    Script,
    claimed,
    get,
    order,
    paid,
    unpaid,
)
from taler_paywall import crockford
from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.contract import MERCHANT_CONTRACT, MERCHANT_PAYMENT_OK, public_key, sign_hash
from taler_paywall.decision import Unavailable
from taler_paywall.drive import perform, run
from taler_paywall.errors import BackendUnreachable
from taler_paywall.memory import Memory
from taler_paywall.offer import Storefront
from taler_paywall.operations import Forget, Op, Payment, RecallKey, Remember
from taler_paywall.proof import Disproved, Proof, Proved, proof_flow, read_proof

Steps = tuple[str, Any]

SEED = bytes(range(32))
KEY = crockford.encode(public_key(SEED))
OTHER_KEY = crockford.encode(public_key(bytes(32)))
ORDER = order()
HASH = bytes(range(64))
SIG = sign_hash(SEED, MERCHANT_PAYMENT_OK, HASH)
PROOF = Proof(SIG, HASH, SESSION)
BODY = {"sig": crockford.encode(SIG), "h_contract": crockford.encode(HASH), "session_id": str(SESSION)}
PROVE = f"POST orders/{ORDER.order_id}/paid"
ACCEPTED = 200, {"refunded": False}
FORGOTTEN = f"forget {ORDER.order_id}", None
NO_SUCH_ORDER = Disproved(404, 2005)
FORGED = Disproved(403, 2201)


def prove(
    *steps: Steps,
    proof: Proof = PROOF,
    order_id: str = ORDER.order_id,
    storefront: Storefront = STOREFRONT,
    learnt: str | None = None,
) -> tuple[Proved | Disproved | Unavailable, Script]:
    script = Script(list(steps))

    def answer(op: Op[Any]) -> Any:
        return learnt if isinstance(op, RecallKey) else script(op)

    outcome = run(proof_flow(storefront, order_id, proof, {OTHER_SESSION, SESSION}), answer)
    assert not script.steps, f"never asked: {script.steps}"
    return outcome, script


def test_a_proof_is_read() -> None:
    """Base32 in either case; members that nobody knows are passed over."""
    body = BODY | {"sig": BODY["sig"].lower(), "more": 1}
    assert read_proof(json.dumps(body).encode()) == PROOF


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (None, 413, 32),
        (b"", 400, 22),
        (b"[]", 400, 22),
        (b'{"sig": "\xff"}', 400, 22),
        (b"[" * 4000, 400, 22),
        (b'{"sig": NaN}', 400, 22),
        *((json.dumps({k: v for k, v in BODY.items() if k != name}).encode(), 400, 25) for name in BODY),
        *((json.dumps(BODY | {name: 1}).encode(), 400, 26) for name in BODY),
        (json.dumps(BODY | {"sig": BODY["sig"][:-1]}).encode(), 400, 26),
        (json.dumps(BODY | {"h_contract": BODY["h_contract"] + "0"}).encode(), 400, 26),
        (json.dumps(BODY | {"h_contract": "*" * 103}).encode(), 400, 26),
    ],
)
def test_a_malformed_proof(body: bytes | None, status: int, code: int) -> None:
    """Each mistake has its code."""
    assert read_proof(body) == Disproved(status, code)


def test_an_accepted_proof() -> None:
    """The backend binds the order to the session, and the private status is judged; the answer is the seed's."""
    outcome, script = prove((PROVE, ACCEPTED), FORGOTTEN, (get(ORDER), paid(ORDER)))
    assert outcome == Proved(refunded=False)
    assert outcome.content == {"refunded": False}
    assert script.bodies == [BODY]


@pytest.mark.parametrize(
    ("storefront", "learnt", "checked"),
    [
        (STOREFRONT, None, False),
        (STOREFRONT, "no key at all", False),
        (STOREFRONT, KEY, True),
        (replace(STOREFRONT, merchant_pub=KEY), OTHER_KEY, True),
    ],
    ids=["unknown", "malformed", "learnt", "configured"],
)
@pytest.mark.parametrize(
    "sig",
    [sign_hash(bytes(32), MERCHANT_PAYMENT_OK, HASH), sign_hash(SEED, MERCHANT_CONTRACT, HASH), bytes(64)],
    ids=["key", "purpose", "zeros"],
)
def test_a_forged_signature(storefront: Storefront, learnt: str | None, checked: bool, sig: bytes) -> None:  # noqa: FBT001
    """Where the key is known the backend is not even asked; the answer is the same."""
    asked = [] if checked else [(PROVE, (403, {"code": 2201}))]
    outcome, _ = prove(*asked, proof=replace(PROOF, sig=sig), storefront=storefront, learnt=learnt)
    assert outcome == FORGED
    assert outcome.content["code"] == 2201


@pytest.mark.parametrize("learnt", [KEY, None])
def test_a_genuine_signature(learnt: str | None) -> None:
    """It goes to the backend whether the key is known or not: the signature alone is no proof of this order."""
    outcome, _ = prove((PROVE, ACCEPTED), FORGOTTEN, (get(ORDER), paid(ORDER)), learnt=learnt)
    assert outcome == Proved(refunded=False)


@pytest.mark.parametrize("session_id", ["", "another", SESSION.lower()])
def test_the_session_of_somebody_else(session_id: str) -> None:
    """Nobody moves a purchase to a session that is not this browser's; nothing is asked."""
    outcome, _ = prove(proof=replace(PROOF, session_id=session_id), learnt=KEY)
    assert outcome == Disproved(403, 44)


def test_any_session_of_this_browser() -> None:
    """A browser may have several: tabs that were opened at once have one each."""
    moved = order(session=OTHER_SESSION)
    outcome, _ = prove(
        (f"POST orders/{moved.order_id}/paid", ACCEPTED),
        (f"forget {moved.order_id}", None),
        (get(moved), paid(moved)),
        proof=replace(PROOF, session_id=str(OTHER_SESSION)),
        order_id=moved.order_id,
    )
    assert outcome == Proved(refunded=False)


@pytest.mark.parametrize("order_id", ["", "..", "a/b", "a b", "x" * 129, "a\n"])
def test_what_is_no_order_id(order_id: str) -> None:
    """It is answered like an order that nobody knows, and enters no address."""
    assert prove(order_id=order_id)[0] == NO_SUCH_ORDER


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 26), (400, 2200), (400, 22), (400, 25), (403, 2201), (404, 2005), (404, 2000), (413, 32)],
)
def test_what_the_backend_says_of_the_proof(status: int, code: int) -> None:
    """Its refusals are passed on, with a hint of our own."""
    outcome, _ = prove((PROVE, (status, {"code": code, "hint": "theirs"})))
    assert outcome == Disproved(status, code)
    assert outcome.content["hint"] not in {"", "theirs"}


@pytest.mark.parametrize(("status", "code"), [(404, 0), (403, 2105), (401, 40), (500, 52), (302, 0), (400, 2201)])
def test_what_the_backend_says_of_itself(status: int, code: int) -> None:
    """No other refusal is an answer to the proof."""
    outcome, _ = prove((PROVE, (status, {"code": code})))
    assert isinstance(outcome, Unavailable)
    assert outcome.reason == "backend-rejected"


@pytest.mark.parametrize(
    "terms",
    [
        {"extra": None},
        {"extra": {"taler_paywall": "x"}},
        {"fulfillment_url": "https://elsewhere.example/articles/one"},
        {"fulfillment_url": None},
        {"order_id": "ANOTHER"},
        {"merchant_base_url": "https://backend.example/instances/other/"},
    ],
)
def test_orders_of_others_are_like_unknown_ones(terms: dict[str, Any]) -> None:
    """What this site has not sold is not told apart from what nobody has."""
    outcome, _ = prove((PROVE, ACCEPTED), FORGOTTEN, (get(ORDER), paid(ORDER, terms)))
    assert outcome == NO_SUCH_ORDER
    unknown, _ = prove((PROVE, UNKNOWN))
    gone, _ = prove((PROVE, ACCEPTED), FORGOTTEN, (get(ORDER), UNKNOWN))
    assert outcome == unknown == gone


@pytest.mark.parametrize("status", [claimed(ORDER), unpaid(ORDER)], ids=["claimed", "unpaid"])
def test_an_accepted_proof_that_changes_nothing(status: tuple[int, Any]) -> None:
    """The backend contradicts itself, or somebody else was faster: whether it is paid is unknown."""
    outcome, _ = prove((PROVE, ACCEPTED), FORGOTTEN, (get(ORDER), status))
    assert isinstance(outcome, Unavailable)
    assert outcome.reason == "backend-nonsense"


def test_no_answer() -> None:
    """Whether the proof came through is unknown; it can be sent again."""
    assert isinstance(prove((PROVE, BackendUnreachable("no answer in time")))[0], Unavailable)
    assert isinstance(prove((PROVE, ACCEPTED), FORGOTTEN, (get(ORDER), BackendUnreachable("x")))[0], Unavailable)


@pytest.mark.parametrize(
    ("accepted", "members"),
    [
        ({"refunded": True}, {}),
        ({"refunded": False}, {"refunded": True}),
        ({"refunded": False}, {"refund_pending": True}),
    ],
)
def test_a_refunded_purchase(accepted: dict[str, Any], members: dict[str, Any]) -> None:
    """It is told, and no longer believed to be paid."""
    forgotten: list[str] = []
    steps = [(PROVE, (200, accepted)), FORGOTTEN, (get(ORDER), paid(ORDER, **members))]
    script = Script(steps)

    def answer(op: Op[Any]) -> Any:
        if isinstance(op, Forget):
            forgotten.append(op.order_id)
        return KEY if isinstance(op, RecallKey) else script(op)

    assert run(proof_flow(STOREFRONT, ORDER.order_id, PROOF, {SESSION}), answer) == Proved(refunded=True)
    assert forgotten == [ORDER.order_id]


def test_the_key_is_learnt() -> None:
    """Each payment that is believed tells it, the newest counts; what says nothing forgets nothing."""
    memory, backend = Memory(), HttpBackend(BACKEND, BACKEND, "", Breaker(lambda: False))
    payment = Payment(ORDER.order_id, RESOURCE.name, "KUDOS:0.5")
    learnt = []
    for key in (None, OTHER_KEY, KEY, None):
        perform(Remember(ORDER.key(RESOURCE.name), payment, 60, key), backend, memory)
        learnt.append(perform(RecallKey(), backend, memory))
    assert learnt == [None, OTHER_KEY, KEY, KEY]


def test_a_confirmation_for_the_staff() -> None:
    """What the backend gives along is given along; backends of 2022 say nothing at all."""
    outcome, _ = prove(
        (PROVE, (200, {"refunded": False, "pos_confirmation": "7"})), FORGOTTEN, (get(ORDER), paid(ORDER))
    )
    assert isinstance(outcome, Proved)
    assert outcome.content == {"pos_confirmation": "7", "refunded": False}


def test_secrets_stay_out_of_logs() -> None:
    """Whoever has them can move the purchase."""
    assert str(SESSION) not in repr(PROOF)
    assert repr(SIG) not in repr(PROOF)
