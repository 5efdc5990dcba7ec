"""The login tokens of the instances; of the tokens themselves only hashes are kept (merchant API, private/token)."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from dataclasses import dataclass
from typing import Final

from taler_paywall import crockford
from taler_paywall.sandbox.state.database import Table
from taler_paywall.timestamp import NEVER

#: What all tokens begin with (RFC 8959).
TOKEN_PREFIX: Final = "secret-token:"  # noqa: S105 - the prefix is no secret

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS logins (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    instance TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    refreshable INTEGER NOT NULL,
    description TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
"""
_COLUMNS: Final = "serial, scope, refreshable, description, created, expires"


@dataclass(frozen=True, slots=True)
class Login:
    """What is known of a login token.

    Args:
        scope: what it allows, under the merchant API's name.
        refreshable: whether it can be used to get another.
        expires: seconds since 1970, or NEVER.
    """

    serial: int
    scope: str
    refreshable: bool
    description: str
    created: int
    expires: int


class Logins(Table):
    """The login tokens of one sandbox; every method is atomic."""

    schema = _SCHEMA

    def add(
        self, instance: str, *, scope: str, refreshable: bool, description: str, created: int, expires: int = NEVER
    ) -> str:
        """Make a token and return it: nobody can ask for it again."""
        token = TOKEN_PREFIX + crockford.encode(secrets.token_bytes(32))
        self._database.execute(
            "INSERT INTO logins (instance, token_hash, scope, refreshable, description, created, expires)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(instance, _hash(token.encode()), scope, refreshable, description, created, expires),
        )
        return token

    def find(self, instance: str, token: bytes) -> Login | None:
        """Return what is known of a token, None if it is not one of this instance."""
        row = self._database.row(
            f"SELECT {_COLUMNS} FROM logins WHERE instance = ? AND token_hash = ?",  # noqa: S608 - constants
            *(instance, _hash(token)),
        )
        return None if row is None else _login(row)

    def all_of(self, instance: str) -> list[Login]:
        """Return the tokens of an instance, newest first."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM logins WHERE instance = ? ORDER BY serial DESC",  # noqa: S608 - constants
            instance,
        )
        return [_login(row) for row in rows]

    def delete(self, instance: str, serial: int) -> bool:
        """Make a token void; tell whether there was one."""
        sql = "DELETE FROM logins WHERE instance = ? AND serial = ?"
        return bool(self._database.execute(sql, instance, serial))


def _login(row: sqlite3.Row) -> Login:
    return Login(**{**dict(row), "refreshable": bool(row["refreshable"])})


def _hash(token: bytes) -> str:
    # Nothing slower is needed: a token is as hard to guess as the key of a signature.
    return hashlib.sha256(token).hexdigest()
