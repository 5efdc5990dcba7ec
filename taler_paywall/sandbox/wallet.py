"""The play wallet: pays with coins it makes itself, and never twice for the same thing (merchant API, wallet side)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal

import httpx

from taler_paywall import contract, crockford
from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError, TalerPaywallError
from taler_paywall.sandbox.purse import Purchase, Purse
from taler_paywall.taler_uri import PayUri, RefundUri

#: Purpose of a coin's signature on what it pays for.
_WALLET_COIN_DEPOSIT: Final = 1201


class WalletError(TalerPaywallError):
    """The wallet could not do what it was asked to; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the wallet did.

    Args:
        how: "already paid" means that there was nothing to do.
        contract_terms: what was bought, None if the wallet did not need to know.
    """

    how: Literal["claimed", "paid", "proved", "already paid", "collected"]
    fulfillment_url: str | None
    contract_terms: Mapping[str, Any] | None = None


def http_client() -> httpx.AsyncClient:
    """Make a client that goes straight to the merchant: no proxy, no password file of the environment."""
    return httpx.AsyncClient(trust_env=False, timeout=30, follow_redirects=False)


class Wallet:
    """A wallet full of play money.

    Args:
        purse: what it remembers.
        client: how it reaches merchants; not closed here.
    """

    def __init__(self, purse: Purse, client: httpx.AsyncClient) -> None:
        self._purse = purse
        self._client = client

    async def claim(self, url: str) -> Outcome:
        """Claim an order without paying it.

        Args:
            url: a taler://pay URI or an order status URL.

        Raises:
            WalletError: it cannot be claimed.
        """
        offer = await self._offer(url)
        if isinstance(offer, Outcome):
            return offer
        purchase = await self._claim(offer)
        return _outcome("claimed", purchase)

    async def pay(self, url: str) -> Outcome:
        """Pay an order, or prove that what it sells was bought before.

        Args:
            url: a taler://pay URI or an order status URL.

        Raises:
            WalletError: neither is possible.
        """
        offer = await self._offer(url)
        if isinstance(offer, Outcome):
            return offer
        known = self._purse.find(offer.merchant_base_url, offer.order_id)
        if known and known.signature and await self._prove(known, offer.session_id):
            return _outcome("proved", known)
        purchase = await self._claim(offer)
        for earlier in self._bought_before(purchase):
            if await self._prove(earlier, offer.session_id):
                return _outcome("proved", earlier)
        await self._pay(purchase, offer.session_id)
        return _outcome("paid", purchase)

    async def collect(self, url: str) -> Outcome:
        """Collect the refunds of an order that this wallet has paid.

        Args:
            url: a taler://refund URI.

        Raises:
            WalletError: there is nothing to collect.
        """
        try:
            uri = RefundUri.parse(url)
        except CodecError as error:
            raise WalletError(f"this is not a refund URI: {error}") from error
        purchase = self._purse.find(uri.merchant_base_url, uri.order_id)
        if purchase is None or purchase.signature is None:
            raise WalletError("this wallet did not pay this order, so the refund is not its own")
        answer = await self._post(purchase, "refund", {"h_contract": purchase.h_contract})
        if answer.status_code == HTTPStatus.NO_CONTENT:
            raise WalletError("no refund was granted for this order")
        _require(answer, "the refund was refused")
        return _outcome("collected", purchase)

    async def _offer(self, url: str) -> PayUri | Outcome:
        """Find the pay URI that an order status URL stands for; an order that is paid needs none."""
        if not url.lower().startswith(("http://", "https://")):
            return _pay_uri(url)
        answer = await self._request("GET", url)
        if answer.status_code not in (HTTPStatus.OK, HTTPStatus.PAYMENT_REQUIRED):
            _require(answer, "this is not the status URL of an order that can be paid")
        status = _members(answer)
        if answer.status_code == HTTPStatus.OK and "refunded" not in status:
            raise WalletError("this is not the status URL of an order")
        if answer.status_code == HTTPStatus.OK or "already_paid_order_id" in status:
            return Outcome("already paid", _web_url(status.get("fulfillment_url")))
        return _pay_uri(status.get("taler_pay_uri"))

    async def _claim(self, offer: PayUri) -> Purchase:
        """Claim an order; a claim that was interrupted is taken up again with the same nonce."""
        purchase = self._purse.begin(offer.merchant_base_url, offer.order_id, _nonce_seed(offer))
        nonce = crockford.encode(contract.public_key(purchase.nonce_seed))
        body = {"nonce": nonce} if offer.claim_token is None else {"nonce": nonce, "token": offer.claim_token}
        answer = await self._post(purchase, "claim", body)
        if answer.status_code == HTTPStatus.CONFLICT:
            raise WalletError("another wallet has claimed this order; go back to the shop for a new one")
        _require(answer, "the order cannot be claimed")
        claimed = _members(answer)
        terms = claimed.get("contract_terms")
        if not isinstance(terms, dict):
            raise WalletError("the merchant's answer has no contract")
        if terms.get("merchant_base_url") != offer.merchant_base_url:
            raise WalletError("the contract is of another merchant than the pay URI")
        if terms.get("nonce") != nonce:
            raise WalletError("the contract is for another wallet")
        h_contract = _verified_hash(terms, contract.MERCHANT_CONTRACT, claimed.get("sig"))
        self._purse.note_contract(purchase, terms, h_contract)
        return self._purse.begin(offer.merchant_base_url, offer.order_id)

    def _bought_before(self, purchase: Purchase) -> list[Purchase]:
        """Return earlier purchases of the same thing: the fulfillment URL alone tells what that is."""
        url = _web_url((purchase.contract_terms or {}).get("fulfillment_url"))
        return [earlier for earlier in self._purse.bought(url) if earlier != purchase] if url else []

    async def _prove(self, purchase: Purchase, session_id: str) -> bool:
        """Show the receipt of a purchase in another session; one that is refused for good is forgotten."""
        body = {"sig": purchase.signature, "h_contract": purchase.h_contract, "session_id": session_id}
        answer = await self._post(purchase, "paid", body)
        if answer.status_code in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            self._purse.forget_payment(purchase)
            return False
        # 204 is what backends of 2022 answer.
        if answer.status_code != HTTPStatus.NO_CONTENT:
            _require(answer, "the proof of payment was refused")
        return True

    async def _pay(self, purchase: Purchase, session_id: str) -> None:
        terms = purchase.contract_terms or {}
        body = {"coins": _coins(purchase, terms), "session_id": session_id}
        answer = await self._post(purchase, "pay", body)
        _require(answer, "the payment was refused")
        signature = _members(answer).get("sig")
        _verified_hash(terms, contract.MERCHANT_PAYMENT_OK, signature)
        self._purse.note_payment(purchase, str(signature), session_id)

    async def _post(self, purchase: Purchase, action: str, body: Mapping[str, Any]) -> httpx.Response:
        url = f"{purchase.merchant_base_url}orders/{purchase.order_id}/{action}"
        return await self._request("POST", url, body)

    async def _request(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        try:
            return await self._client.request(method, url, json=body, headers={"Accept": "application/json"})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WalletError(f"the merchant cannot be reached: {error or type(error).__name__}") from error


def _coins(purchase: Purchase, terms: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make the one coin that pays a contract, with the same key for every attempt, because answers get lost."""
    try:
        amount = Amount.parse(terms.get("amount"))
        exchange_url = str(terms["exchanges"][0]["url"])
    except (CodecError, KeyError, IndexError, TypeError) as error:
        raise WalletError("the contract does not say how it can be paid") from error
    if amount.is_zero:
        return []
    seed = hashlib.sha256(b"play coin" + purchase.nonce_seed).digest()
    signature = contract.sign_hash(seed, _WALLET_COIN_DEPOSIT, crockford.decode(purchase.h_contract or "", 64))
    coin = {
        "coin_pub": crockford.encode(contract.public_key(seed)),
        "coin_sig": crockford.encode(signature),
        "h_denom": crockford.encode(hashlib.sha512(b"play denomination").digest()),
        # Nobody could have signed the coin: there is no exchange.
        "ub_sig": {"cipher": "RSA", "rsa_signature": crockford.encode(secrets.token_bytes(256))},
        "contribution": str(amount),
        "exchange_url": exchange_url,
    }
    return [coin]


def _verified_hash(terms: Mapping[str, Any], purpose: int, signature: object) -> str:
    """Return the hash of a contract that its merchant has signed."""
    try:
        h_contract = contract.contract_hash(terms)
        merchant_pub = crockford.decode(_text(terms.get("merchant_pub")), 32)
        genuine = contract.verify_hash(merchant_pub, purpose, h_contract, crockford.decode(_text(signature), 64))
    except CodecError as error:
        raise WalletError(f"the merchant's contract or signature is malformed: {error}") from error
    if not genuine:
        raise WalletError("the merchant's signature is wrong")
    return crockford.encode(h_contract)


def _require(answer: httpx.Response, complaint: str) -> None:
    if answer.status_code != HTTPStatus.OK:
        try:
            error = _members(answer)
        except WalletError:
            error = {}
        reason = error.get("detail") or error.get("hint") or "no reason given"
        raise WalletError(f"{complaint}: {answer.status_code}, {reason}")


def _members(answer: httpx.Response) -> dict[str, Any]:
    try:
        members = answer.json()
    except (ValueError, RecursionError) as error:
        raise WalletError("the merchant's answer is not JSON") from error
    if not isinstance(members, dict):
        raise WalletError("the merchant's answer is not a JSON object")
    return members


def _pay_uri(value: object) -> PayUri:
    try:
        return PayUri.parse(value)
    except CodecError as error:
        raise WalletError(f"this is not a pay URI: {error}") from error


def _nonce_seed(offer: PayUri) -> bytes | None:
    try:
        return None if offer.nonce_priv is None else crockford.decode(offer.nonce_priv, 32)
    except CodecError as error:
        raise WalletError(f"the nonce in the pay URI is malformed: {error}") from error


def _outcome(how: Literal["claimed", "paid", "proved", "collected"], purchase: Purchase) -> Outcome:
    terms = purchase.contract_terms or {}
    return Outcome(how, _web_url(terms.get("fulfillment_url")), terms)


def _web_url(value: object) -> str | None:
    return value if isinstance(value, str) and value.startswith(("http://", "https://")) else None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise CodecError(f"must be a text, not {type(value).__name__}")
    return value
