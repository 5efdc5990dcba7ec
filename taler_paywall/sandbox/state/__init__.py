"""What the sandbox remembers: a database, and tables for orders, money, logins, templates and webhooks."""

from __future__ import annotations
