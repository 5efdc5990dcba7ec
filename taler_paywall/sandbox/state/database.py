"""The database of one sandbox: SQLite, in memory or in a file, safe against kill -9 at any moment."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from taler_paywall.errors import TalerPaywallError

# "TalS": tells a state file from any other SQLite database.
_APPLICATION_ID: Final = 0x54616C53
#: Of the tables as they are now; state files of another version are refused.
_VERSION: Final = 2


class StateError(TalerPaywallError):
    """The state file cannot be used; the message says why."""


class Database:
    """What the tables of a sandbox have in common; no method waits for anything but the disk.

    Args:
        path: the state file, None for memory.

    Raises:
        StateError: the file cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.connection = _open(path)

    def define(self, schema: str) -> None:
        """Make tables that are not there yet.

        Raises:
            StateError: the file cannot be written.
        """
        try:
            self.connection.executescript(f"BEGIN IMMEDIATE;{schema};COMMIT;")
        except sqlite3.Error as error:
            raise StateError(f"the state file {self.path} cannot be used: {error}") from error

    def close(self) -> None:
        """Give the file back."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is done inside happen entirely or not at all."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        finally:
            # After some errors, such as a full disk, SQLite has rolled it back by itself.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def execute(self, sql: str, *values: Any) -> int:
        """Change something; return how many rows were."""
        return self.connection.execute(sql, values).rowcount

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Return what a query finds."""
        return self.connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Return the first that a query finds."""
        found = self.rows(sql, *values)
        return found[0] if found else None


class Table:
    """What one kind of things is kept in; every method of the tables is atomic.

    Args:
        database: where the table is, or is made if need be.

    Raises:
        StateError: the file cannot be used.
    """

    schema: ClassVar[str]

    def __init__(self, database: Database) -> None:
        database.define(self.schema)
        self._database = database


def _open(path: Path | None) -> sqlite3.Connection:
    try:
        if path:
            # Made here and not by SQLite, because it will hold private keys.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=2)
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"the state file {path} cannot be used: {error}") from error
    try:
        connection.row_factory = sqlite3.Row
        # Held for good: two sandboxes on one file would not wake each other's long polls.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _recognise(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except StateError:
        connection.close()
        raise
    except sqlite3.OperationalError as error:
        connection.close()
        raise StateError(f"the state file {path} cannot be opened, or another sandbox uses it: {error}") from error
    except sqlite3.Error as error:
        connection.close()
        raise StateError(f"the state file {path} cannot be used: {error}") from error
    return connection


def _recognise(connection: sqlite3.Connection, path: Path | None) -> None:
    """Refuse a file that is not a sandbox's; mark one that is empty."""
    tables, application, version = (
        connection.execute(sql).fetchone()[0]
        for sql in ("SELECT count(*) FROM sqlite_schema", "PRAGMA application_id", "PRAGMA user_version")
    )
    if tables and application != _APPLICATION_ID:
        raise StateError(f"{path} is a database of something else")
    if tables and version != _VERSION:
        raise StateError(f"{path} was made by another version of the sandbox: use another file")
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")
