"""Templates of orders, as the merchant has written them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from taler_paywall.sandbox.state.database import Table

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS templates (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    instance TEXT NOT NULL,
    template_id TEXT NOT NULL,
    details TEXT NOT NULL,
    UNIQUE (instance, template_id)
) STRICT;
"""


class Templates(Table):
    """The templates of all instances, each a JSON object under an id; every method is atomic."""

    schema = _SCHEMA

    def of(self, instance: str) -> dict[str, dict[str, Any]]:
        """Return the templates of an instance by their ids, oldest first."""
        sql = "SELECT template_id, details FROM templates WHERE instance = ? ORDER BY serial"
        return {row["template_id"]: json.loads(row["details"]) for row in self._database.rows(sql, instance)}

    def find(self, instance: str, template_id: str) -> dict[str, Any] | None:
        """Return a template, None if there is none of that id."""
        sql = "SELECT details FROM templates WHERE instance = ? AND template_id = ?"
        row = self._database.row(sql, instance, template_id)
        return None if row is None else dict(json.loads(row["details"]))

    def add(self, instance: str, template_id: str, details: Mapping[str, Any]) -> None:
        """Add a template whose id is not taken."""
        sql = "INSERT INTO templates (instance, template_id, details) VALUES (?, ?, ?)"
        self._database.execute(sql, instance, template_id, json.dumps(details))

    def change(self, instance: str, template_id: str, details: Mapping[str, Any]) -> bool:
        """Give a template other contents; tell whether it exists."""
        sql = "UPDATE templates SET details = ? WHERE instance = ? AND template_id = ?"
        return bool(self._database.execute(sql, json.dumps(details), instance, template_id))

    def remove(self, instance: str, template_id: str) -> bool:
        """Delete a template; tell whether it existed."""
        sql = "DELETE FROM templates WHERE instance = ? AND template_id = ?"
        return bool(self._database.execute(sql, instance, template_id))
