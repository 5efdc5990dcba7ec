"""What `check` finds: what is right, what is doubtful, what is wrong, and how to mend it."""

from __future__ import annotations

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Args:
        level: ``ok``, ``warning``: it works, but perhaps not as meant; ``error``: readers cannot pay, or need not.
        topic: what was looked at.
        text: what was found.
        fix: how to mend it, empty where nothing has to be.
    """

    level: Literal["ok", "warning", "error"]
    topic: str
    text: str
    fix: str = ""

    def __str__(self) -> str:
        """Write it in one line."""
        return f"{self.level:<8}{self.topic}: {self.text}{f'; {self.fix}' if self.fix else ''}"
