"""Workers that were forked from one process, with many readers at once."""

from __future__ import annotations
