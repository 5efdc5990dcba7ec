"""The play wallet: as a library, and its commands."""

from __future__ import annotations
