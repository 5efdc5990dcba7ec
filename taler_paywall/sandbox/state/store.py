"""What the sandbox remembers of its instances and their orders."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from taler_paywall.amount import Amount
from taler_paywall.sandbox.state.database import Database, StateError, Table

_SCHEMA: Final = """
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
    intended_session TEXT,
    nonce TEXT,
    h_contract TEXT,
    paid_at INTEGER,
    session_id TEXT,
    choice_index INTEGER,
    UNIQUE (instance, order_id)
) STRICT;
CREATE INDEX IF NOT EXISTS paid_orders ON orders (session_id, fulfillment_url) WHERE paid_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_of_session ON orders (intended_session, fulfillment_url);
"""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands in the database (merchant API, PostOrderRequest).

    Args:
        proposal: the contract terms without the nonce of the wallet that claims them.
        intended_session: that it was made for, if the merchant said so.
        nonce: public key of the wallet that claimed the order.
        session_id: of the last successful /pay or /paid.
        choice_index: of the choice that was paid, in an order of version 1.
    """

    serial: int
    instance: str
    order_id: str
    request_hash: str
    claim_token: str | None
    created: int
    proposal: dict[str, Any]
    intended_session: str | None
    nonce: str | None
    h_contract: str | None
    paid_at: int | None
    session_id: str | None
    choice_index: int | None

    @property
    def contract_terms(self) -> dict[str, Any]:
        """The contract terms as claimed."""
        return {**self.proposal, "nonce": self.nonce}

    @property
    def amount(self) -> Amount:
        """The price; of several choices that of the one that was paid, or of the first."""
        return self.prices[self.choice_index or 0]

    @property
    def has_choices(self) -> bool:
        """Whether the wallet has to say which choice it pays for: the order is of version 1."""
        return "choices" in self.proposal

    @property
    def prices(self) -> list[Amount]:
        """What each choice costs; the only price, of an order of version 0."""
        choices = self.proposal["choices"] if self.has_choices else [self.proposal]
        return [Amount.parse(choice["amount"]) for choice in choices]

    @property
    def fulfillment_url(self) -> str | None:
        """Where the buyer gets what was bought."""
        url = self.proposal.get("fulfillment_url")
        return None if url is None else str(url)

    @property
    def base_url(self) -> str:
        """The instance as the wallet sees it, fixed when the order was made."""
        return str(self.proposal["merchant_base_url"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which orders of an instance are looked for (merchant API, GET private/orders); None leaves a choice open.

    Args:
        paid, refunded, wired: whether they must be so, or must not.
        session_id: that they are paid in, or were made for.
        summary: a part of it, in either case.
        date: in seconds, of the oldest to begin with, or of the newest with a negative limit.
        offset: their serials begin after it, or below it with a negative limit.
        limit: how many at most, the oldest first; with a negative one, the newest first.
    """

    paid: bool | None
    refunded: bool | None
    wired: bool | None
    session_id: str | None
    fulfillment_url: str | None
    summary: str | None
    date: int | None
    offset: int | None
    limit: int

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions of a query, each with its value."""
        wanted = {
            "(paid_at IS NOT NULL) = ?": self.paid,
            "EXISTS (SELECT 1 FROM refunds WHERE order_serial = orders.serial) = ?": self.refunded,
            # Nothing is ever wired.
            "NOT ?": self.wired,
            "coalesce(session_id, intended_session) = ?": self.session_id,
            "fulfillment_url = ?": self.fulfillment_url,
            "instr(casefold(json_extract(proposal, '$.summary')), casefold(?))": self.summary,
            "created >= ?" if self.limit > 0 else "created <= ?": self.date,
            "serial > ?" if self.limit > 0 else "serial < ?": self.offset,
        }
        return {condition: value for condition, value in wanted.items() if value is not None}


class Store(Table):
    """The instances and orders of one sandbox; every method is atomic.

    Args:
        database: where they are kept.
        currency: of all amounts; a file stays with the currency it was made for.

    Raises:
        StateError: the file cannot be used.
    """

    schema = _SCHEMA

    def __init__(self, database: Database, currency: str) -> None:
        super().__init__(database)
        # SQLite's own functions know the case of ASCII letters only.
        database.connection.create_function("casefold", 1, str.casefold, deterministic=True)
        database.execute("INSERT OR IGNORE INTO facts VALUES ('currency', ?)", currency)
        (known,) = database.rows("SELECT value FROM facts WHERE name = 'currency'")
        if known["value"] != currency:
            detail = f"is for the currency {known['value']}, not {currency}: use another file"
            raise StateError(f"the state file {database.path} {detail}")

    def instance_seed(self, name: str) -> bytes:
        """Return the private key of an instance, made at the first use."""
        self._database.execute("INSERT OR IGNORE INTO instances VALUES (?, ?)", name, secrets.token_bytes(32))
        (row,) = self._database.rows("SELECT seed FROM instances WHERE name = ?", name)
        return bytes(row["seed"])

    def find_order(self, instance: str, order_id: str) -> Order | None:
        """Return an order, None if there is none of that id."""
        row = self._database.row("SELECT * FROM orders WHERE instance = ? AND order_id = ?", instance, order_id)
        return None if row is None else as_order(row)

    def current(self, order: Order) -> Order | None:
        """Return an order as it stands now, None if it was deleted."""
        row = self._database.row("SELECT * FROM orders WHERE serial = ?", order.serial)
        return None if row is None else as_order(row)

    def search(self, instance: str, search: Search) -> list[Order]:
        """Return the orders that are looked for."""
        conditions = {"instance = ?": instance, **search.conditions}
        direction = "ASC" if search.limit > 0 else "DESC"
        rows = self._database.rows(
            # Texts of this module only; what was asked for goes in as values.
            f"SELECT * FROM orders WHERE {' AND '.join(conditions)} ORDER BY serial {direction} LIMIT ?",  # noqa: S608
            *(*conditions.values(), abs(search.limit)),
        )
        return [as_order(row) for row in rows]

    def add_order(
        self,
        instance: str,
        proposal: Mapping[str, Any],
        *,
        request_hash: str,
        claim_token: str | None,
        intended_session: str | None,
        created: int,
    ) -> None:
        """Add an order whose id is not taken."""
        self._database.execute(
            "INSERT INTO orders (instance, order_id, request_hash, claim_token, created, proposal, fulfillment_url,"
            " intended_session) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(instance, proposal["order_id"], request_hash, claim_token, created, json.dumps(proposal)),
            *(proposal.get("fulfillment_url"), intended_session),
        )

    def claim_order(self, order: Order, nonce: str, h_contract: str) -> None:
        """Give an order to the wallet with that nonce."""
        self._database.execute(
            "UPDATE orders SET nonce = ?, h_contract = ? WHERE serial = ?", nonce, h_contract, order.serial
        )

    def unclaim_order(self, order: Order) -> None:
        """Take an order back from the wallet that claimed it."""
        self._database.execute("UPDATE orders SET nonce = NULL, h_contract = NULL WHERE serial = ?", order.serial)

    def replace_proposal(self, order: Order, proposal: Mapping[str, Any]) -> None:
        """Put other contract terms of the same hash in the place of an order's."""
        self._database.execute("UPDATE orders SET proposal = ? WHERE serial = ?", json.dumps(proposal), order.serial)

    def delete_order(self, order: Order) -> None:
        """Delete an order that nothing was paid for."""
        self._database.execute("DELETE FROM orders WHERE serial = ?", order.serial)

    def pay_order(self, order: Order, paid_at: int, choice_index: int | None) -> None:
        """Note that an order is paid, and which of its choices."""
        self._database.execute(
            "UPDATE orders SET paid_at = ?, choice_index = ? WHERE serial = ?", paid_at, choice_index, order.serial
        )

    def bind_order(self, order: Order, session_id: str) -> None:
        """Let the order count as paid in this session, and in no other."""
        self._database.execute("UPDATE orders SET session_id = ? WHERE serial = ?", session_id, order.serial)

    def already_paid(self, order: Order, session_id: str, *, with_refunded: bool) -> Order | None:
        """Return another order with the same fulfillment URL that is paid in this session."""
        row = self._database.row(
            "SELECT * FROM orders WHERE paid_at IS NOT NULL AND session_id = ? AND fulfillment_url = ?"
            " AND instance = ? AND serial != ?"
            " AND (? OR NOT EXISTS (SELECT 1 FROM refunds WHERE order_serial = orders.serial))"
            " ORDER BY serial DESC LIMIT 1",
            *(session_id, order.fulfillment_url, order.instance, order.serial, with_refunded),
        )
        return None if row is None else as_order(row)

    def find_in_session(self, instance: str, session_id: str, fulfillment_url: str) -> Order | None:
        """Return the order for a fulfillment URL that is paid in a session, else the latest that was made for it."""
        row = self._database.row(
            "SELECT * FROM orders WHERE fulfillment_url = ? AND instance = ?"
            " AND (intended_session = ? OR (session_id = ? AND paid_at IS NOT NULL))"
            " ORDER BY session_id IS ? AND paid_at IS NOT NULL DESC, serial DESC LIMIT 1",
            *(fulfillment_url, instance, session_id, session_id, session_id),
        )
        return None if row is None else as_order(row)


def as_order(row: sqlite3.Row) -> Order:
    """Read a row of the table of orders."""
    columns = {name: row[name] for name in row.keys() if name != "fulfillment_url"}  # noqa: SIM118 - not a mapping
    return Order(**{**columns, "proposal": json.loads(row["proposal"])})
