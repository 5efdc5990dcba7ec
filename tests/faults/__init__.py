"""What production does to the site, done on purpose; readers who know what is right; the backend's ledger as judge."""

from __future__ import annotations
