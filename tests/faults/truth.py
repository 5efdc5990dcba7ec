"""What is true of each reader and page, from the readers' own deeds, and what that makes of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from . import goods

#: A payment is believed for so long, in seconds, and 10 % more; while the backend is away for so long since then.
RECHECK_AFTER: Final = 2.0
SERVE_KNOWN_FOR: Final = 20.0
#: The paywall's deadline for an answer of the backend, in seconds; three times this is a hang.
TOTAL: Final = 5.0
LATEST: Final = 3 * (TOTAL + 0.5)
#: What was asked before a refund may be remembered after it: so long, in seconds, an answer may have been on its way.
ON_ITS_WAY: Final = 1.0

Verdict = Literal["right", "unanswered", "abandoned", "wrong", "leaked"]


@dataclass
class Holding:
    """One reader's business with one page; times are of the monotonic clock.

    Args:
        begun: when the reader began to pay: from then on the order may be paid.
        paid: when the wallet had its receipt: from then on it is.
        refunding: when the merchant began to give the money back.
        refunded: when that was done.
        failures: payments that came to no end, each of which may leave a claimed order behind.
    """

    begun: float | None = None
    paid: float | None = None
    refunding: float | None = None
    refunded: float | None = None
    failures: int = 0

    def may_read(self, visit: Visit, slot: Slot) -> bool:
        """Tell whether the reader may have got the page."""
        if self.begun is None or visit.ended < self.begun:
            return False
        if self.refunded is None:
            return True
        believed = 1.1 * RECHECK_AFTER + ON_ITS_WAY
        if slot.outage and slot.on < visit.ended:
            believed = SERVE_KNOWN_FOR + TOTAL
        return visit.began <= self.refunded + believed

    def must_read(self, visit: Visit) -> bool:
        """Tell whether the reader has a right to the page."""
        paid = self.paid is not None and self.paid <= visit.began
        return paid and (self.refunding is None or visit.ended < self.refunding)


@dataclass(frozen=True)
class Visit:
    """One request and what came of it.

    Args:
        kind: of the reader, as the behaviour is called.
        path: that was asked for.
        began: on the monotonic clock, as `ended`.
        status: 0 if there was no answer.
        body: as much as has come.
        failure: why the answer has no end; empty if it has.
        left: whether the reader went away before the end.
        ahead: of our clock the site's, in seconds, as far as the answer tells.
    """

    kind: str
    path: str
    began: float
    ended: float
    status: int = 0
    location: str = ""
    retry_after: str = ""
    worker: str = ""
    body: bytes = field(default=b"", repr=False)
    failure: str = ""
    left: bool = False
    ahead: float = 0.0


@dataclass
class Slot:
    """The time in which one fault is on.

    Args:
        outage: whether the backend cannot be asked meanwhile.
        loses: whether answers may be lost, because what gives them dies.
        on: when it struck, on the monotonic clock.
        off: when it was over.
    """

    outage: bool = False
    loses: bool = False
    on: float = float("inf")
    off: float = float("inf")

    def struck(self, visit: Visit) -> bool:
        """Tell whether a visit can have noticed."""
        return visit.ended >= self.on


@dataclass(frozen=True)
class Judge:
    """Judges all answers of one site.

    Args:
        seed: of the markers.
        backend: the address that unpaid readers are sent to.
    """

    seed: str
    backend: str

    def verdict(self, visit: Visit, holdings: dict[str, Holding], slot: Slot) -> Verdict:
        """Tell whether an answer is right for a reader who has paid for these pages."""
        shown = goods.markers_in(visit.body)
        for marker in shown - {goods.marker(self.seed, path) for path in goods.FREE}:
            path = next((path for path in goods.SOLD if goods.marker(self.seed, path) == marker), "")
            if path not in holdings or not holdings[path].may_read(visit, slot):
                return "leaked"
        if visit.left:
            return "abandoned"
        if visit.failure:
            return "unanswered" if slot.loses and slot.struck(visit) else "wrong"
        return "right" if self._fits(visit, shown, holdings.get(visit.path), slot) else "wrong"

    def _fits(self, visit: Visit, shown: set[bytes], holding: Holding | None, slot: Slot) -> bool:
        if visit.ended - visit.began > LATEST:
            return False
        read = visit.status == 200 and shown == {goods.marker(self.seed, visit.path)}
        if visit.path in goods.FREE:
            return read
        if visit.path == goods.MISSING:
            return visit.status == 404 and not shown
        excused = visit.status == 503 and bool(visit.retry_after) and slot.outage and slot.struck(visit)
        if excused or (holding and holding.must_read(visit)):
            return excused or read
        if holding and read:
            return holding.may_read(visit, slot)
        asked = visit.status == 302 and visit.location.startswith(f"{self.backend}orders/")
        return not shown and (asked or visit.status == 402)
