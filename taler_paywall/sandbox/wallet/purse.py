"""What a wallet remembers: its play money, the orders it claimed, the receipts for those it paid, and the refunds."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from taler_paywall.amount import MAX_VALUE, Amount
from taler_paywall.errors import TalerPaywallError
from taler_paywall.sandbox.wallet.purchase import Balance, CoinRefund, Purchase, total

__all__ = ["Balance", "CoinRefund", "Purchase", "Purse", "PurseError", "open_purse"]

# "TalW": tells a wallet's file from any other SQLite database.
_APPLICATION_ID: Final = 0x54616C57
#: Of the tables as they are now; files of another version are refused.
_VERSION: Final = 1
#: Play money is withdrawn in multiples of this, in units of the currency.
_STEP: Final = 100

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
    claimed_at INTEGER,
    amount TEXT,
    choice_index INTEGER,
    signature TEXT,
    session_id TEXT,
    paid_at INTEGER,
    UNIQUE (owner, merchant_base_url, order_id)
) STRICT;
CREATE TABLE IF NOT EXISTS purchase_refunds (
    purchase INTEGER NOT NULL REFERENCES purchases (serial),
    rtransaction_id INTEGER NOT NULL,
    amount TEXT NOT NULL,
    gone INTEGER NOT NULL,
    PRIMARY KEY (purchase, rtransaction_id)
) STRICT;
CREATE TABLE IF NOT EXISTS withdrawals (owner TEXT NOT NULL, amount TEXT NOT NULL) STRICT
"""
_REFUNDS: Final = """(
    SELECT json_group_array(json_array(rtransaction_id, amount, gone)) FROM purchase_refunds WHERE purchase = serial
)"""


class PurseError(TalerPaywallError):
    """The wallet's file cannot be used; the message says why."""


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
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)

    def find(self, merchant_base_url: str, order_id: str) -> Purchase | None:
        """Return what is known of an order."""
        known = self._select("merchant_base_url = ? AND order_id = ?", merchant_base_url, order_id)
        return known[0] if known else None

    def purchases(self) -> list[Purchase]:
        """Return all that was claimed, newest first."""
        return self._select("contract_terms IS NOT NULL")

    def bought(self, merchant_base_url: str, fulfillment_url: str) -> list[Purchase]:
        """Return the paid purchases of a merchant with this fulfillment URL, newest first."""
        condition = "merchant_base_url = ? AND fulfillment_url = ? AND signature IS NOT NULL"
        return self._select(condition, merchant_base_url, fulfillment_url)

    def balances(self) -> list[Balance]:
        """Return the play money of every currency, ordered by currency."""
        mine = (
            "SELECT amount FROM withdrawals WHERE owner = ?",
            "SELECT amount FROM purchases WHERE owner = ? AND amount IS NOT NULL",
            "SELECT r.amount FROM purchase_refunds r JOIN purchases ON purchase = serial WHERE owner = ? AND NOT gone",
        )
        flows = [[Amount.parse(row[0]) for row in self._execute(sql, self._owner)] for sql in mine]
        currencies = sorted({amount.currency for flow in flows for amount in flow})
        return [Balance(*(total(currency, flow) for flow in flows)) for currency in currencies]

    def begin(self, merchant_base_url: str, order_id: str, nonce_seed: bytes | None = None) -> Purchase:
        """Return the purchase of an order, begun with this or a fresh nonce if it is new."""
        self._execute(
            "INSERT OR IGNORE INTO purchases (owner, merchant_base_url, order_id, nonce_seed) VALUES (?, ?, ?, ?)",
            *(self._owner, merchant_base_url, order_id, nonce_seed or secrets.token_bytes(32)),
        )
        return self._select("merchant_base_url = ? AND order_id = ?", merchant_base_url, order_id)[0]

    def note_contract(
        self, purchase: Purchase, contract_terms: dict[str, Any], h_contract: str, fulfillment_url: str | None
    ) -> Purchase:
        """Remember what an order turned out to be when it was claimed.

        A known order with another contract belongs to a merchant that has forgotten everything; so does the wallet.
        """
        with self._transaction():
            known = self._again(purchase)
            if known.h_contract != h_contract:
                self._execute("DELETE FROM purchase_refunds WHERE purchase = ?", purchase.serial)
                self._update(
                    purchase,
                    "contract_terms = ?, fulfillment_url = ?, h_contract = ?, claimed_at = ?, amount = NULL,"
                    " choice_index = NULL, signature = NULL, session_id = NULL, paid_at = NULL",
                    *(json.dumps(contract_terms), fulfillment_url, h_contract, int(self._now())),
                )
        return self._again(purchase)

    def begin_payment(self, purchase: Purchase, amount: Amount, choice_index: int | None) -> Purchase:
        """Set the price of a purchase aside before coins are sent, and withdraw what is missing.

        Returns:
            The purchase; where a payment was begun before, with the amount and the choice of then.
        """
        with self._transaction():
            if self._again(purchase).amount is None:
                self._withdraw_for(amount)
                self._update(purchase, "amount = ?, choice_index = ?", str(amount), choice_index)
        return self._again(purchase)

    def cancel_payment(self, purchase: Purchase) -> None:
        """Take the price back, because the merchant did not take the coins."""
        # Another process may hold the receipt by now.
        sql = "UPDATE purchases SET amount = NULL, choice_index = NULL WHERE serial = ? AND signature IS NULL"
        self._execute(sql, purchase.serial)

    def note_payment(self, purchase: Purchase, signature: str, session_id: str) -> Purchase:
        """Remember the merchant's receipt for a payment that was begun."""
        self._update(
            purchase,
            "amount = ?, choice_index = ?, signature = ?, session_id = ?, paid_at = ?",
            *(str(purchase.amount), purchase.choice_index, signature, session_id, int(self._now())),
        )
        return self._again(purchase)

    def note_session(self, purchase: Purchase, session_id: str) -> Purchase:
        """Remember in which session a purchase was proved."""
        self._update(purchase, "session_id = ?", session_id)
        return self._again(purchase)

    def forget_payment(self, purchase: Purchase) -> None:
        """Forget a receipt that the merchant does not accept any more; the money stays spent."""
        self._update(purchase, "signature = NULL, session_id = NULL, paid_at = NULL")

    def note_refunds(self, purchase: Purchase, refunds: Iterable[CoinRefund]) -> Purchase:
        """Remember refunds; those that are known already count once."""
        with self._transaction():
            for refund in refunds:
                self._execute(
                    "INSERT OR IGNORE INTO purchase_refunds VALUES (?, ?, ?, ?)",
                    *(purchase.serial, refund.rtransaction_id, str(refund.amount), refund.gone),
                )
        return self._again(purchase)

    def _withdraw_for(self, amount: Amount) -> None:
        available = [one.available for one in self.balances() if one.withdrawn.currency == amount.currency]
        missing, _ = amount.subtract(available[0] if available else Amount.zero(amount.currency))
        if not missing.is_zero:
            self._execute("INSERT INTO withdrawals VALUES (?, ?)", self._owner, str(_in_steps(missing)))

    def _again(self, purchase: Purchase) -> Purchase:
        return self._select("serial = ?", purchase.serial)[0]

    def _select(self, condition: str, *values: Any) -> list[Purchase]:
        sql = f"SELECT *, {_REFUNDS} AS refunds FROM purchases WHERE owner = ? AND {condition} ORDER BY serial DESC"  # noqa: S608 - constants
        return [_purchase(row) for row in self._execute(sql, self._owner, *values)]

    def _update(self, purchase: Purchase, change: str, *values: Any) -> None:
        self._execute(f"UPDATE purchases SET {change} WHERE serial = ?", *values, purchase.serial)  # noqa: S608 - constants

    def _execute(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._execute("ROLLBACK")
            raise
        self._execute("COMMIT")


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
        _recognise(connection, path)
        purse = Purse(connection, "owner of the file")
        connection.execute("COMMIT")
    except PurseError:
        connection.close()
        raise
    except sqlite3.Error as error:
        connection.close()
        raise PurseError(f"the wallet's file {path} cannot be used: {error}") from error
    return purse, connection


def _recognise(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is not a wallet's; mark one that is empty."""
    tables, application, version = (
        connection.execute(sql).fetchone()[0]
        for sql in ("SELECT count(*) FROM sqlite_schema", "PRAGMA application_id", "PRAGMA user_version")
    )
    if tables and (application, version) != (_APPLICATION_ID, _VERSION):
        raise PurseError(f"{path} was made by another version of the wallet, or by something else: use another file")
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _in_steps(missing: Amount) -> Amount:
    """Round an amount up to what is withdrawn for it."""
    value = -(-(missing.value + bool(missing.fraction)) // _STEP) * _STEP
    return Amount(missing.currency, value, 0) if value <= MAX_VALUE else missing


def _purchase(row: sqlite3.Row) -> Purchase:
    columns = {name: row[name] for name in row.keys() if name not in ("owner", "fulfillment_url")}  # noqa: SIM118 - not a mapping
    terms, amount = row["contract_terms"], row["amount"]
    refunds = sorted((number, Amount.parse(text), bool(gone)) for number, text, gone in json.loads(row["refunds"]))
    columns["contract_terms"] = None if terms is None else json.loads(terms)
    columns["amount"] = None if amount is None else Amount.parse(amount)
    columns["refunds"] = tuple(CoinRefund(*refund) for refund in refunds)
    return Purchase(**columns)
