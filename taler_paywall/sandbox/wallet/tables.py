"""The tables of a wallet: how they are made and recognised, and how a row of them is read."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Final

from taler_paywall.amount import Amount
from taler_paywall.sandbox.wallet.errors import PurseError
from taler_paywall.sandbox.wallet.purchase import CoinRefund, Purchase

# "TalW": tells a wallet's file from any other SQLite database.
_APPLICATION_ID: Final = 0x54616C57
#: Of the tables as they are now; files of another version are refused.
_VERSION: Final = 2

#: An order has several purchases if its merchant has forgotten it: the newest counts, the others were in vain.
SCHEMA: Final = """
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
    attempts INTEGER NOT NULL DEFAULT 0,
    signature TEXT,
    is_lost INTEGER NOT NULL DEFAULT 0,
    session_id TEXT,
    paid_at INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS purchases_by_order ON purchases (owner, merchant_base_url, order_id);
CREATE TABLE IF NOT EXISTS purchase_refunds (
    purchase INTEGER NOT NULL REFERENCES purchases (serial),
    rtransaction_id INTEGER NOT NULL,
    amount TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (purchase, rtransaction_id)
) STRICT;
CREATE TABLE IF NOT EXISTS withdrawals (owner TEXT NOT NULL, amount TEXT NOT NULL) STRICT
"""
#: Column of a query for purchases: all refunds of one.
REFUNDS: Final = """(
    SELECT json_group_array(json_array(rtransaction_id, amount, state)) FROM purchase_refunds WHERE purchase = serial
)"""


def recognise(connection: sqlite3.Connection, path: Path) -> None:
    """Mark a file that is empty as a wallet's.

    Raises:
        PurseError: it is something else's, or of another version.
    """
    tables, application, version = (
        connection.execute(sql).fetchone()[0]
        for sql in ("SELECT count(*) FROM sqlite_schema", "PRAGMA application_id", "PRAGMA user_version")
    )
    if tables and (application, version) != (_APPLICATION_ID, _VERSION):
        raise PurseError(f"{path} was made by another version of the wallet, or by something else: use another file")
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def purchase_of(row: sqlite3.Row) -> Purchase:
    """Read a row of purchases, with their refunds."""
    columns = {name: row[name] for name in row.keys() if name not in ("owner", "fulfillment_url")}  # noqa: SIM118 - not a mapping
    terms, amount = row["contract_terms"], row["amount"]
    refunds = sorted((number, Amount.parse(text), state) for number, text, state in json.loads(row["refunds"]))
    columns["contract_terms"] = None if terms is None else json.loads(terms)
    columns["amount"] = None if amount is None else Amount.parse(amount)
    columns["is_lost"] = bool(row["is_lost"])
    columns["refunds"] = tuple(CoinRefund(*refund) for refund in refunds)
    return Purchase(**columns)
