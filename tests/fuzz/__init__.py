"""Seeded generators of paths, cookies and answers, and what must hold for all of them: ``make fuzz``."""

from __future__ import annotations
