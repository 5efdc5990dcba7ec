"""Webhooks and what is still to be sent to them: written together with what happened, sent later (courier.py)."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from taler_paywall.sandbox.state.database import Database, Table

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS webhooks (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    instance TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    url TEXT NOT NULL,
    http_method TEXT NOT NULL,
    header_template TEXT,
    body_template TEXT,
    UNIQUE (instance, webhook_id)
) STRICT;
CREATE TABLE IF NOT EXISTS deliveries (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook INTEGER NOT NULL REFERENCES webhooks (serial),
    webhook_id TEXT NOT NULL,
    method TEXT NOT NULL,
    url TEXT NOT NULL,
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    created REAL NOT NULL,
    due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_by_time ON deliveries (due, serial);
"""

_COLUMNS: Final = "event_type, url, http_method, header_template, body_template"
_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class Webhook:
    """What is to be sent where when something happens (merchant API, webhooks)."""

    event_type: str
    url: str
    http_method: str
    header_template: str | None
    body_template: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that waits to be sent, exactly as it will be sent.

    Args:
        webhook: the serial number of the webhook.
        created: when it was written, in seconds since 1970.
        due: when it is to be sent.
        attempts: how often that has failed.
    """

    serial: int
    webhook: int
    webhook_id: str
    method: str
    url: str
    headers: list[tuple[str, str]]
    body: str
    created: float
    due: float
    attempts: int


class Outbox(Table):
    """The webhooks of all instances and their pending deliveries; every method is atomic."""

    schema = _SCHEMA

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        #: Set whenever there is something new to send.
        self.filled = asyncio.Event()

    def webhooks(self, instance: str) -> list[tuple[str, Webhook]]:
        """Return the webhooks of an instance with their ids, oldest first."""
        sql = f"SELECT webhook_id, {_COLUMNS} FROM webhooks WHERE instance = ? ORDER BY serial"  # noqa: S608 - constants
        return [(row["webhook_id"], Webhook(*tuple(row)[1:])) for row in self._database.rows(sql, instance)]

    def find(self, instance: str, webhook_id: str) -> Webhook | None:
        """Return a webhook, None if there is none of that id."""
        return dict(self.webhooks(instance)).get(webhook_id)

    def add(self, instance: str, webhook_id: str, webhook: Webhook) -> None:
        """Add a webhook whose id is not taken."""
        sql = f"INSERT INTO webhooks (instance, webhook_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        self._database.execute(sql, instance, webhook_id, *asdict(webhook).values())

    def change(self, instance: str, webhook_id: str, webhook: Webhook) -> bool:
        """Give a webhook other contents; deliveries that wait already stay as they are. Tell whether it exists."""
        sql = f"UPDATE webhooks SET ({_COLUMNS}) = (?, ?, ?, ?, ?) WHERE instance = ? AND webhook_id = ?"  # noqa: S608
        return bool(self._database.execute(sql, *asdict(webhook).values(), instance, webhook_id))

    def remove(self, instance: str, webhook_id: str) -> bool:
        """Delete a webhook and what was still to be sent to it; tell whether it existed."""
        row = self._database.row(
            "SELECT serial FROM webhooks WHERE instance = ? AND webhook_id = ?", instance, webhook_id
        )
        if row is None:
            return False
        with self._database.transaction():
            self._database.execute("DELETE FROM deliveries WHERE webhook = ?", row["serial"])
            self._database.execute("DELETE FROM webhooks WHERE serial = ?", row["serial"])
        return True

    def emit(self, instance: str, event_type: str, values: Mapping[str, Any]) -> None:
        """Write what the webhooks for an event are to be sent.

        To be called in the transaction that makes it happen, so that neither exists without the other.

        Args:
            values: what the webhooks' templates may name.
        """
        # The real clock, even if a test has shifted the merchant's: receivers need real time to recover.
        now = time.time()
        sql = "SELECT * FROM webhooks WHERE instance = ? AND event_type = ? ORDER BY serial"
        for row in self._database.rows(sql, instance, event_type):
            self._database.execute(
                "INSERT INTO deliveries (webhook, webhook_id, method, url, headers, body, created, due)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                *(row["serial"], row["webhook_id"], row["http_method"], row["url"], *_render(row, values), now, now),
            )
            self.filled.set()

    def next(self, busy: Collection[int]) -> Delivery | None:
        """Return what is to be sent first, now or later.

        Args:
            busy: serial numbers of the webhooks that are being sent something.
        """
        row = self._database.row(
            "SELECT * FROM deliveries WHERE webhook NOT IN (SELECT value FROM json_each(?))"
            " ORDER BY due, serial LIMIT 1",
            json.dumps(list(busy)),
        )
        return None if row is None else Delivery(**{**dict(row), "headers": json.loads(row["headers"])})

    def finish(self, delivery: Delivery) -> None:
        """Forget a delivery that has arrived, or that is given up."""
        self._database.execute("DELETE FROM deliveries WHERE serial = ?", delivery.serial)

    def postpone(self, delivery: Delivery, due: float) -> None:
        """Note that an attempt has failed, and when the next one is due."""
        sql = "UPDATE deliveries SET attempts = attempts + 1, due = ? WHERE serial = ?"
        self._database.execute(sql, due, delivery.serial)


def header_lines(template: str) -> list[tuple[str, str]]:
    """Split a header template into names and templates of values; blank lines are none.

    Raises:
        ValueError: a line has no colon.
    """
    lines = [line.partition(":") for line in template.split("\n") if line.strip()]
    if not all(colon for _, colon, _ in lines):
        raise ValueError("each line must be a name, a colon and a value")
    return [(name, value.strip()) for name, _, value in lines]


def _render(webhook: sqlite3.Row, values: Mapping[str, Any]) -> tuple[str, str]:
    """Build the headers, as JSON text, and the body of a request."""
    # One line of the template is one header, whatever line breaks its values have.
    headers = [
        (name, _CONTROL.sub(" ", _fill(value, values)).strip())
        for name, value in header_lines(webhook["header_template"] or "")
    ]
    if webhook["body_template"] is not None:
        body = _fill(webhook["body_template"], values)
    else:
        body = "" if webhook["http_method"] in ("GET", "HEAD") else _json(values)
    if body and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    return json.dumps(headers), body


def _fill(template: str, values: Mapping[str, Any]) -> str:
    def value_of(found: re.Match[str]) -> str:
        value = values.get(found[1], "")
        return value if isinstance(value, str) else _json(value)

    return _PLACEHOLDER.sub(value_of, template)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
