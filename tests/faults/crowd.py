"""The readers of one site while something goes wrong: who they are, how often they come, and what they do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from . import goods
from .readers import Reader, Town
from .truth import Holding, Visit

#: Behaviour, how many behave so at once, and the seconds that one waits on average before it does so again.
CROWD = (
    ("free", 1, 0.1),
    ("unpaid", 3, 0.4),
    ("paying", 2, 0.6),
    ("paid", 5, 0.3),
    ("refunded", 1, 0.3),
    ("abandoning", 1, 0.4),
    ("forging", 1, 0.3),
    ("forgetful", 1, 0.4),
)
#: So many paid readers come back; the others are seen again in the end.
REGULARS = 40

#: A visit, and what is true of its reader.
Noted = tuple[Visit, dict[str, Holding]]


@dataclass
class Crowd:
    """Everybody who comes to one site.

    Args:
        town: where they live.
        refund: gives the money of an order back.
        lots: what they choose by.
        readers: all who have ever been asked to pay.
        visits: of this slot, each with the pages that its reader has.
        refunds: who got the money back, and for which page.
    """

    town: Town
    refund: Callable[[str], None]
    lots: random.Random
    readers: list[Reader] = field(default_factory=list)
    visits: list[Noted] = field(default_factory=list)
    refunds: list[tuple[Reader, str]] = field(default_factory=list)

    async def come(self, stop: asyncio.Event) -> None:
        """Let everybody come again and again until it is enough."""
        async with asyncio.TaskGroup() as group:
            for name, number, pause in CROWD:
                for _ in range(number):
                    group.create_task(self._repeat(getattr(self, name), pause, stop))

    async def _repeat(self, act: Callable[[], Awaitable[None]], pause: float, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await asyncio.sleep(pause * self.lots.uniform(0.5, 1.5))
            await act()

    async def see(self, reader: Reader, kind: str, path: str, cookie: str = "") -> Visit:
        """Let a reader visit a page, and note what comes."""
        return self.note(reader, await reader.visit(kind, path, cookie))

    def note(self, reader: Reader, visit: Visit) -> Visit:
        """Note what has come of a visit."""
        self.visits.append((visit, reader.holdings))
        return visit

    def new(self) -> Reader:
        """Return somebody who has never been here."""
        self.readers.append(self.town.reader())
        return self.readers[-1]

    def some(self, readers: Iterable[Reader]) -> Reader | None:
        """Choose one of the latest of some readers, None if there is none."""
        latest = list(readers)[-REGULARS:]
        return self.lots.choice(latest) if latest else None

    def regular(self) -> Reader | None:
        """Choose one who has paid for something."""
        return self.some(reader for reader in self.readers[-5 * REGULARS :] if reader.bought)

    async def free(self) -> None:
        """Read what costs nothing, or is not there."""
        await self.see(self.town.reader(), "free", self.lots.choice((*goods.FREE, goods.MISSING)))

    async def unpaid(self) -> None:
        """Come for the first time, come again, and in two tabs at once after the order's cookie was lost."""
        reader, path = self.new(), self.lots.choice(goods.SOLD)
        await self.see(reader, "unpaid", path)
        await self.see(reader, "unpaid", path)
        if session := cookie_header(reader.cookies("_session")):
            await asyncio.gather(*(self.see(reader, "unpaid", path, session) for _ in range(2)))

    async def paying(self) -> None:
        """Come, pay, and read; who could not pay comes again."""
        unfinished = (reader for reader in self.readers[-5 * REGULARS :] if reader.unfinished)
        reader = self.some(unfinished) if self.lots.random() < 0.5 else None
        reader = reader or self.new()
        path = reader.unfinished or self.lots.choice(goods.SOLD)
        reader.is_busy = True
        visit = await self.see(reader, "paying", path)
        if visit.status == 302 and await reader.pay(visit):
            await self.see(reader, "paying", path)
        reader.is_busy = False

    async def paid(self) -> None:
        """Reload what is paid; sometimes look at what is not."""
        if reader := self.regular():
            elsewhere = self.lots.random() < 0.2
            await self.see(reader, "paid", self.lots.choice(goods.SOLD if elsewhere else reader.bought))

    async def refunded(self) -> None:
        """Get the money back now and then, and again and again try to read on."""
        reader = self.regular() if self.lots.random() < 0.3 else None
        if reader:
            page = self.lots.choice(reader.bought)
            self.refunds.append((reader, page))
            # A backend that is dead may or may not have heard of it; it takes back nothing that it has not booked.
            with suppress(httpx.HTTPError):
                await reader.give_back(page, self.refund)
        if self.refunds:
            reader, page = self.lots.choice(self.refunds[-10:])
            await self.see(reader, "refunded", page)

    async def abandoning(self) -> None:
        """Go away before the answer, or in the middle of it."""
        reader = self.town.reader()
        path = self.lots.choice(goods.SOLD)
        self.note(reader, await reader.leave("abandoning", path, self.lots.choice((0.0, 0.002, 0.1))))

    async def forging(self) -> None:
        """Send cookies that nobody was given: changed, cut off, or a paid order under another page's name."""
        victim = self.regular()
        if victim is None:
            return
        name, value = self.lots.choice(list(victim.cookies("_order_").items()))
        # Not the last letter, some bits of which mean nothing.
        place = self.lots.randrange(len(value) - 1)
        changed = value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :]
        forged = self.lots.choice((changed, value[:place], value.replace(".", ".."), "x" * 5000))
        await self.see(self.town.reader(), "forging", self.lots.choice(victim.bought), f"{name}={forged}")
        if others := set(victim.orders.values()) - set(victim.holdings):
            swapped = cookie_header(dict.fromkeys(victim.cookies("_order_"), value))
            await self.see(self.town.reader(), "forging", self.lots.choice(sorted(others)), swapped)

    async def forgetful(self) -> None:
        """Lose the cookies of all orders but not the session: what is paid is found again without the wallet."""
        reader = self.some(reader for reader in self.readers[-5 * REGULARS :] if reader.bought and reader.is_plain)
        if reader and (session := cookie_header(reader.cookies("_session"))):
            await self.see(reader, "forgetful", self.lots.choice(reader.bought), session)


def cookie_header(cookies: dict[str, str]) -> str:
    """Return cookies as a browser sends them."""
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
