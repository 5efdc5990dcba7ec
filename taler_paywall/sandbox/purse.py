"""What a wallet remembers: the orders it claimed, and the receipts for those it paid."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from taler_paywall.errors import TalerPaywallError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS purchases (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    merchant_base_url TEXT NOT NULL,
    order_id TEXT NOT NULL,
    nonce_seed BLOB NOT NULL,
    contract_terms TEXT,
    fulfillment_url TEXT,
    h_contract TEXT,
    signature TEXT,
    session_id TEXT,
    UNIQUE (owner, merchant_base_url, order_id)
) STRICT
"""


class PurseError(TalerPaywallError):
    """The wallet's file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order that the wallet has begun to buy.

    Args:
        nonce_seed: private key of the claim.
        contract_terms: what was claimed, None before.
        signature: the merchant's receipt over the contract hash, None as long as the wallet knows of no payment.
        session_id: under which it was paid.
    """

    merchant_base_url: str
    order_id: str
    nonce_seed: bytes = field(repr=False)
    contract_terms: dict[str, Any] | None
    h_contract: str | None
    signature: str | None
    session_id: str | None


class Purse:
    """The purchases of one wallet; every method is atomic, so that several processes can share a file.

    Args:
        connection: in autocommit mode.
        owner: whose purchases; many wallets can live in one database.
    """

    def __init__(self, connection: sqlite3.Connection, owner: str) -> None:
        self._connection = connection
        self._owner = owner
        connection.row_factory = sqlite3.Row
        connection.execute(_SCHEMA)

    def find(self, merchant_base_url: str, order_id: str) -> Purchase | None:
        """Return what is known of an order."""
        known = self._select("merchant_base_url = ? AND order_id = ?", merchant_base_url, order_id)
        return known[0] if known else None

    def bought(self, fulfillment_url: str) -> list[Purchase]:
        """Return the paid purchases with this fulfillment URL, newest first."""
        return self._select("fulfillment_url = ? AND signature IS NOT NULL", fulfillment_url)

    def begin(self, merchant_base_url: str, order_id: str, nonce_seed: bytes | None = None) -> Purchase:
        """Return the purchase of an order, begun with this or a fresh nonce if it is new."""
        self._execute(
            "INSERT OR IGNORE INTO purchases (owner, merchant_base_url, order_id, nonce_seed) VALUES (?, ?, ?, ?)",
            *(self._owner, merchant_base_url, order_id, nonce_seed or secrets.token_bytes(32)),
        )
        return self._select("merchant_base_url = ? AND order_id = ?", merchant_base_url, order_id)[0]

    def note_contract(self, purchase: Purchase, contract_terms: dict[str, Any], h_contract: str) -> None:
        """Remember what an order turned out to be when it was claimed."""
        self._update(
            purchase,
            "contract_terms = ?, fulfillment_url = ?, h_contract = ?",
            *(json.dumps(contract_terms), contract_terms.get("fulfillment_url"), h_contract),
        )

    def note_payment(self, purchase: Purchase, signature: str, session_id: str) -> None:
        """Remember the merchant's receipt."""
        self._update(purchase, "signature = ?, session_id = ?", signature, session_id)

    def forget_payment(self, purchase: Purchase) -> None:
        """Forget a receipt that the merchant does not accept any more."""
        self._update(purchase, "signature = NULL, session_id = NULL")

    def _select(self, condition: str, *values: Any) -> list[Purchase]:
        sql = f"SELECT * FROM purchases WHERE owner = ? AND {condition} ORDER BY serial DESC"  # noqa: S608 - constants
        return [_purchase(row) for row in self._connection.execute(sql, (self._owner, *values))]

    def _update(self, purchase: Purchase, change: str, *values: Any) -> None:
        self._execute(
            f"UPDATE purchases SET {change} WHERE owner = ? AND merchant_base_url = ? AND order_id = ?",  # noqa: S608
            *(*values, self._owner, purchase.merchant_base_url, purchase.order_id),
        )

    def _execute(self, sql: str, *values: Any) -> None:
        self._connection.execute(sql, values)


def open_purse(path: Path) -> tuple[Purse, sqlite3.Connection]:
    """Open the purse in a file, which is made if need be and is for this user only.

    Returns:
        The purse, and the connection to close after use.

    Raises:
        PurseError: the file cannot be used.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        return Purse(connection, "owner of the file"), connection
    except (OSError, sqlite3.Error) as error:
        raise PurseError(f"the wallet's file {path} cannot be used: {error}") from error


def _purchase(row: sqlite3.Row) -> Purchase:
    terms = row["contract_terms"]
    names = ("merchant_base_url", "order_id", "nonce_seed", "h_contract", "signature", "session_id")
    return Purchase(**{name: row[name] for name in names}, contract_terms=None if terms is None else json.loads(terms))
