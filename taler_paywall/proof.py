"""An earlier purchase, proved by the merchant's signature: seed document 003 (design, section 7).

The proof moves the purchase to this browser's session at the backend. It opens nothing: the page that is asked for next
is judged like any other.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import msgspec

from taler_paywall import crockford
from taler_paywall.answers import OrderUnknown, Paid
from taler_paywall.contract import MERCHANT_PAYMENT_OK, verify_hash
from taler_paywall.decision import Unavailable
from taler_paywall.errors import BackendError, BackendNonsense, BackendRejected, CodecError
from taler_paywall.evidence import check_contract, sold_by_us
from taler_paywall.merchant import ORDER_UNKNOWN, get_order, post_paid
from taler_paywall.offer import Storefront
from taler_paywall.operations import ORDER_ID, Forget, Op, RecallKey, SessionId

JSON_INVALID, PARAMETER_MISSING, PARAMETER_MALFORMED = 22, 25, 26
BODY_TOO_LONG, FORBIDDEN = 32, 44
HASH_MISMATCH, INSTANCE_UNKNOWN, SIGNATURE_INVALID = 2200, 2000, 2201
#: The backend's refusals that are answers to the proof; any other is a trouble of the site's.
_PASSED_ON = {
    (400, JSON_INVALID),
    (400, PARAMETER_MISSING),
    (400, PARAMETER_MALFORMED),
    (400, HASH_MISMATCH),
    (403, SIGNATURE_INVALID),
    (404, INSTANCE_UNKNOWN),
    (404, ORDER_UNKNOWN),
    (413, BODY_TOO_LONG),
}
_HINTS = {
    JSON_INVALID: "the body is not a JSON object",
    PARAMETER_MISSING: "the body needs sig, h_contract and session_id",
    PARAMETER_MALFORMED: "sig and h_contract are base32 of 64 bytes, session_id is a text",
    BODY_TOO_LONG: "the body is too long",
    FORBIDDEN: "session_id is not the session of this browser",
    HASH_MISMATCH: "h_contract is not of this order",
    INSTANCE_UNKNOWN: "there is no such merchant instance",
    SIGNATURE_INVALID: "sig is not this merchant's signature over h_contract",
    ORDER_UNKNOWN: "there is no such order, or it was not paid under that contract",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """PaidRequest: what a wallet knows of a payment.

    Args:
        sig: the merchant's signature over the contract hash, 64 bytes.
        h_contract: the contract hash, 64 bytes.
        session_id: that the purchase is to be moved to.
    """

    sig: bytes = field(repr=False)
    h_contract: bytes = field(repr=False)
    session_id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proved:
    """PaidRefundStatusResponse: the purchase is in this browser's session now.

    Args:
        refunded: whether anything was given back.
        pos_confirmation: a text for the staff, if the backend has one.
    """

    refunded: bool
    pos_confirmation: str | None = None

    @property
    def content(self) -> dict[str, bool | str]:
        """The members of PaidRefundStatusResponse."""
        if self.pos_confirmation is None:
            return {"refunded": self.refunded}
        return {"pos_confirmation": self.pos_confirmation, "refunded": self.refunded}


@dataclass(frozen=True, slots=True)
class Disproved:
    """The proof is not acceptable (ErrorDetail).

    Args:
        status: of the HTTP answer: 400, 403, 404 or 413.
        code: of GNU Taler.
    """

    status: int
    code: int

    @property
    def content(self) -> dict[str, int | str]:
        """The members of ErrorDetail."""
        return {"code": self.code, "hint": _HINTS[self.code]}


_ORDER_ID = re.compile(ORDER_ID).match
_UNKNOWN_ORDER = Disproved(404, ORDER_UNKNOWN)

ProofFlow = Generator[Op[Any], Any, Proved | Disproved | Unavailable]


def read_proof(body: bytes | None) -> Proof | Disproved:
    """Read a PaidRequest strictly.

    Args:
        body: JSON; None if it was too long, or cut off.
    """
    if body is None:
        return Disproved(413, BODY_TOO_LONG)
    try:
        members = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        members = None
    if not isinstance(members, dict):
        return Disproved(400, JSON_INVALID)
    try:
        sig, h_contract, session_id = (members[name] for name in ("sig", "h_contract", "session_id"))
    except KeyError:
        return Disproved(400, PARAMETER_MISSING)
    if not isinstance(sig, str) or not isinstance(h_contract, str) or not isinstance(session_id, str):
        return Disproved(400, PARAMETER_MALFORMED)
    try:
        return Proof(crockford.decode(sig, 64), crockford.decode(h_contract, 64), session_id)
    except CodecError:
        return Disproved(400, PARAMETER_MALFORMED)


def proof_flow(storefront: Storefront, order_id: str, proof: Proof, sessions: AbstractSet[SessionId]) -> ProofFlow:
    """Check a proof here, have the backend check it, and look whether what it proves was sold by this site.

    Args:
        storefront: of the site.
        order_id: that is said to be paid.
        proof: what the client knows.
        sessions: of this browser; to another one nobody moves a purchase.
    """
    try:
        return (yield from _prove(storefront, order_id, proof, sessions))
    except BackendRejected as exc:
        if (exc.http_status, exc.code) in _PASSED_ON:
            return Disproved(exc.http_status, exc.code)
        return Unavailable(exc.reason, str(exc))
    except BackendError as exc:
        return Unavailable(exc.reason, str(exc))


def _prove(storefront: Storefront, order_id: str, proof: Proof, sessions: AbstractSet[SessionId]) -> ProofFlow:
    if not _ORDER_ID(order_id):
        return _UNKNOWN_ORDER
    session_id = next((session for session in sessions if session == proof.session_id), None)
    if session_id is None:
        return Disproved(403, FORBIDDEN)
    if _is_forged(proof, storefront.merchant_pub or (yield from RecallKey())):
        return Disproved(403, SIGNATURE_INVALID)
    sig, h_contract = crockford.encode(proof.sig), crockford.encode(proof.h_contract)
    accepted = yield from post_paid(order_id, sig, h_contract, session_id)
    # The session that had it before has lost it.
    yield from Forget(order_id)
    status = yield from get_order(order_id, session_id)
    if isinstance(status, OrderUnknown):
        return _UNKNOWN_ORDER
    if not isinstance(status, Paid):
        raise BackendNonsense("the backend accepts the proof, but the order is not paid in its session")
    if not _is_sold_here(storefront, order_id, status):
        return _UNKNOWN_ORDER
    refunded = accepted.refunded or status.refunded or status.refund_pending
    return Proved(refunded, accepted.pos_confirmation)


def _is_forged(proof: Proof, merchant_pub: str | None) -> bool:
    """Tell whether the signature is wrong for sure; without a key, or with what is none, only the backend can tell."""
    try:
        key = crockford.decode(merchant_pub or "", 32)
    except CodecError:
        return False
    return not verify_hash(key, MERCHANT_PAYMENT_OK, proof.h_contract, proof.sig)


def _is_sold_here(storefront: Storefront, order_id: str, status: Paid) -> bool:
    """Tell whether this site sold something with a paid order; those of others at the same backend are none of ours."""
    try:
        check_contract(storefront, order_id, status)
    except BackendNonsense:
        return False
    return sold_by_us(status) is not None
