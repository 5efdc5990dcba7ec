"""What people and pages give a wallet: URIs of orders, and web addresses."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from taler_paywall import crockford
from taler_paywall.errors import CodecError
from taler_paywall.sandbox.wallet.errors import WalletError
from taler_paywall.taler_uri import PayUri, RefundUri, classify


def web_url(value: object) -> str | None:
    """Return an address of the web, None for anything else."""
    return value if isinstance(value, str) and value.lower().startswith(("http://", "https://")) else None


def pay_uri(text: str) -> PayUri:
    """Read what somebody wants to pay and is no address of the web.

    Raises:
        WalletError: it is no pay URI either.
    """
    try:
        return PayUri.parse(text)
    except CodecError as error:
        if classify(text) == "unknown":
            raise WalletError("this is neither a taler://pay/ URI nor a web address") from error
        raise WalletError(f"this is not a pay URI: {error}") from error


def refund_uri(text: str) -> RefundUri:
    """Read whose refund somebody wants: a refund URI, or an order status URL, which says the same in another form.

    Raises:
        WalletError: it is neither.
    """
    try:
        if web_url(text) is None:
            return RefundUri.parse(text)
        # What people copy may have got a slash or a fragment.
        path = text.partition("#")[0].partition("?")[0].rstrip("/")
        base_url, _, order_id = path.rpartition("orders/")
        return RefundUri(base_url, order_id)
    except CodecError as error:
        detail = "" if classify(text) == "unknown" or web_url(text) else f": {error}"
        raise WalletError(f"this is neither a taler://refund/ URI nor an order status URL{detail}") from error


def session_of(status_url: str) -> str:
    """Return the session that an order status URL asks for, empty if none."""
    return parse_qs(urlsplit(status_url).query).get("session_id", [""])[0]


def nonce_seed(offer: PayUri) -> bytes | None:
    """Return the private key of an earlier claim that a pay URI hands on.

    Raises:
        WalletError: it is malformed.
    """
    try:
        return None if offer.nonce_priv is None else crockford.decode(offer.nonce_priv, 32)
    except CodecError as error:
        raise WalletError(f"the nonce in the pay URI is malformed: {error}") from error
