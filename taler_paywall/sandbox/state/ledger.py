"""Money: which coins were spent on which order, and what was given back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from taler_paywall.amount import Amount
from taler_paywall.sandbox.state.database import Table
from taler_paywall.sandbox.state.store import Order

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS coins (
    coin_pub TEXT PRIMARY KEY,
    order_serial INTEGER NOT NULL REFERENCES orders (serial),
    contribution TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS coins_of_order ON coins (order_serial);
CREATE TABLE IF NOT EXISTS refunds (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    order_serial INTEGER NOT NULL REFERENCES orders (serial),
    coin_pub TEXT NOT NULL,
    amount TEXT NOT NULL,
    reason TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    collected INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS refunds_of_order ON refunds (order_serial);
"""


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund granted on one coin; its serial is the rtransaction_id (merchant API, MerchantCoinRefundStatus)."""

    serial: int
    coin_pub: str
    amount: Amount
    reason: str
    granted_at: int
    collected: bool


class Ledger(Table):
    """The coins and refunds of one sandbox; every method is atomic."""

    schema = _SCHEMA

    def spend(self, order: Order, coins: Mapping[str, Amount]) -> None:
        """Spend coins on an order."""
        for coin_pub, contribution in coins.items():
            self._database.execute("INSERT INTO coins VALUES (?, ?, ?)", coin_pub, order.serial, str(contribution))

    def coins_of(self, order: Order) -> dict[str, Amount]:
        """Return the coins spent on an order, in the order in which they were given."""
        rows = self._database.rows("SELECT * FROM coins WHERE order_serial = ? ORDER BY rowid", order.serial)
        return {row["coin_pub"]: Amount.parse(row["contribution"]) for row in rows}

    def is_spent(self, coin_pub: str) -> bool:
        """Tell whether a coin was spent on any order."""
        return self._database.row("SELECT 1 FROM coins WHERE coin_pub = ?", coin_pub) is not None

    def refunds_of(self, order: Order) -> list[Refund]:
        """Return the refunds granted on an order, oldest first."""
        rows = self._database.rows("SELECT * FROM refunds WHERE order_serial = ? ORDER BY serial", order.serial)
        return [_refund(row) for row in rows]

    def grant_refund(self, order: Order, coin_pub: str, amount: Amount, reason: str, granted_at: int) -> None:
        """Grant a refund on one coin of an order."""
        self._database.execute(
            "INSERT INTO refunds (order_serial, coin_pub, amount, reason, granted_at) VALUES (?, ?, ?, ?, ?)",
            *(order.serial, coin_pub, str(amount), reason, granted_at),
        )

    def collect_refunds(self, order: Order) -> None:
        """Note that the wallet has fetched all refunds granted so far."""
        self._database.execute("UPDATE refunds SET collected = 1 WHERE order_serial = ?", order.serial)


def _refund(row: sqlite3.Row) -> Refund:
    names = ("serial", "coin_pub", "reason", "granted_at")
    return Refund(
        **{name: row[name] for name in names},
        amount=Amount.parse(row["amount"]),
        collected=bool(row["collected"]),
    )
