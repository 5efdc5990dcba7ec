"""What the sandbox remembers: one SQLite database, in memory or in a file, safe against kill -9 at any moment."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from taler_paywall.amount import Amount
from taler_paywall.errors import TalerPaywallError

# "TalS": tells a state file from any other SQLite database.
_APPLICATION_ID: Final = 0x54616C53
_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS instances (name TEXT PRIMARY KEY, seed BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS orders (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    instance TEXT NOT NULL,
    order_id TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    claim_token TEXT,
    created INTEGER NOT NULL,
    proposal TEXT NOT NULL,
    fulfillment_url TEXT,
    nonce TEXT,
    h_contract TEXT,
    paid_at INTEGER,
    session_id TEXT,
    UNIQUE (instance, order_id)
) STRICT;
CREATE INDEX IF NOT EXISTS paid_orders ON orders (session_id, fulfillment_url) WHERE paid_at IS NOT NULL;
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
PRAGMA application_id = 1415670867;
COMMIT;
"""


class StateError(TalerPaywallError):
    """The state file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands in the database (merchant API, PostOrderRequest).

    Args:
        proposal: the contract terms without the nonce of the wallet that claims them.
        nonce: public key of the wallet that claimed the order.
        session_id: of the last successful /pay or /paid.
    """

    serial: int
    instance: str
    order_id: str
    request_hash: str
    claim_token: str | None
    created: int
    proposal: dict[str, Any]
    nonce: str | None
    h_contract: str | None
    paid_at: int | None
    session_id: str | None

    @property
    def contract_terms(self) -> dict[str, Any]:
        """The contract terms as claimed."""
        return {**self.proposal, "nonce": self.nonce}

    @property
    def amount(self) -> Amount:
        """The price."""
        return Amount.parse(self.proposal["amount"])

    @property
    def fulfillment_url(self) -> str | None:
        """Where the buyer gets what was bought."""
        url = self.proposal.get("fulfillment_url")
        return None if url is None else str(url)

    @property
    def base_url(self) -> str:
        """The instance as the wallet sees it, fixed when the order was made."""
        return str(self.proposal["merchant_base_url"])


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund granted on one coin; its serial is the rtransaction_id (merchant API, MerchantCoinRefundStatus)."""

    serial: int
    coin_pub: str
    amount: Amount
    reason: str
    granted_at: int
    collected: bool


class Store:
    """The database of one sandbox; every method is atomic, and none waits for anything but the disk.

    Args:
        path: the state file, None for memory.
        currency: of all amounts; a file stays with the currency it was made for.

    Raises:
        StateError: the file cannot be used.
    """

    def __init__(self, path: Path | None, currency: str) -> None:
        self.connection = _open(path)
        try:
            self.connection.executescript(_SCHEMA)
            self._execute("INSERT OR IGNORE INTO facts VALUES ('currency', ?)", currency)
            known = self._one("SELECT value FROM facts WHERE name = 'currency'")["value"]
        except sqlite3.Error as error:
            self.connection.close()
            raise StateError(f"the state file {path} cannot be used: {error}") from error
        if known != currency:
            self.connection.close()
            raise StateError(f"the state file {path} is for the currency {known}, not {currency}: use another file")

    def close(self) -> None:
        """Give the database back."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is done inside happen entirely or not at all."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def instance_seed(self, name: str) -> bytes:
        """Return the private key of an instance, made at the first use."""
        self._execute("INSERT OR IGNORE INTO instances VALUES (?, ?)", name, secrets.token_bytes(32))
        return bytes(self._one("SELECT seed FROM instances WHERE name = ?", name)["seed"])

    def find_order(self, instance: str, order_id: str) -> Order | None:
        """Return an order, None if there is none of that id."""
        rows = self._all("SELECT * FROM orders WHERE instance = ? AND order_id = ?", instance, order_id)
        return _order(rows[0]) if rows else None

    def add_order(
        self, instance: str, request_hash: str, claim_token: str | None, created: int, proposal: Mapping[str, Any]
    ) -> None:
        """Add an order whose id is not taken."""
        self._execute(
            "INSERT INTO orders (instance, order_id, request_hash, claim_token, created, proposal, fulfillment_url)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(instance, proposal["order_id"], request_hash, claim_token, created, json.dumps(proposal)),
            proposal.get("fulfillment_url"),
        )

    def claim_order(self, order: Order, nonce: str, h_contract: str) -> None:
        """Give an order to the wallet with that nonce."""
        self._execute("UPDATE orders SET nonce = ?, h_contract = ? WHERE serial = ?", nonce, h_contract, order.serial)

    def pay_order(self, order: Order, coins: Mapping[str, Amount], paid_at: int) -> None:
        """Spend coins on an order."""
        for coin_pub, contribution in coins.items():
            self._execute("INSERT INTO coins VALUES (?, ?, ?)", coin_pub, order.serial, str(contribution))
        self._execute("UPDATE orders SET paid_at = ? WHERE serial = ?", paid_at, order.serial)

    def bind_order(self, order: Order, session_id: str) -> None:
        """Let the order count as paid in this session, and in no other."""
        self._execute("UPDATE orders SET session_id = ? WHERE serial = ?", session_id, order.serial)

    def coins_of(self, order: Order) -> dict[str, Amount]:
        """Return the coins spent on an order, in the order in which they were given."""
        rows = self._all("SELECT * FROM coins WHERE order_serial = ? ORDER BY rowid", order.serial)
        return {row["coin_pub"]: Amount.parse(row["contribution"]) for row in rows}

    def is_spent(self, coin_pub: str) -> bool:
        """Tell whether a coin was spent on any order."""
        return bool(self._all("SELECT 1 FROM coins WHERE coin_pub = ?", coin_pub))

    def already_paid(self, order: Order, session_id: str, *, with_refunded: bool) -> Order | None:
        """Return another order with the same fulfillment URL that is paid in this session."""
        rows = self._all(
            "SELECT * FROM orders WHERE paid_at IS NOT NULL AND session_id = ? AND fulfillment_url = ?"
            " AND instance = ? AND serial != ?"
            " AND (? OR NOT EXISTS (SELECT 1 FROM refunds WHERE order_serial = orders.serial))"
            " ORDER BY serial DESC LIMIT 1",
            *(session_id, order.fulfillment_url, order.instance, order.serial, with_refunded),
        )
        return _order(rows[0]) if rows else None

    def refunds_of(self, order: Order) -> list[Refund]:
        """Return the refunds granted on an order, oldest first."""
        rows = self._all("SELECT * FROM refunds WHERE order_serial = ? ORDER BY serial", order.serial)
        return [
            Refund(
                row["serial"],
                row["coin_pub"],
                Amount.parse(row["amount"]),
                row["reason"],
                row["granted_at"],
                bool(row["collected"]),
            )
            for row in rows
        ]

    def add_refund(self, order: Order, coin_pub: str, amount: Amount, reason: str, granted_at: int) -> None:
        """Grant a refund on one coin of an order."""
        self._execute(
            "INSERT INTO refunds (order_serial, coin_pub, amount, reason, granted_at) VALUES (?, ?, ?, ?, ?)",
            *(order.serial, coin_pub, str(amount), reason, granted_at),
        )

    def collect_refunds(self, order: Order) -> None:
        """Note that the wallet has fetched all refunds granted so far."""
        self._execute("UPDATE refunds SET collected = 1 WHERE order_serial = ?", order.serial)

    def _execute(self, sql: str, *values: Any) -> None:
        self.connection.execute(sql, values)

    def _all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self.connection.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: Any) -> sqlite3.Row:
        return self._all(sql, *values)[0]


def _open(path: Path | None) -> sqlite3.Connection:
    try:
        if path:
            # Made here and not by SQLite, because it will hold private keys.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=2)
        connection.row_factory = sqlite3.Row
        # Held for good: two sandboxes on one file would not wake each other's long polls.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if tables and application != _APPLICATION_ID:
            connection.close()
            raise StateError(f"{path} is a database of something else")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.OperationalError as error:
        raise StateError(f"the state file {path} cannot be opened, or another sandbox uses it: {error}") from error
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"the state file {path} cannot be used: {error}") from error
    return connection


def _order(row: sqlite3.Row) -> Order:
    return Order(
        **{name: row[name] for name in ("serial", "instance", "order_id", "request_hash", "claim_token", "created")},
        proposal=json.loads(row["proposal"]),
        **{name: row[name] for name in ("nonce", "h_contract", "paid_at", "session_id")},
    )
