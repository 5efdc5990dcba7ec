"""What a wallet remembers: its play money, the orders it claimed, the receipts for those it paid, and the refunds."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from taler_paywall.amount import MAX_VALUE, Amount
from taler_paywall.sandbox.wallet.errors import PurseError, WalletError
from taler_paywall.sandbox.wallet.purchase import Balance, CoinRefund, Purchase, shown, total, units
from taler_paywall.sandbox.wallet.tables import REFUNDS, SCHEMA, purchase_of, recognise

__all__ = ["Balance", "CoinRefund", "Purchase", "Purse", "PurseError", "open_purse"]

#: Play money is withdrawn in multiples of this, in units of the currency.
_STEP: Final = 100
_COLLECTED: Final = (
    "SELECT r.amount FROM purchase_refunds r JOIN purchases ON purchase = serial WHERE state = 'collected'"
)


class Purse:
    """The purchases of one wallet; every method is atomic, so that several processes can share a file.

    Args:
        connection: in autocommit mode.
        owner: whose purchases; many wallets can live in one database.
        now: the clock, in seconds since 1970.
    """

    def __init__(self, connection: sqlite3.Connection, owner: str, now: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._owner = owner
        self._now = now
        connection.row_factory = sqlite3.Row
        for statement in SCHEMA.split(";"):
            connection.execute(statement)

    def find(self, merchant_base_url: str, order_id: str) -> Purchase | None:
        """Return the newest that is known of an order."""
        known = self._select("merchant_base_url = ? AND order_id = ?", merchant_base_url, order_id)
        return known[0] if known else None

    def purchases(self) -> list[Purchase]:
        """Return all that was claimed, newest first."""
        return self._select("contract_terms IS NOT NULL")

    def bought(self, merchant_base_url: str, fulfillment_url: str) -> list[Purchase]:
        """Return what coins were sent for to a merchant with this fulfillment URL, newest first."""
        condition = "merchant_base_url = ? AND fulfillment_url = ? AND amount IS NOT NULL"
        return self._select(condition, merchant_base_url, fulfillment_url)

    def balances(self) -> list[Balance]:
        """Return the play money of every currency, ordered by currency."""
        mine = (
            "SELECT amount FROM withdrawals WHERE owner = ?",
            "SELECT amount FROM purchases WHERE owner = ? AND amount IS NOT NULL",
            f"{_COLLECTED} AND owner = ?",
        )
        flows = [[Amount.parse(row[0]) for row in self._execute(sql, self._owner)] for sql in mine]
        currencies = sorted({amount.currency for flow in flows for amount in flow})
        return [Balance(currency, *(total(currency, flow) for flow in flows)) for currency in currencies]

    def begin(self, merchant_base_url: str, order_id: str, nonce_seed: bytes | None = None) -> Purchase:
        """Return the purchase of an order, begun with this or a fresh nonce if it is new."""
        with self._transaction():
            known = self.find(merchant_base_url, order_id)
            return known or self._insert(merchant_base_url, order_id, nonce_seed or secrets.token_bytes(32))

    def note_contract(
        self, purchase: Purchase, contract_terms: dict[str, Any], h_contract: str, fulfillment_url: str | None
    ) -> Purchase:
        """Remember what an order turned out to be when it was claimed.

        A lost one with another contract belongs to a merchant that has forgotten everything: it is bought anew, and
        what was spent in vain stays in the books.

        Raises:
            WalletError: coins were sent for another contract of this order.
        """
        with self._transaction():
            known = self._newest(purchase)
            if known.h_contract == h_contract:
                return known
            if known.status not in ("claimed", "lost"):
                raise WalletError(
                    f"the merchant has another contract now for order {known.order_id}, which this wallet has paid"
                    " for: a merchant that was set up anew wants a wallet with a new file"
                )
            if known.is_lost:
                known = self._insert(known.merchant_base_url, known.order_id, known.nonce_seed)
            self._update(
                known,
                "contract_terms = ?, fulfillment_url = ?, h_contract = ?, claimed_at = ?",
                *(json.dumps(contract_terms), fulfillment_url, h_contract, int(self._now())),
            )
        return self._again(known)

    def begin_payment(self, purchase: Purchase, amount: Amount, choice_index: int | None, session_id: str) -> Purchase:
        """Set the price of a purchase aside before coins are sent, and withdraw what is missing.

        Returns:
            The purchase; where a payment was begun before, with the amount and the choice of then.
        """
        with self._transaction():
            if self._again(purchase).amount is None:
                self._withdraw_for(amount)
                change = "amount = ?, choice_index = ?, session_id = ?, attempts = 0"
                self._update(purchase, change, str(amount), choice_index, session_id)
        return self._again(purchase)

    def note_attempt(self, purchase: Purchase) -> None:
        """Remember that coins are about to be sent: whatever happens then, the merchant may have them."""
        self._update(purchase, "attempts = attempts + 1")

    def cancel_payment(self, purchase: Purchase) -> None:
        """Take the price back, because the merchant did not take the coins; not if it may have before."""
        # Another process may hold the receipt by now.
        sql = (
            "UPDATE purchases SET amount = NULL, choice_index = NULL, session_id = NULL"
            " WHERE serial = ? AND signature IS NULL AND attempts = 1"
        )
        self._execute(sql, purchase.serial)

    def note_payment(self, purchase: Purchase, signature: str, session_id: str) -> Purchase:
        """Remember the merchant's receipt for a payment that was begun."""
        self._update(
            purchase,
            "amount = ?, choice_index = ?, signature = ?, is_lost = 0, session_id = ?, paid_at = ?",
            *(str(purchase.amount), purchase.choice_index, signature, session_id, int(self._now())),
        )
        return self._again(purchase)

    def note_session(self, purchase: Purchase, session_id: str) -> Purchase:
        """Remember in which session a purchase was proved."""
        self._update(purchase, "session_id = ?", session_id)
        return self._again(purchase)

    def note_loss(self, purchase: Purchase) -> None:
        """Remember that the merchant refuses its own receipt; the money stays spent."""
        self._update(purchase, "is_lost = 1")

    def note_refunds(self, purchase: Purchase, refunds: Iterable[CoinRefund]) -> Purchase:
        """Remember refunds; what was collected stays so, and counts once."""
        with self._transaction():
            for refund in refunds:
                self._execute(
                    "INSERT INTO purchase_refunds VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET amount = excluded.amount, state = excluded.state WHERE state <> 'collected'",
                    *(purchase.serial, refund.rtransaction_id, str(refund.amount), refund.state),
                )
        return self._again(purchase)

    def _withdraw_for(self, amount: Amount) -> None:
        available = sum(one.units_available for one in self.balances() if one.currency == amount.currency)
        missing = units(amount) - available
        if missing > 0:
            withdrawn = _in_steps(shown(amount.currency, missing))
            self._execute("INSERT INTO withdrawals VALUES (?, ?)", self._owner, str(withdrawn))

    def _insert(self, merchant_base_url: str, order_id: str, nonce_seed: bytes) -> Purchase:
        self._execute(
            "INSERT INTO purchases (owner, merchant_base_url, order_id, nonce_seed) VALUES (?, ?, ?, ?)",
            *(self._owner, merchant_base_url, order_id, nonce_seed),
        )
        return self._select("serial = last_insert_rowid()")[0]

    def _newest(self, purchase: Purchase) -> Purchase:
        return self.find(purchase.merchant_base_url, purchase.order_id) or purchase

    def _again(self, purchase: Purchase) -> Purchase:
        return self._select("serial = ?", purchase.serial)[0]

    def _select(self, condition: str, *values: Any) -> list[Purchase]:
        sql = f"SELECT *, {REFUNDS} AS refunds FROM purchases WHERE owner = ? AND {condition} ORDER BY serial DESC"  # noqa: S608 - constants
        return [purchase_of(row) for row in self._execute(sql, self._owner, *values)]

    def _update(self, purchase: Purchase, change: str, *values: Any) -> None:
        self._execute(f"UPDATE purchases SET {change} WHERE serial = ?", *values, purchase.serial)  # noqa: S608 - constants

    def _execute(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        finally:
            # After some errors, such as a full disk, SQLite has rolled it back by itself.
            if self._connection.in_transaction:
                self._execute("ROLLBACK")


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
    except (OSError, sqlite3.Error) as error:
        raise PurseError(f"the wallet's file {path} cannot be used: {error}") from error
    try:
        # One step for all processes that meet a new file at the same time.
        connection.execute("BEGIN IMMEDIATE")
        recognise(connection, path)
        _keep_private(path)
        purse = Purse(connection, "owner of the file")
        connection.execute("COMMIT")
    except PurseError:
        connection.close()
        raise
    except (OSError, sqlite3.Error) as error:
        connection.close()
        raise PurseError(f"the wallet's file {path} cannot be used: {error}") from error
    return purse, connection


def _keep_private(path: Path) -> None:
    """Take from others what they may do with a file that holds private keys."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        path.chmod(mode & 0o700)


def _in_steps(missing: Amount) -> Amount:
    """Round an amount up to what is withdrawn for it."""
    value = -(-(missing.value + bool(missing.fraction)) // _STEP) * _STEP
    return Amount(missing.currency, value, 0) if value <= MAX_VALUE else missing
