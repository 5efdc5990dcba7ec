"""The table: for each fault and site, what was sent, what the fault changed, and how it was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .crowd import Noted
from .ledger import Account
from .strikes import Fault
from .truth import RECHECK_AFTER, Judge, Slot, Verdict

#: How many wrong answers are told about.
EXAMPLES: Final = 5
HEAD: Final = f"{'fault':<22}{'site':<5}" + "".join(
    f"{name:>10}"
    for name in (
        *("sent", "changed", "right", "read on", "no answer", "left", "wrong", "leaked"),
        *("lost", "doubled", "too many", "slowest"),
    )
)


@dataclass(frozen=True)
class Row:
    """What a fault has come to at one site.

    Args:
        read_on: how many pages were shown whose payment the backend should have confirmed anew.
        verdicts: how many answers were right, and so on.
        slowest: in seconds.
        examples: of answers that were not right.
    """

    fault: Fault
    server: str
    sent: int
    changed: int
    read_on: int
    verdicts: Counter[Verdict]
    account: Account
    slowest: float
    examples: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Whether enough was changed, everything was answered rightly, and nothing was given away or lost."""
        clean = not (self.verdicts["wrong"] or self.verdicts["leaked"]) and self.account == Account(0, 0, 0)
        return clean and self.changed >= self.fault.least and (self.read_on > 0 or not self.fault.known)

    def __str__(self) -> str:
        answers = (self.verdicts[name] for name in ("unanswered", "abandoned", "wrong", "leaked"))
        money = (self.account.lost, self.account.doubled, self.account.superfluous)
        numbers = (self.sent, self.changed, self.verdicts["right"], self.read_on, *answers, *money)
        columns = "".join(f"{number:>10}" for number in numbers)
        return f"{self.fault.name:<22}{self.server:<5}{columns}{self.slowest:>8.1f} s"


def row(
    fault: Fault, server: str, judge: Judge, slot: Slot, visits: Sequence[Noted], *, changed: int, money: Account
) -> Row:
    """Judge all answers of a site while a fault was on.

    Args:
        fault: that was on.
        server: of the site.
        judge: of the site.
        slot: when the fault was on.
        visits: of everybody.
        changed: how many of them the fault has changed.
        money: what has come of it.
    """
    judged = [(judge.verdict(visit, holdings, slot), visit, holdings.get(visit.path)) for visit, holdings in visits]
    bad = [f"{verdict} {visit} {held}" for verdict, visit, held in judged if verdict in {"wrong", "leaked"}]
    believed = slot.on + 1.1 * RECHECK_AFTER
    read = [visit for visit, _ in visits if visit.kind == "paid" and visit.status == 200]
    return Row(
        fault=fault,
        server=server,
        sent=len(visits),
        changed=changed,
        read_on=sum(believed < visit.began and visit.ended < slot.off for visit in read),
        verdicts=Counter(verdict for verdict, _, _ in judged),
        account=money,
        slowest=max((visit.ended - visit.began for visit, _ in visits), default=0.0),
        examples=tuple(bad[:EXAMPLES]),
    )
