"""What the backend has written down, held against what the readers know: payments lost, doubled, orders too many."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stateful.world import Sale

from .crowd import Crowd
from .readers import Reader

#: In so many seconds everything has to be well again.
RECOVERY: Final = 15.0


@dataclass(frozen=True)
class Account:
    """What came of the money at one site.

    Args:
        lost: paid, and not let in when all is well again.
        doubled: paid though the same session had paid for the same page.
        superfluous: orders that a reader got for a page beside one that could be paid.
    """

    lost: int
    doubled: int
    superfluous: int

    def since(self, before: Account) -> Account:
        """Return what has gone wrong since an earlier account; who could not read then is asked again now."""
        return Account(self.lost, self.doubled - before.doubled, self.superfluous - before.superfluous)


async def account(crowd: Crowd, sales: Mapping[str, Sale], newest: int) -> Account:
    """Read the ledger when nothing is under way; let everybody in who has paid.

    Args:
        crowd: of one site.
        sales: of all sites, by order ID.
        newest: how many readers to ask, the latest first.
    """
    deadline = time.monotonic() + RECOVERY
    lost = [await _lost(reader, crowd, sales, deadline) for reader in crowd.readers[-newest:]]
    standing = Counter((sale.session_id, sale.fulfillment_url) for sale in sales.values() if sale.stands)
    doubled = sum(number - 1 for (_, page), number in standing.items() if page.startswith(f"{crowd.town.public_url}/"))
    superfluous = sum(_superfluous(reader, sales) for reader in crowd.readers)
    return Account(sum(lost), doubled, superfluous)


async def _lost(reader: Reader, crowd: Crowd, sales: Mapping[str, Sale], deadline: float) -> int:
    """Count the pages that a reader has paid and cannot read."""
    stand = {page for order_id, page in reader.orders.items() if order_id in sales and sales[order_id].stands}
    kept = {page for page, holding in reader.holdings.items() if holding.refunding is None}
    missing = set(reader.bought) - stand
    for page in sorted(stand & kept):
        while (await crowd.see(reader, "afterwards", page)).status != 200:
            if time.monotonic() > deadline:
                missing.add(page)
                break
            await asyncio.sleep(0.5)
    return len(missing)


def _superfluous(reader: Reader, sales: Mapping[str, Sale]) -> int:
    """Count a reader's orders beyond one a page, another for each that a wallet may have claimed, or that ran out."""
    made = Counter(page for order_id, page in reader.orders.items() if order_id in sales)
    failures = {page: holding.failures for page, holding in reader.holdings.items()}
    return sum(max(0, number - 1 - failures.get(page, 0) - reader.expired[page]) for page, number in made.items())
