"""What the play wallet checks in a contract before it pays, and the coin that it pays with."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from taler_paywall import contract, crockford
from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.sandbox.wallet.errors import WalletError
from taler_paywall.sandbox.wallet.purchase import CoinRefund, Purchase, RefundState, total, units
from taler_paywall.taler_uri import PayUri
from taler_paywall.timestamp import decode_duration, decode_timestamp

#: Purpose of a coin's signature on what it pays for.
_WALLET_COIN_DEPOSIT: Final = 1201


@dataclass(frozen=True, slots=True)
class Price:
    """What is to be paid.

    Args:
        choice_index: of a contract with choices (merchant API, OrderChoice).
    """

    amount: Amount
    choice_index: int | None


def checked_contract(claimed: Mapping[str, Any], offer: PayUri, nonce: str) -> tuple[dict[str, Any], str]:
    """Read the answer to a claim.

    Returns:
        The contract terms and their hash.

    Raises:
        WalletError: this is not a contract that this merchant has signed for this wallet and order.
    """
    terms = claimed.get("contract_terms")
    if not isinstance(terms, dict):
        raise WalletError("the merchant's answer has no contract")
    if terms.get("merchant_base_url") != offer.merchant_base_url:
        raise WalletError("the contract is of another merchant than the pay URI")
    if terms.get("order_id") != offer.order_id:
        raise WalletError("the contract is of another order than the pay URI")
    if terms.get("nonce") != nonce:
        raise WalletError("the contract is for another wallet")
    if not isinstance(terms.get("summary"), str):
        raise WalletError("the contract does not say what is sold")
    return terms, verified_hash(terms, contract.MERCHANT_CONTRACT, claimed.get("sig"))


def verified_hash(terms: Mapping[str, Any], purpose: int, signature: object) -> str:
    """Return the hash of a contract that its merchant has signed for this purpose.

    Raises:
        WalletError: it has not.
    """
    try:
        h_contract = contract.contract_hash(terms, any_names=True)
        merchant_pub = crockford.decode(_text(terms.get("merchant_pub")), 32)
        genuine = contract.verify_hash(merchant_pub, purpose, h_contract, crockford.decode(_text(signature), 64))
    except CodecError as error:
        raise WalletError(f"the merchant's contract or signature is malformed: {error}") from error
    if not genuine:
        raise WalletError("the merchant's signature is wrong")
    return crockford.encode(h_contract)


def price_of(terms: Mapping[str, Any], choice: int | None) -> Price:
    """Find out what a contract costs.

    Args:
        choice: which of its choices is wanted; without a wish the first that takes money only.

    Raises:
        WalletError: it cannot be paid with play money, or has no such choice.
    """
    version = terms.get("version", 0)
    if version == 0:
        if choice is not None:
            raise WalletError("this contract offers no choices")
        return Price(_amount(terms), None)
    if version != 1:
        raise WalletError("this contract is of a version that the wallet does not know")
    choices = terms.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(one, dict) for one in choices):
        raise WalletError("the contract does not say how it can be paid")
    index = (
        next((number for number, one in enumerate(choices) if not one.get("inputs")), 0) if choice is None else choice
    )
    if not 0 <= index < len(choices):
        raise WalletError(f"the contract has no choice {index}, only 0 to {len(choices) - 1}")
    if choices[index].get("inputs"):
        raise WalletError(f"choice {index} wants tokens, and this wallet has money only")
    return Price(_amount(choices[index]), index)


def _amount(offer: Mapping[str, Any]) -> Amount:
    try:
        amount = Amount.parse(offer.get("amount"))
        fee = amount if offer.get("max_fee") is None else Amount.parse(offer["max_fee"])
    except CodecError as error:
        raise WalletError(f"the contract does not say how it can be paid: {error}") from error
    if fee.currency != amount.currency:
        raise WalletError(f"the contract mixes currencies: {amount.currency} and {fee.currency}")
    return amount


def exchange_url_of(terms: Mapping[str, Any]) -> str:
    """Return whose money a contract takes.

    Raises:
        WalletError: it does not say so.
    """
    try:
        return _text(terms["exchanges"][0]["url"])
    except (CodecError, KeyError, IndexError, TypeError) as error:
        raise WalletError("the contract does not say whose money it takes") from error


def refuse_expired(terms: Mapping[str, Any], now: float) -> None:
    """Refuse an offer whose time is over.

    Raises:
        WalletError: it is.
    """
    try:
        deadline = decode_timestamp(terms.get("pay_deadline"))
    except CodecError as error:
        raise WalletError(f"the contract does not say until when it can be paid: {error}") from error
    if deadline <= now:
        raise WalletError("this offer has expired; go back to the shop for a new one")


def announced_refund(terms: Mapping[str, Any]) -> int | None:
    """Return for how many seconds after payment a refund may come by itself, None if it will not (auto_refund).

    Raises:
        WalletError: it is malformed.
    """
    announced = terms.get("auto_refund")
    try:
        return None if announced is None else decode_duration(announced) // 1_000_000
    except CodecError as error:
        raise WalletError(f"auto_refund of the contract is malformed: {error}") from error


def coins_for(purchase: Purchase, exchange_url: str) -> list[dict[str, Any]]:
    """Make the one coin that pays a purchase, with the same key for every attempt, because answers get lost."""
    if purchase.amount is None or purchase.amount.is_zero:
        return []
    seed = _coin_seed(purchase)
    signature = contract.sign_hash(seed, _WALLET_COIN_DEPOSIT, crockford.decode(purchase.h_contract or "", 64))
    coin = {
        "coin_pub": crockford.encode(contract.public_key(seed)),
        "coin_sig": crockford.encode(signature),
        "h_denom": crockford.encode(hashlib.sha512(b"play denomination").digest()),
        # Nobody could have signed the coin: there is no exchange.
        "ub_sig": {"cipher": "RSA", "rsa_signature": crockford.encode(secrets.token_bytes(256))},
        "contribution": str(purchase.amount),
        "exchange_url": exchange_url,
    }
    return [coin]


def _coin_seed(purchase: Purchase) -> bytes:
    # The hash is in it because a nonce that came with a pay URI may serve several orders.
    return hashlib.sha256(b"play coin" + purchase.nonce_seed + (purchase.h_contract or "").encode()).digest()


def checked_refunds(answer: Mapping[str, Any], purchase: Purchase, paid: Amount) -> list[CoinRefund]:
    """Read the refunds that a merchant hands out.

    Signatures of exchanges are not verified: there is none.

    Raises:
        WalletError: they are malformed, of another purchase, or more than was paid.
    """
    coin_pub = crockford.encode(contract.public_key(_coin_seed(purchase)))
    if answer.get("merchant_pub") != (purchase.contract_terms or {}).get("merchant_pub"):
        raise WalletError("the refund is of another merchant")
    try:
        refunds = [_refund(item, coin_pub) for item in _filled_list(answer.get("refunds"))]
    except CodecError as error:
        raise WalletError(f"the merchant's refund is malformed: {error}") from error
    collected = (refund for refund in purchase.refunds if refund.state == "collected")
    known = {refund.rtransaction_id: refund for refund in (*purchase.refunds, *refunds, *collected)}
    if any(refund.amount.currency != paid.currency for refund in refunds):
        raise WalletError(f"the refund is in another currency than {paid.currency}")
    if total(paid.currency, (refund.amount for refund in known.values())) > units(paid):
        raise WalletError("the refund is more than was paid")
    return refunds


def _refund(item: object, coin_pub: str) -> CoinRefund:
    if not isinstance(item, dict):
        raise CodecError("not an object")
    if item.get("coin_pub") != coin_pub:
        raise CodecError("it is for another wallet's coin")
    number = item.get("rtransaction_id")
    if type(number) is not int or not 0 <= number < 2**53:
        raise CodecError("rtransaction_id is not a whole number from 0")
    kind, status = item.get("type"), item.get("exchange_status")
    if kind not in ("success", "failure") or (status == HTTPStatus.OK) is not (kind == "success"):
        raise CodecError("type and exchange_status do not say whether it succeeded")
    if kind == "success":
        crockford.decode(_text(item.get("exchange_sig")), 64)
        crockford.decode(_text(item.get("exchange_pub")), 32)
    # Other failures of the exchange pass.
    failed: RefundState = "gone" if status == HTTPStatus.GONE else "pending"
    return CoinRefund(number, Amount.parse(item.get("refund_amount")), "collected" if kind == "success" else failed)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise CodecError(f"must be a text, not {type(value).__name__}")
    return value


def _filled_list(value: object) -> list[object]:
    if not isinstance(value, list) or not value:
        raise CodecError("must be a list that is not empty")
    return value
