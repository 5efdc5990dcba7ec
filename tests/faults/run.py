"""Whatever goes wrong, for a while and under load."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from typing import Final

import httpx
from running import TLS

from .crowd import Crowd
from .ledger import Account, account
from .readers import Town
from .row import Row, row
from .strikes import Changed, Fault
from .truth import Judge, Slot, Visit
from .world import World

#: Seconds before a fault in which all is well, and after it in which all may be getting well.
BEFORE: Final = 0.5
AFTER: Final = 1.5
#: So long, in seconds, a fault may be on until it has changed enough.
LONGEST: Final = 30.0


class Trial:
    """All sites of a world with their readers; must be made and used in one event loop.

    Args:
        world: that is running.
        seed: of the lots that readers draw.
    """

    def __init__(self, world: World, seed: int = 0) -> None:
        self.world = world
        refund = partial(give_back, world)
        self.crowds = [Crowd(Town(site.url), refund, random.Random(seed + n)) for n, site in enumerate(world.sites)]
        self._judge = Judge(world.seed, world.books.url)
        self._accounts = [Account(0, 0, 0) for _ in world.sites]

    async def run(self, fault: Fault, newest: int = 10**6) -> list[Row]:
        """Let something go wrong under load, and return a row for each site.

        Args:
            fault: that strikes.
            newest: how many of the latest readers have to be let in afterwards.
        """
        slot, stop = Slot(fault.outage, fault.loses), asyncio.Event()
        for crowd in self.crowds:
            crowd.visits.clear()
        async with asyncio.TaskGroup() as group:
            for crowd in self.crowds:
                group.create_task(crowd.come(stop))
            await asyncio.sleep(BEFORE)
            slot.on = time.monotonic()
            async with fault.strike(self.world) as changed:
                await asyncio.sleep(fault.seconds)
                await self._enough(fault, changed, slot)
            slot.off = time.monotonic()
            await asyncio.sleep(AFTER)
            stop.set()
        if fault.expires:
            for reader in (reader for crowd in self.crowds for reader in crowd.readers):
                reader.expired.update(set(reader.orders.values()))
        return [await self._row(number, fault, slot, changed, newest) for number in range(len(self.crowds))]

    async def _enough(self, fault: Fault, changed: Changed, slot: Slot) -> None:
        """Wait until enough requests of every site are changed, but not for ever."""
        for number, site in enumerate(self.world.sites):
            deadline = slot.on + LONGEST
            while changed(site, self._touched(number, slot)) < fault.least and time.monotonic() < deadline:  # noqa: ASYNC110 - it is counted, and nobody tells
                await asyncio.sleep(0.2)

    def _touched(self, number: int, slot: Slot) -> list[Visit]:
        """Return the visits of a site that the fault can have changed."""
        return [visit for visit, _ in self.crowds[number].visits if visit.ended >= slot.on and visit.began <= slot.off]

    async def _row(self, number: int, fault: Fault, slot: Slot, changed: Changed, newest: int) -> Row:
        site, crowd = self.world.sites[number], self.crowds[number]
        visits, changes = list(crowd.visits), changed(site, self._touched(number, slot))
        total = await account(crowd, await asyncio.to_thread(self.world.books.sales), newest)
        money, self._accounts[number] = total.since(self._accounts[number]), total
        return row(fault, site.protocol, self._judge, slot, visits, changed=changes, money=money)

    async def aclose(self) -> None:
        for crowd in self.crowds:
            await crowd.town.aclose()


def give_back(world: World, order_id: str) -> None:
    """Give all money of an order back, or raise `httpx.HTTPError` soon."""
    url = f"{world.books._control}/orders/{order_id}/refund"
    httpx.post(url, trust_env=False, verify=TLS, timeout=2).raise_for_status()
