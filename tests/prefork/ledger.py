"""What the sandbox has written down, read from its state after it has ended."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from running import Sandbox

from taler_paywall import contract, crockford


@dataclass(frozen=True)
class Sale:
    """An order with the coins that were spent on it.

    Args:
        nonce: the public key of the wallet that has claimed it, None if none has.
        contributions: of each coin.
    """

    order_id: str
    fulfillment_url: str
    session_id: str
    nonce: str | None
    is_paid: bool
    contributions: tuple[str, ...]


def sales(sandbox: Sandbox) -> list[Sale]:
    """End the sandbox and return all its orders; no coin was spent on anything else, and nothing refunded."""
    assert sandbox.process.end() == 0, sandbox.process.output
    with closing(sqlite3.connect(f"file:{sandbox.state}?mode=ro", uri=True)) as state:
        assert state.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert state.execute("SELECT * FROM refunds").fetchall() == []
        coins = defaultdict(list)
        for serial, contribution in state.execute("SELECT order_serial, contribution FROM coins"):
            coins[serial].append(contribution)
        columns = "serial, order_id, fulfillment_url, session_id, nonce, paid_at IS NOT NULL"
        rows = state.execute(f"SELECT {columns} FROM orders").fetchall()
    found = [
        Sale(order_id, page, session_id, nonce, bool(paid), tuple(coins.pop(serial, ())))
        for serial, order_id, page, session_id, nonce, paid in rows
    ]
    assert not coins
    return found


def money(amounts: list[str]) -> Fraction:
    """Add up amounts of play money."""
    return sum((Fraction(amount.removeprefix("KUDOS:")) for amount in amounts), Fraction(0))


def receipts(purse: Path) -> dict[str, tuple[str, str]]:
    """Return the order, and the public key that claimed it, of everything that a wallet has a receipt for, by page."""
    with closing(sqlite3.connect(purse)) as opened:
        rows = opened.execute(
            "SELECT fulfillment_url, order_id, nonce_seed FROM purchases WHERE signature IS NOT NULL"
        ).fetchall()
    found = {page: (order_id, crockford.encode(contract.public_key(seed))) for page, order_id, seed in rows}
    assert len(found) == len(rows)
    return found
