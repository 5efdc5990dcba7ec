"""What can be made to go wrong on purpose, and how tests say so."""

from __future__ import annotations
