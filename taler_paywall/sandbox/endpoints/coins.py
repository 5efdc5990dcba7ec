"""The coins of a payment, in the wire format that wallets send (merchant API, CoinPaySig)."""

from __future__ import annotations

from typing import Any

from taler_paywall import crockford
from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import binary, items_of, members_of, needed, optional, text, web_url


def read_coins(items: list[dict[str, Any]], currency: str) -> dict[str, Amount]:
    """Return what each coin contributes, by its public key.

    There is no exchange: the form of the signatures is checked, not whether they are genuine.

    Raises:
        ApiError: a member is missing (25), malformed (26) or in another currency (30).
    """
    coins: dict[str, Amount] = {}
    worth = Amount.zero(currency)
    for item in items:
        coin_pub, contribution = _coin(item, currency)
        if coin_pub in coins:
            raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "coins: a coin is given twice", parameter="coins")
        coins[coin_pub] = contribution
        worth, is_cut = worth.add(contribution)
        if is_cut:
            raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "coins: so much money does not exist", parameter="coins")
    return coins


def _coin(item: dict[str, Any], currency: str) -> tuple[str, Amount]:
    needed(item, "coin_sig", binary(64))
    needed(item, "h_denom", binary(64))
    needed(item, "ub_sig", _ub_sig)
    needed(item, "exchange_url", web_url)
    optional(item, "minimum_age_sig", binary(64))
    optional(item, "age_commitment", _age_commitment)
    optional(item, "h_age_commitment", binary(32))
    contribution = needed(item, "contribution", Amount.parse)
    if contribution.currency != currency:
        raise ApiError(Code.GENERIC_CURRENCY_MISMATCH, f"contribution: the currency here is {currency}")
    return needed(item, "coin_pub", binary(32)), contribution


def _ub_sig(value: object) -> dict[str, Any]:
    signature = members_of(value)
    match signature.get("cipher"):
        case "RSA":
            if not crockford.decode(text(signature.get("rsa_signature"))):
                raise CodecError("rsa_signature is empty")
        case "CS":
            for name in ("cs_signature_r", "cs_signature_s"):
                crockford.decode(text(signature.get(name)), 32)
        case _:
            raise CodecError("cipher must be RSA or CS")
    return signature


def _age_commitment(value: object) -> list[str]:
    return [binary(32)(key) for key in items_of(value)]
