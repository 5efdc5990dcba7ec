"""The play wallet before merchants that lie, err or make no sense."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from taler_paywall.sandbox.wallet.wallet import WalletError

from .shop import Shop, pay_uri
from .wallets import Forger, Liar, PurseFile, Troubled, amounts, failing


def test_what_cannot_be_paid_is_refused_with_a_reason(shop: Shop, purse: PurseFile) -> None:
    """Everything that goes wrong is a WalletError."""
    made = shop.order()
    reorder = shop.order(public_reorder_url="http://shop.example/")
    for url in (
        "nonsense",
        "taler://refund/x/y/",
        "http://127.0.0.1:1/",
        "http://[/",
        "http://127.0.0.1:1\x00/",
        f"{shop.url}config",
        f"{shop.url}orders/none",
        f"{shop.url}orders/{reorder['order_id']}",
        f"{shop.url}sandbox/static/style.css",
        pay_uri(shop, {**made, "token": "0" * 26}),
        f"{pay_uri(shop, made)}&n=x",
    ):
        with pytest.raises(WalletError):
            purse.pay(url)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda claimed: claimed["contract_terms"].update(amount="KUDOS:0.01"), "signature is wrong"),
        (lambda claimed: claimed["contract_terms"].update(merchant_base_url="http://x/"), "another merchant"),
        (lambda claimed: claimed["contract_terms"].update(order_id="another"), "another order"),
        (lambda claimed: claimed["contract_terms"].update(nonce="0" * 52), "another wallet"),
        (lambda claimed: claimed["contract_terms"].update(extra={"x": 0.5}), "malformed"),
        (lambda claimed: claimed["contract_terms"].update(merchant_pub=5), "malformed"),
        (lambda claimed: claimed.update(sig="0" * 103), "signature is wrong"),
        (lambda claimed: claimed.pop("sig"), "malformed"),
        (lambda claimed: claimed.pop("contract_terms"), "no contract"),
    ],
)
def test_spoiled_contracts_are_refused(
    shop: Shop, purse: PurseFile, spoil: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    """The wallet believes nothing that the merchant has not signed for it."""
    with pytest.raises(WalletError, match=complaint):
        purse.through(Liar("claim", spoil)).pay(pay_uri(shop, shop.order()))
    assert purse.purchases == []


def test_a_spoiled_receipt_is_refused(shop: Shop, purse: PurseFile) -> None:
    """A payment counts only with the merchant's genuine signature."""
    with pytest.raises(WalletError, match="signature is wrong"):
        purse.through(Liar("pay", lambda answer: answer.update(sig="0" * 103))).pay(pay_uri(shop, shop.order()))
    assert [one.status for one in purse.purchases] == ["unconfirmed"]


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"<html>", b"\xff", b"[" * 100_000, b'{"contract_terms": {'])
def test_answers_that_are_not_json_objects(shop: Shop, purse: PurseFile, body: bytes) -> None:
    """Whatever comes, the wallet ends with a WalletError."""
    for action in ("claim", "pay"):
        passage = Troubled(action, 1, lambda: httpx.Response(200, content=body))
        with pytest.raises(WalletError, match=r"is not (a )?JSON"):
            purse.through(passage).pay(pay_uri(shop, shop.order()))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"amount": "5"}, "how it can be paid"),
        ({"summary": []}, "what is sold"),
        ({"summary": None}, "what is sold"),
        ({"auto_refund": "soon"}, "auto_refund of the contract is malformed"),
        ({"amount": None}, "how it can be paid"),
        ({"amount": "KUDOS:4503599627370497"}, "how it can be paid"),
        ({"max_fee": "EUR:1"}, "mixes currencies: KUDOS and EUR"),
        ({"exchanges": []}, "whose money"),
        ({"exchanges": {"0": 1}}, "whose money"),
        ({"pay_deadline": {"t_s": "soon"}}, "until when"),
        ({"pay_deadline": None}, "until when"),
        ({"pay_deadline": {"t_ms": 1000}}, "expired"),
        ({"version": 2}, "of a version"),
        ({"version": []}, "of a version"),
        ({"version": 1, "choices": []}, "how it can be paid"),
        ({"version": 1, "choices": [5]}, "how it can be paid"),
        ({"version": 1, "choices": [{"amount": "KUDOS:1", "inputs": [{"type": "token"}]}]}, "wants tokens"),
    ],
)
def test_contracts_that_cannot_be_paid(shop: Shop, purse: PurseFile, changes: dict[str, Any], complaint: str) -> None:
    """A genuine signature does not make sense of a contract that has none."""
    passage = Forger(changes)
    with pytest.raises(WalletError, match=complaint):
        purse.through(passage).pay(pay_uri(shop, shop.order()))
    assert (passage.count("pay"), purse.balances) == (0, [])


def test_odd_members_of_contracts_do_no_harm(shop: Shop, purse: PurseFile) -> None:
    """What the wallet does not need to understand may be anything."""
    with pytest.raises(WalletError, match="signature is wrong"):
        purse.through(Forger({"fulfillment_url": {"a": 1}, "merchant": 5})).pay(pay_uri(shop, shop.order()))


def test_another_contract_for_an_order_that_is_paid(shop: Shop, purse: PurseFile) -> None:
    """A merchant that changes a contract which coins were sent for changes nothing in the books."""
    paid, unconfirmed = pay_uri(shop, shop.order()), pay_uri(shop, shop.order())
    purse.pay(paid)
    with pytest.raises(WalletError):
        purse.through(Troubled("pay", 3, failing(503), after=True)).pay(unconfirmed)
    books = purse.purchases, purse.balances
    for uri in (paid, unconfirmed):
        with pytest.raises(WalletError, match=r"has another contract now for order .* which this wallet has paid for"):
            purse.through(Forger({"amount": "KUDOS:1"})).claim(uri)
    assert (purse.purchases, purse.balances) == books
    assert [purse.pay(uri).how for uri in (paid, unconfirmed)] == ["proved", "paid"]
    assert amounts(purse.balances[0])[1] == "KUDOS:10"


@pytest.mark.parametrize(
    ("headers", "body", "complaint"),
    [
        ({}, b" " * (4 * 2**20 + 1), "longer than 4194304 bytes"),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"{}"), "compressed"),
    ],
)
def test_answers_without_an_end(purse: PurseFile, headers: dict[str, str], body: bytes, complaint: str) -> None:
    """The wallet reads 4 MiB of an answer and no more, and nothing that could be longer than it looks."""

    class Flood(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            # The wallet goes before the end.
            with suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Flood) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(WalletError, match=complaint):
            purse.pay(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
        thread.join(timeout=10)
