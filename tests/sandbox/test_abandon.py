"""A wallet gives an order up: unclaim and abort (merchant API, sections 5.6 and 5.10)."""

from __future__ import annotations

import secrets
from typing import Any

import httpx
import pytest

from taler_paywall import contract, crockford
from taler_paywall.sandbox.endpoints.abandon import WALLET_ORDER_UNCLAIM

from .shop import FORGED_HASH, Shop, coin, fresh_nonce
from .traffic import answered, empty, refused


def unclaim(shop: Shop, order_id: str, seed: bytes, h_contract: str) -> httpx.Response:
    signature = contract.sign_hash(seed, WALLET_ORDER_UNCLAIM, crockford.decode(h_contract))
    body = {"unclaim_sig": crockford.encode(signature), "h_contract": h_contract}
    return shop.post(order_id, "unclaim", body)


def claimed_with(shop: Shop, seed: bytes) -> dict[str, Any]:
    made = shop.order()
    return {**made, **shop.claim(made, crockford.encode(contract.public_key(seed)))}


def test_unclaimed_order_can_be_claimed_by_another_wallet(shop: Shop) -> None:
    """The key of the claim takes it back; then the order is as new."""
    seed = secrets.token_bytes(32)
    claimed = claimed_with(shop, seed)
    order_id = claimed["order_id"]
    empty(unclaim(shop, order_id, seed, claimed["h_contract"]), 204)
    assert shop.status(order_id)["order_status"] == "unpaid"
    other = {"nonce": fresh_nonce(), "token": claimed["token"]}
    answered(shop.post(order_id, "claim", other), 200, contract_terms=dict, sig=str)


def test_only_the_key_of_the_claim_takes_it_back(shop: Shop) -> None:
    """Another key, another hash and an order that nobody has claimed are refused, and a paid one stays paid."""
    seed = secrets.token_bytes(32)
    claimed = claimed_with(shop, seed)
    order_id = claimed["order_id"]
    refused(unclaim(shop, order_id, secrets.token_bytes(32), claimed["h_contract"]), 403, 2009)
    refused(unclaim(shop, order_id, seed, FORGED_HASH), 403, 2009)
    refused(unclaim(shop, shop.order()["order_id"], seed, claimed["h_contract"]), 404, 2005)
    refused(unclaim(shop, "nothing", seed, claimed["h_contract"]), 404, 2005)
    refused(shop.post(order_id, "unclaim", {"h_contract": claimed["h_contract"]}), 400, 25)
    refused(shop.post(order_id, "unclaim", {"unclaim_sig": "x", "h_contract": claimed["h_contract"]}), 400, 26)
    assert shop.post(order_id, "pay", {"coins": [coin()]}).status_code == 200
    refused(unclaim(shop, order_id, seed, claimed["h_contract"]), 409, 2160)


def abort(shop: Shop, order_id: str, h_contract: str, *coins: dict[str, Any]) -> httpx.Response:
    names = ("coin_pub", "contribution", "exchange_url")
    given = [{name: one[name] for name in names} for one in coins]
    return shop.post(order_id, "abort", {"h_contract": h_contract, "coins": given})


def test_abort_says_that_no_coin_was_taken(shop: Shop) -> None:
    """One entry for each coin, in the order of the request."""
    made = shop.order()
    h_contract = shop.claim(made)["h_contract"]
    body = answered(abort(shop, made["order_id"], h_contract, coin(), coin()), 200, refunds=list)
    assert body["refunds"] == [{"type": "failure", "exchange_status": 404}] * 2


@pytest.mark.parametrize("without", ["contribution", "exchange_url"])
def test_abort_needs_no_more_than_the_coin(shop: Shop, without: str) -> None:
    """Newer wallets leave out what the backend knows."""
    made = shop.order()
    h_contract = shop.claim(made)["h_contract"]
    given = {name: value for name, value in coin().items() if name != without}
    body = {"h_contract": h_contract, "coins": [given]}
    answered(shop.post(made["order_id"], "abort", body), 200, refunds=list)


def test_abort_refusals(shop: Shop) -> None:
    """Each reason has its code."""
    bought = shop.bought()
    made = shop.order()
    refused(abort(shop, made["order_id"], FORGED_HASH, coin()), 404, 2253)
    refused(abort(shop, "nothing", FORGED_HASH, coin()), 404, 2253)
    h_contract = shop.claim(made)["h_contract"]
    refused(abort(shop, made["order_id"], FORGED_HASH, coin()), 403, 2255)
    refused(abort(shop, made["order_id"], h_contract), 400, 2256)
    refused(abort(shop, bought["order_id"], bought["h_contract"], coin()), 412, 2254)
    refused(shop.post(made["order_id"], "abort", {"h_contract": h_contract, "coins": [{"coin_pub": "x"}]}), 400, 26)
