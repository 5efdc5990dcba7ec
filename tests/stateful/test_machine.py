"""Readers, tabs, wallets, a merchant and a backend in trouble, in any order: nothing opens but for a payment."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import Final, Literal

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from reader import PAGE, Reader

from taler_paywall.sandbox.wallet.errors import WalletError

from .browsers import Browser, Shown, send, shown_by
from .model import Model
from .world import DAY, FAILING, GOODS, MEDDLING, SITE, STALLING, Goods, WorkerName, World

#: ``STATEFUL=500x50`` runs so many examples of so many steps, other ones each time, and with all faults.
LONG: Final = os.environ.get("STATEFUL", "")
EXAMPLES, STEPS = map(int, (LONG or "30x30").split("x"))
#: No sum of them comes near the time for which a payment is believed, which is not exact: 54 to 66 seconds.
STEPS_OF_TIME: Final = (25, 100, DAY + 600, 8 * DAY + 600, 60 * DAY, 101 * DAY)
BROWSERS, WALLETS = 3, 2
WORTH_SEEING: Final = (
    *("granted by backend", "granted by cache", "unknown", "302 with no fault"),
    *("wallet: paid", "refunded"),
)

browsers = st.integers(0, BROWSERS - 1)
wallets = st.integers(0, WALLETS - 1)
goods_of_all = st.sampled_from(GOODS)
workers = st.sampled_from(["asgi", "wsgi"])
hows = st.sampled_from(["open", "open", "open", "program", "program", "head", "picture", "come back"])
faults = st.sampled_from(["", *FAILING, *MEDDLING, *(STALLING if LONG else ())])
rarely = st.sampled_from([False, False, False, True])
#: From the latest to the first.
earlier = st.integers(0, 5)
parts = st.sampled_from(["", "_session", "_order_"])

Deed = Literal["pay", "claim", "stranger"]


class Machine(RuleBasedStateMachine):
    """The rules: what people can do."""

    def __init__(self, world: World, seen: Counter[str]) -> None:
        super().__init__()
        self.world = world
        world.begin()
        self.model = Model(world)
        self.model.seen = seen
        self.browsers = [Browser(Reader(SITE, world)) for _ in range(BROWSERS)]
        self.wallets = [world.wallet() for _ in range(WALLETS)]
        self.shown: list[Shown] = []
        #: Who has opened what.
        self.opened: list[tuple[Browser, Goods]] = []
        self.sold = self.restarted = False

    def teardown(self) -> None:
        self.world.end()
        for wallet in self.wallets:
            wallet.close()
        for browser in self.browsers:
            browser.reader.http.close()

    @rule(who=browsers, goods=goods_of_all, how=hows, path=st.integers(0, 2), worker=workers)
    def visit(self, who: int, goods: Goods, how: str, path: int, worker: WorkerName) -> None:
        """Ask for something, and follow where it leads."""
        self.go(self.browsers[who], goods, how, goods.paths[path % len(goods.paths)], worker)

    @initialize(who=browsers, goods=goods_of_all, wallet=wallets, worker=workers)
    def begin_with_a_purchase(self, who: int, goods: Goods, wallet: int, worker: WorkerName) -> None:
        """Start where something has been sold."""
        self.buy(who, goods, wallet, worker)

    @rule(who=browsers, goods=goods_of_all, wallet=wallets, worker=workers)
    def buy(self, who: int, goods: Goods, wallet: int, worker: WorkerName) -> None:
        """Ask for something, pay if that is asked for, and come back."""
        shown = len(self.shown)
        self.visit(who, goods, "open", 0, worker)
        if len(self.shown) > shown:
            self.use_wallet(0, wallet, "pay")
            self.return_from_paying(0, who, worker)
            self.visit(who, goods, "open", 0, worker)

    @precondition(lambda self: self.opened)
    @rule(which=earlier, how=hows, path=st.integers(0, 2), worker=workers)
    def visit_again(self, which: int, how: str, path: int, worker: WorkerName) -> None:
        """Ask for what was open before."""
        browser, goods = self.opened[-1 - which % len(self.opened)]
        self.go(browser, goods, how, goods.paths[path % len(goods.paths)], worker)

    @rule(who=browsers, goods=goods_of_all, worker=workers)
    def buy_again(self, who: int, goods: Goods, worker: WorkerName) -> None:
        """Press the button of a page of ours."""
        self.go(self.browsers[who], goods, "buy again", goods.paths[0], worker)

    @rule(who=browsers, goods=goods_of_all)
    def open_two_tabs(self, who: int, goods: Goods) -> None:
        """Ask twice before either answer is there."""
        browser = self.browsers[who]
        jar = browser.jar()
        self.ask(browser, goods, "open", goods.paths[0], "asgi")
        first = browser.jar()
        browser.hold(jar)
        self.ask(browser, goods, "open", goods.paths[0], "wsgi")
        browser.hold(first, browser.jar())

    @precondition(lambda self: self.shown)
    @rule(which=earlier, who=browsers, worker=workers)
    def return_from_paying(self, which: int, who: int, worker: WorkerName) -> None:
        """Go where the wallet leads to: the browser that paid, or one that the address was sent to."""
        sale = self.world.sales()[self.pick(which).order_id]
        goods = next(goods for goods in GOODS if goods.name == sale.goods)
        if goods.method == "GET":
            self.go(self.browsers[who], goods, "come back", sale.fulfillment_url.removeprefix(SITE), worker)

    @precondition(lambda self: self.shown)
    @rule(which=earlier, who=wallets, deed=st.sampled_from(["pay", "pay", "pay", "claim", "stranger"]))
    def use_wallet(self, which: int, who: int, deed: Deed) -> None:
        """Pay, prove or claim what some browser was shown, or let somebody else's wallet claim it."""
        shown, wallet, before = self.pick(which), self.wallets[who], self.world.sales()
        if deed == "stranger":
            if not before[shown.order_id].claimed:
                self.world.books.control("POST", f"/orders/{shown.order_id}/claim")
            return
        owned = [
            before[purchase.order_id].fulfillment_url
            for purchase in wallet.purchases
            if purchase.signature and before[purchase.order_id].stands
        ]
        sale, outcome = before[shown.order_id], wallet.do(deed, shown.url)
        if isinstance(outcome, WalletError):
            self.count("wallet: refused")
            may_fail = sale.claimed or sale.pay_deadline <= self.world.clock.time() + 600 or self.world.fault
            assert may_fail or any(purchase.signature is None for purchase in wallet.purchases), outcome
            return
        self.count(f"wallet: {outcome.how}")
        self.sold |= outcome.how == "paid"
        assert outcome.how != "paid" or sale.fulfillment_url not in owned, f"paid twice: {outcome}"

    @precondition(lambda self: self.sold)
    @rule(which=earlier, amount=st.sampled_from(["", "&amount=KUDOS:0.05"]), collects=st.booleans(), worker=workers)
    def refund(self, which: int, amount: str, worker: WorkerName, *, collects: bool) -> None:
        """Give back all that was paid for an order or a part, which the wallet collects or not; the buyer looks."""
        standing = [sale for sale in self.world.sales().values() if sale.stands]
        if not standing:
            return
        sale = standing[-1 - which % len(standing)]
        order_id = sale.order_id
        self.world.books.control("POST", f"/orders/{order_id}/refund?reason=machine{amount}")
        self.count("refunded")
        for wallet in self.wallets if collects and not self.world.fault else []:
            if any(purchase.order_id == order_id and purchase.amount for purchase in wallet.purchases):
                outcome = wallet.do("collect", f"{self.world.books.url}orders/{order_id}")
                assert not isinstance(outcome, WalletError) or outcome.status == 410, outcome
        for browser, goods in [opened for opened in self.opened if opened[1].name == sale.goods][-1:]:
            self.go(browser, goods, "open", goods.paths[0], worker)

    @rule(who=browsers, giver=browsers, part=parts, which=earlier, worker=workers)
    def move_cookies(self, who: int, giver: int, part: str, which: int, worker: WorkerName) -> None:
        """Put another browser's cookies among one's own, or lose one's own."""
        browser, other = self.browsers[who], self.browsers[giver]
        if browser is other:
            browser.drop(part)
            return
        cookies, held = other.jar()
        taken = {name: value for name, value in cookies.items() if part in name}
        browser.hold(browser.jar(), (taken, {name: held[name] for name in taken}))
        browser.told |= other.told
        if self.opened:
            goods = self.opened[-1 - which % len(self.opened)][1]
            self.go(browser, goods, "open", goods.paths[0], worker)

    @rule(who=browsers, copied=earlier, over=earlier)
    def rename_cookies(self, who: int, copied: int, over: int) -> None:
        """Send a cookie under the name of another."""
        browser = self.browsers[who]
        cookies, held = browser.jar()
        names = sorted(cookies)
        if names:
            one, other = names[copied % len(names)], names[over % len(names)]
            changed = {other: cookies[one]}, {other: replace(held[one], slot=held[other].slot)}
            browser.hold((cookies, held), changed)

    @rule(seconds=st.sampled_from(STEPS_OF_TIME), keep=st.booleans(), which=earlier, worker=workers)
    def let_time_pass(self, seconds: int, which: int, worker: WorkerName, *, keep: bool) -> None:
        """Let offers, refunds and cookies come to their end; not every browser forgets what has expired."""
        self.world.advance(seconds)
        now = self.world.clock.time()
        for browser in [] if keep else self.browsers:
            for name in [name for name, held in browser.held.items() if now - held.issued > 100 * DAY]:
                browser.drop(name)
        self.look(which, "open", worker)

    @rule(worker=workers)
    def restart_worker(self, worker: WorkerName) -> None:
        self.world.start_workers(worker)
        self.model.beliefs[worker].clear()

    @precondition(lambda self: not self.restarted and len(self.shown) > 4)
    @rule()
    def restart_backend(self) -> None:
        self.restarted = True
        self.world.start_backend()

    @rule(fault=faults, which=earlier, how=hows, worker=workers, stays=rarely)
    def break_backend(self, fault: str, which: int, how: str, worker: WorkerName, *, stays: bool) -> None:
        """Let the backend fail while somebody asks, and maybe from then on; or mend it."""
        self.world.switch(fault)
        self.look(which, how, worker)
        if not stays:
            self.world.switch("")

    @rule(price=st.sampled_from(["KUDOS:0.2", "KUDOS:1", "KUDOS:3"]))
    def change_price(self, price: str) -> None:
        self.world.price = price
        self.model.prices["daily"].add(price)

    @rule(retire=st.booleans())
    def rotate_key(self, *, retire: bool) -> None:
        """Sign with a new key; accept the older ones, or this one alone."""
        number = self.model.oldest_key + len(self.world.keys)
        self.world.keys = [*([] if retire else self.world.keys), f"key number {number} of a site that is a machine"]
        self.model.oldest_key = number if retire else self.model.oldest_key
        self.model.forget_sessions(self.browsers)
        for worker in self.model.beliefs:
            self.restart_worker(worker)

    def go(self, browser: Browser, goods: Goods, how: str, path: str, worker: WorkerName) -> None:
        """Ask, and follow redirects: never more than two."""
        response = self.ask(browser, goods, how, path, worker)
        for redirects in range(1, 4):
            if not response.is_redirect:
                return
            assert redirects < 3, response.headers
            to = response.headers["location"]
            if to.startswith(SITE):
                response = self.ask(browser, goods, "open", to.removeprefix(SITE), worker)
            elif self.world.fault:
                return
            else:
                response = self.world.books.http.get(to, headers={"Accept": PAGE})

    def ask(self, browser: Browser, goods: Goods, how: str, path: str, worker: WorkerName) -> httpx.Response:
        """Send one request and judge the answer."""
        how = how if goods.method == "GET" or how == "buy again" else "program"
        asked = self.model.expect(browser, goods, how, worker)
        response = send(browser.reader, goods, how, path, self.world.books.url)
        self.model.judge(asked, response)
        self.count(f"{how}: {response.status_code}")
        if response.status_code == 200:
            self.opened.append((browser, goods))
        if shown := shown_by(response, self.world.books.url):
            self.shown.append(shown)
        return response

    def look(self, which: int, how: str, worker: WorkerName) -> None:
        """See what has become of something that was open before."""
        if self.opened:
            self.visit_again(which, how, 0, worker)

    def pick(self, which: int) -> Shown:
        return self.shown[-1 - which % len(self.shown)]

    def count(self, what: str) -> None:
        self.model.seen[what] += 1


def test_nothing_opens_but_for_a_payment(world: World) -> None:
    seen: Counter[str] = Counter()
    profile = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    class InThisWorld(Machine):
        def __init__(self) -> None:
            super().__init__(world, seen)

    run_state_machine_as_test(InThisWorld, settings=profile)
    print(*(f"{count:6} {what}" for what, count in sorted(seen.items())), sep="\n")
    assert not [what for what in WORTH_SEEING if not seen[what]], "a machine that does not see this shows little"
