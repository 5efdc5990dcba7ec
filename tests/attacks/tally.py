"""What came of the corpus in front of each server, and the table that is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from .corpus import Attack
from .wire import Answer


@dataclass
class Tally:
    """The corpus in front of one site.

    Args:
        asked: how many entries were asked for.
        tested: those that get the secret where there is no paywall.
        refusals: how the paywall answered these.
        leaks: entries that got anything of the secret from behind the paywall.
        spoilt: entries about public pages that were not answered as without the paywall.
    """

    asked: int = 0
    tested: list[str] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    spoilt: list[str] = field(default_factory=list)

    def take(self, attack: Attack, bare: Answer, behind: Answer) -> None:
        """Add an entry with both answers."""
        self.asked += 1
        if bare.traces:
            self.tested.append(attack.id)
            self.refusals[behind.status] += 1
        if behind.traces:
            self.leaks.append(f"{attack.id}: {behind.status} {behind.traces}")
        if attack.expected == "must_pass_public" and (
            behind != bare or not bare.status or b"set-cookie" in dict(bare.headers)
        ):
            self.spoilt.append(f"{attack.id}: {bare} became {behind}")


#: By server and framework.
TALLIES: dict[tuple[str, str], Tally] = {}


def lines() -> Iterator[str]:
    """Yield the table, line by line."""
    statuses = sorted({status for tally in TALLIES.values() for status in tally.refusals})
    yield f"| server | application | asked | tested | {' | '.join(map(str, statuses))} | let through |"
    yield "| --- | --- |" + " --: |" * (len(statuses) + 3)
    for (server, framework), tally in TALLIES.items():
        counts = [tally.asked, len(tally.tested), *(tally.refusals[status] for status in statuses), len(tally.leaks)]
        yield f"| {server} | {framework} | {' | '.join(map(str, counts))} |"
