"""What must and what must not be answered: promise P1, held against the backend's books and never against our code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import httpx

from .browsers import Browser, Held
from .world import DAY, FAILING, GOODS, MAX_AGE, SECRET, SITE, STALLING, Goods, Sale, WorkerName, World

#: How long a payment may be, and surely is, believed without asking: 60 seconds, spread by a tenth.
MAY_BELIEVE, DOES_BELIEVE = 66, 54
#: What asks for an order when there is none.
ORDERING: Final = frozenset({"open", "come back", "program", "buy again"})

_SESSION = re.compile(r"session_id=([0-9A-Z]+)").search
_ORDER = re.compile(r"/orders/([0-9A-Z]+)\?").search


@dataclass
class Belief:
    """A payment in a worker's cache.

    Args:
        since: when the backend said so.
        settled: whether it could not be refunded any more.
        sure: whether it was this one that the backend was asked for, or another that stood as well.
    """

    since: float
    settled: bool
    sure: bool


@dataclass
class Asked:
    """One request, and what is known before it is answered."""

    browser: Browser
    goods: Goods
    how: str
    worker: WorkerName
    before: dict[str, Sale]
    cookies: dict[str, Held]


class Model:
    """Judges every answer of the site."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.beliefs: dict[WorkerName, dict[tuple[str, str, str], Belief]] = {"asgi": {}, "wsgi": {}}
        self.prices = {goods.name: {goods.price} for goods in GOODS}
        self.oldest_key = 0
        #: How often each thing was seen.
        self.seen: Counter[str] = Counter()

    def expect(self, browser: Browser, goods: Goods, how: str, worker: WorkerName) -> Asked:
        """Note how things stand before a request."""
        self.world.served.clear()
        self.world.turn = worker
        cookies = {name: held for name, held in browser.held.items() if self._is_valid(held)}
        return Asked(browser, goods, how, worker, self.world.sales(), cookies)

    def judge(self, asked: Asked, response: httpx.Response) -> None:
        """Hold an answer against the books."""
        after = self.world.sales()
        made = [sale for sale in after.values() if sale.order_id not in asked.before]
        self._learn(asked, response, after)
        granted = self._is_grant(asked, response)
        context = f"{asked}\n{response.status_code} {response.headers}\n{after}\n{self.beliefs}"
        assert len(made) <= (2 if asked.how in ORDERING else 0), context
        assert all(sale.goods == asked.goods.name for sale in made), context
        known = [held for held in asked.cookies.values() if held.slot == held.goods == asked.goods.name]
        beliefs = self._beliefs(asked, known)
        fresh = self._evidence(asked, after)
        if granted:
            self.seen["granted by " + ("cache" if beliefs else "backend")] += 1
            assert fresh or beliefs, f"nothing was paid: {context}"
            assert self.world.fault not in FAILING + STALLING or beliefs, f"nobody said so: {context}"
            if not beliefs:
                self._believe(asked, fresh)
            return
        assert not any(belief.sure and self._age(belief) < DOES_BELIEVE for belief in beliefs), f"forgotten: {context}"
        assert self.world.fault or not self._must_open(asked, known, after), f"a buyer was refused: {context}"
        self._check_unknown(asked, known, response, context)
        if response.status_code != 503:
            # It was asked for, so the cache did not have it.
            for held in known:
                self.beliefs[asked.worker].pop((asked.goods.name, held.session_id, held.order_id), None)
        if "efunded" in response.text:
            cache, sessions = self.beliefs[asked.worker], self._sessions(asked)
            for key in [key for key in cache if key[1] in sessions and after[key[2]].refunded]:
                del cache[key]

    def _is_valid(self, held: Held) -> bool:
        return held.key >= self.oldest_key and self.world.clock.time() - held.issued <= MAX_AGE

    def _is_grant(self, asked: Asked, response: httpx.Response) -> bool:
        """Tell whether the application answered, or a reader was brought to the page that was asked for at first."""
        leaked = SECRET in response.content or bool(self.world.served)
        assert not leaked or (response.status_code == 200 and self.world.served), response
        landed = response.status_code == 303 and response.headers["location"].startswith(SITE)
        return leaked or landed

    def _evidence(self, asked: Asked, after: dict[str, Sale]) -> list[Sale]:
        """Return the orders that entitle this browser to the goods now."""
        sessions, prices = self._sessions(asked), self.prices[asked.goods.name]
        return [
            sale
            for sale in after.values()
            if sale.stands and sale.goods == asked.goods.name and sale.session_id in sessions and sale.amount in prices
        ]

    def _sessions(self, asked: Asked) -> set[str]:
        """Return the sessions that the browser's cookies for these goods speak of."""
        fitting = [
            held for held in asked.cookies.values() if held.slot in {"", asked.goods.name} and held.slot == held.goods
        ]
        sessions = {held.session_id for held in fitting}
        return sessions | asked.browser.told if "" in sessions else sessions

    def _beliefs(self, asked: Asked, known: Iterable[Held]) -> list[Belief]:
        """Return what the worker's cache may still hold of this browser's orders."""
        cache = self.beliefs[asked.worker]
        keys = [(asked.goods.name, held.session_id, held.order_id) for held in known]
        return [cache[key] for key in keys if key in cache and self._age(cache[key]) <= MAY_BELIEVE]

    def _age(self, belief: Belief) -> float:
        """Return how old a belief is; what is settled ages as slowly as it is believed longer."""
        age = self.world.clock.time() - belief.since
        return age / DAY * 60 if belief.settled else age

    def _believe(self, asked: Asked, sales: list[Sale]) -> None:
        now = self.world.clock.time()
        for sale in sales:
            key = (sale.goods, sale.session_id or "", sale.order_id)
            self.beliefs[asked.worker][key] = Belief(now, sale.settled_at < now, sure=len(sales) == 1)

    def _must_open(self, asked: Asked, known: list[Held], after: dict[str, Sale]) -> bool:
        """Tell whether a browser has what it needs: the cookie of an order that stands, or whose like stands."""
        cookies = [held for held in asked.browser.held.values() if held.slot == asked.goods.name]
        if len(cookies) > (1 if asked.how == "buy again" else 2):
            return False
        return any(self._stands(held, after) for held in known)

    def _stands(self, held: Held, after: dict[str, Sale]) -> bool:
        own = after.get(held.order_id)
        if own is None:
            return False
        like = [
            sale
            for sale in after.values()
            if sale.paid and (sale.session_id, sale.fulfillment_url) == (held.session_id, own.fulfillment_url)
        ]
        return bool(like) and not any(sale.refunded for sale in like)

    def _check_unknown(self, asked: Asked, known: list[Held], response: httpx.Response, context: str) -> None:
        """503 says that the backend was needed and failed, and nothing else does."""
        status = response.status_code
        self.seen["unknown" if status == 503 else f"{status} with {self.world.fault or 'no fault'}"] += 1
        assert status in {302, 303, 402, 503}, context
        if self.world.fault not in FAILING + STALLING:
            assert status != 503, context
            return
        stranger = not known and not any(not held.slot for held in asked.cookies.values())
        sent_back = asked.how == "come back" and stranger
        asks = (known or asked.how in ORDERING) and not sent_back
        if self.world.fault == "not-found" and asked.how not in ORDERING:
            assert status == 402, context
        else:
            assert (status == 503) == bool(asks), context

    def _learn(self, asked: Asked, response: httpx.Response, after: dict[str, Sale]) -> None:
        """Take note of the cookies that an answer sets."""
        said = f"{response.headers.get('location', '')} {response.text}"
        session, order = _SESSION(said), _ORDER(said)
        evidence = self._evidence(asked, after) if self._is_grant(asked, response) else []
        of_grant = evidence[0] if len(evidence) == 1 else None
        session_id = session[1] if session else (of_grant.session_id if of_grant else None) or ""
        order_id = order[1] if order else of_grant.order_id if of_grant else ""
        if session_id:
            asked.browser.told.add(session_id)
        lines = response.headers.get_list("set-cookie")
        names = [line.partition("=")[0] for line in lines]
        assert len(set(names)) == len(names), lines
        assert not any("Max-Age=0" in line for line in lines), lines
        goods = asked.goods.name
        for name in names:
            slot = "" if name.endswith("_session") else goods
            issued, key = self.world.clock.time(), len(self.world.keys) - 1 + self.oldest_key
            asked.browser.held[name] = Held(slot, slot, session_id, order_id if slot else "", issued, key)
        if lines:
            self.seen["cookies set"] += 1

    def forget_sessions(self, browsers: Iterable[Browser]) -> None:
        """Note that from a new key on a session is another one to the backend."""
        for browser in browsers:
            browser.held = {n: h if h.slot else replace(h, session_id="") for n, h in browser.held.items()}
