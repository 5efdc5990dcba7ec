"""What a run has seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts by name, and the cases that must not be.

    Args:
        counts: how often each thing happened.
        leaks: each a text that reproduces the case.
    """

    counts: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take another run's figures in."""
        self.counts += other.counts
        self.leaks += other.leaks

    def __str__(self) -> str:
        """Show the figures in one line."""
        return ", ".join(f"{count:,} {name}" for name, count in self.counts.items()) + f", {len(self.leaks)} leaks"
