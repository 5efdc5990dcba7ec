"""What the merchant backend tells unasked: that an order was paid or refunded (merchant API, webhooks)."""

from __future__ import annotations

import hmac
from typing import Annotated, Literal

import msgspec

from taler_paywall.decision import Refused
from taler_paywall.http import Request
from taler_paywall.operations import ORDER_ID


class Notice(msgspec.Struct, frozen=True):
    """An order of which something new is to be learnt; what it is, only the backend's own answer tells.

    Args:
        order_id: of any order of the instance.
        event: what has happened.
    """

    order_id: Annotated[str, msgspec.Meta(pattern=ORDER_ID)]
    event: Literal["pay", "refund"]


_decode = msgspec.json.Decoder(Notice).decode


def read_notice(request: Request, body: bytes | None, secrets: tuple[str, ...]) -> Notice | Refused:
    """Read a call of the backend.

    Args:
        request: a POST.
        body: JSON; None if it was too long, or cut off.
        secrets: any of them, as a bearer token, shows that it is the backend's.
    """
    given = request.header(b"authorization")
    # All are compared, whichever is right: the time it takes tells nothing.
    right = [hmac.compare_digest(given, b"Bearer " + secret.encode()) for secret in secrets]
    if True not in right:
        return Refused(403, "foreign-webhook")
    if body is None:
        return Refused(413, "body-too-long")
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Refused(400, "malformed-webhook")
