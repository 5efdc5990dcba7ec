"""What the application serves for money, the gate has sold or refused: over any number of seeded targets."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from fuzz.forgiving import serves
from fuzz.routers import routers_of
from fuzz.servers import SERVERS
from fuzz.sites import SHOPS, Shop
from fuzz.tally import Tally
from fuzz.targets import ROOTS, Mutator
from taler_paywall.decision import Refused
from taler_paywall.gate import Gate
from taler_paywall.http import Request

#: Where the gate is closed, it only has to be counted whether the application would have served.
FEW_READINGS = 12
QUERIES = (b"", b"", b"id=1", b"id=1&id=2", b"v=x&part=%ff", b"%69d=1&id=%31", b"x")
PUBLIC, SOLD, REFUSED = "public", "sold (402)", "refused (400)"

#: What becomes of a request; one that is public reaches the application.
Verdict = Callable[[Request], str]


def verdict_of(shop: Shop) -> Verdict:
    """Return the gate's verdict as the adapters take it: the quick look, and then the thorough one."""
    gate = Gate(shop.rules)

    def verdict(request: Request) -> str:
        found = gate.find(request)
        if found is None:
            return PUBLIC
        if not gate.concerns(request.path, request.raw_path, request.root_path):
            raise AssertionError(f"the quick look lets pass what is {found}: {request}")
        return REFUSED if isinstance(found, Refused) else SOLD

    return verdict


class PathRun:
    """One run over seeded targets.

    Args:
        random: seeded.
        verdict_of: a site's gate, or what is to be compared with it.
    """

    def __init__(self, random: Random, verdict_of: Callable[[Shop], Verdict] = verdict_of) -> None:
        self.random, self.mutator, self.tally = random, Mutator(random), Tally()
        self.verdicts = {shop.name: verdict_of(shop) for shop in SHOPS}

    def run(self, cases: int) -> Tally:
        """Judge so many requests."""
        for _ in range(cases):
            self.judge(*self.draw())
        return self.tally

    def draw(self) -> tuple[Shop, Request, str]:
        """Return a request, whose site it is for, and a text that reproduces it."""
        random = self.random
        shop, root, server = random.choice(SHOPS), random.choice(ROOTS), random.choice(SERVERS)
        method, target = random.choice(shop.methods), self.mutator.target(random.choice(shop.targets))
        request = server(method, target, root)
        if shop.name == "queries" and not request.query:
            request = Request(method, request.path, request.raw_path, root, random.choice(QUERIES), [])
        return shop, request, f"{shop.name}: {server.__name__}({method!r}, {target!r}, {root!r})"

    def judge(self, shop: Shop, request: Request, text: str) -> None:
        """Count one request; it is a leak if the gate lets pass what an application serves for money."""
        counts = self.tally.counts
        verdict = self.verdicts[shop.name](request)
        counts["paths"] += 1
        counts[verdict] += 1
        if shop.gives_away(request.path, request.root_path):
            return
        if verdict != PUBLIC:
            counts["served by the application"] += serves(shop, request, FEW_READINGS) is not None
            return
        reading = serves(shop, request)
        ways = [f"read as {reading!r}"] if reading is not None else []
        ways += [router.name for router in routers_of(shop) if router.serves(request)]
        counts["served by the application"] += bool(ways)
        if ways:
            self.tally.leaks.append(f"{text}: {', '.join(ways)}")
