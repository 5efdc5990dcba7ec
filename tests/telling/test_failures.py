"""docs/failures.md says what readers see, and what log and metrics say, when something fails: each failure is made."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from conformance.till import Till
from running import eventually
from shared_cache.redis_server import RedisServer

from taler_paywall.testing.wallet import TalerWallet

from .conftest import OpenSite
from .listening import Listening

TESTS: Final = Path(__file__).parents[1]
TEXT: Final = (TESTS.parent / "docs" / "failures.md").read_text()
CELLS: Final = [row.split(" | ") for row in re.findall(r"(?m)^\| (.+) \|$", TEXT)]
#: What stands beside each failure, below the head of the table.
ROWS: Final = {failure: cells for failure, *cells in CELLS[2:]}
SHOWN: Final = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


@dataclass
class Scene:
    """A backend, a wallet, and the site at which something fails, as it was before."""

    till: Till
    purse: TalerWallet
    home: Path
    open_site: Callable[..., Listening]
    site: Listening = field(init=False)
    lines: int = 0
    counted: dict[tuple[str, str], float] = field(default_factory=dict)

    def enter(self, **options: Any) -> None:
        """Go to the site with these options."""
        self.site = self.open_site(**options)
        self.lines, self.counted = len(self.site.log) - 1, self.counts()

    def counts(self) -> dict[tuple[str, str], float]:
        """Return how many events there were of each kind and reason."""
        labels = {(event, reason) for event, reason, _ in self.site.labels("taler_paywall_events_total")}
        return {
            (event, reason): self.site.sample("taler_paywall_events_total", event=event, reason=reason)
            for event, reason in labels
        }

    def newcomer(self, path: str = "/articles/bees", **headers: str) -> httpx.Response:
        """Visit a page as somebody who was never here."""
        with self.site.reader() as reader:
            return reader.visit(path, **headers)

    @contextmanager
    def struck(self, fault: str) -> Iterator[None]:
        """Switch a fault of the backend on."""
        self.till._do("PUT", f"/fault/{fault}")
        try:
            yield
        finally:
            self.till._do("DELETE", "/fault")

    @property
    def hits(self) -> int:
        """How many requests the fault has struck."""
        state = httpx.get(f"{self.till._control}/", trust_env=False, timeout=20).json()
        return int(state["fault"]["hits"])


Failing = Callable[[Scene], Generator[httpx.Response]]
#: What makes each failure, and yields what a reader sees of it, while it lasts.
FAILURES: Final[dict[str, Callable[[Scene], AbstractContextManager[httpx.Response]]]] = {}


def failing(name: str) -> Callable[[Failing], Failing]:
    """Say which row of the document a function makes true."""

    def keep(function: Failing) -> Failing:
        FAILURES[name] = contextmanager(function)
        return function

    return keep


def _strikes(name: str, fault: str) -> None:
    @failing(name)
    def strike(scene: Scene) -> Generator[httpx.Response]:
        scene.enter()
        with scene.struck(fault):
            yield scene.newcomer()


_strikes("The backend cannot be reached", "refuse")
_strikes("It is slow", "slow")
_strikes("It answers 5xx", "unavailable")
_strikes("It talks nonsense", "wrong-types")
_strikes("It does not accept the token", "unauthorized")
_strikes("It redirects", "redirect")


@failing("It has failed five times in a row")
def _circuit_open(scene: Scene) -> Generator[httpx.Response]:
    scene.enter()
    with scene.struck("refuse"):
        eventually(lambda: scene.newcomer() and not scene.site.sample("taler_paywall_backend_up"), "it is given up")
        yield scene.newcomer()


@failing("Too many requests wait for it")
def _busy(scene: Scene) -> Generator[httpx.Response]:
    scene.enter(max_backend_calls=1)
    with scene.struck("hang"), ThreadPoolExecutor(1) as waiting:
        first = waiting.submit(scene.newcomer)
        eventually(lambda: scene.hits, "the only place is taken")
        yield scene.newcomer()
        assert first.result().status_code == 503


@failing("Any of these, and the reader has paid and read before")
def _known(scene: Scene) -> Generator[httpx.Response]:
    scene.enter()
    with scene.site.reader() as reader:
        scene.purse.pay(reader.visit("/articles/ants").headers["location"])
        assert reader.visit("/articles/ants").status_code == 200
        for fault in ("unavailable", "refuse"):
            with scene.struck(fault):
                answer = reader.visit("/articles/ants")
                assert answer.text.endswith("content")
        # An answer that makes no sense is no reason to believe what was, nor is our own limit.
        with scene.struck("wrong-types"):
            assert reader.visit("/articles/ants").status_code == 503
        yield answer


@failing("Any of these, and the order was refunded meanwhile")
def _refunded(scene: Scene) -> Generator[httpx.Response]:
    scene.enter()
    with scene.site.reader() as reader:
        scene.purse.pay(reader.visit("/articles/moths").headers["location"])
        assert reader.visit("/articles/moths").status_code == 200
        paid = next(o for o in scene.till.orders() if o.fulfillment_url == f"{scene.site.url}/articles/moths")
        with scene.struck("unavailable"):
            scene.till.give_back(paid.order_id)
            assert reader.visit("/articles/moths").status_code == 200
        answer = reader.visit("/articles/moths")
        with scene.struck("unavailable"):
            assert reader.visit("/articles/moths").status_code == 503
        yield answer


@failing("The shared cache (Redis) is lost, slow or full")
def _redis_lost(scene: Scene) -> Generator[httpx.Response]:
    server = RedisServer(scene.home)
    try:
        scene.enter(cache=server.url, recheck_after=600)
        with scene.site.reader() as reader:
            scene.purse.pay(reader.visit("/articles/wasps").headers["location"])
            assert [reader.visit("/articles/wasps").status_code for _ in range(2)] == [200, 200]
            server.kill()
            yield reader.visit("/articles/wasps")
    finally:
        server.close()


@failing("One client asks for more new orders than `max_orders_per_client`")
def _flood(scene: Scene) -> Generator[httpx.Response]:
    scene.enter(max_orders_per_client=1)
    assert scene.newcomer().status_code == 302
    yield scene.newcomer()


@failing("All clients together ask for more than `max_orders`")
def _floods(scene: Scene) -> Generator[httpx.Response]:
    scene.enter(max_orders=1)
    assert scene.newcomer().status_code == 302
    yield scene.newcomer()


@failing("A price callable raises")
def _no_price(scene: Scene) -> Generator[httpx.Response]:
    scene.enter()
    yield scene.newcomer("/priceless/bees")


@failing("A subscriber of `on_event` raises")
def _deaf(scene: Scene) -> Generator[httpx.Response]:
    scene.enter(site_name="of this test alone")
    yield scene.newcomer()


@failing("The browser keeps no cookies")
def _no_cookies(scene: Scene) -> Generator[httpx.Response]:
    # As for a backend of another host than the site's.
    elsewhere = f"http://pay.localhost:{scene.till.port}/"
    scene.enter(backend_public_url=elsewhere)
    yield scene.newcomer(site="cross-site", referer=elsewhere)


@pytest.fixture(scope="module")
def open_once(open_site: OpenSite) -> Callable[..., Listening]:
    """Start each site once."""
    return cache(lambda **options: open_site("asgi", options={"recheck_after": 0} | options))


@pytest.fixture
def scene(till: Till, purse: TalerWallet, open_once: Callable[..., Listening], tmp_path: Path) -> Iterator[Scene]:
    """Set the scene, and see to it that the next test finds all well."""
    opened = Scene(till, purse, tmp_path, open_once)
    yield opened
    # One answer, and what has failed before is forgotten.
    eventually(lambda: opened.newcomer().status_code in {302, 429}, "the backend is asked again")


@pytest.mark.parametrize("name", FAILURES)
def test_what_is_said_of_a_failure_is_so(scene: Scene, name: str) -> None:
    """The reader gets the status that the row begins with; the log has its lines, the metrics have counted."""
    seen, log, metrics, _ = ROWS[name]
    with FAILURES[name](scene) as answer:
        assert str(answer.status_code) == re.match(r"\w+", seen)[0]  # type: ignore[index]
        assert ("`Retry-After`" in seen) <= ("retry-after" in answer.headers)
        assert ("retry-after" in answer.headers) == (answer.status_code in {429, 503})
        lines = scene.site.log[scene.lines :]
        for quoted in re.findall("`(.+?)`", log):
            assert [line for line in lines if line.partition(" taler_paywall ")[2].startswith(quoted)], quoted
        after = scene.counts()
        for event, reason in re.findall(r"`([\w-]+)/([\w-]*)`", metrics):
            assert after.get((event, reason), 0) > scene.counted.get((event, reason), 0), (event, reason)
        assert scene.site.sample("taler_paywall_backend_up") == ("`backend_up 0`" not in metrics)
    assert re.findall("`(.+?)`", log) or log == "nothing"
    assert len(re.findall("`(.+?)`", metrics)) == len(re.findall(r"`[\w-]+/[\w-]*`|`backend_up 0`", metrics))


@cache
def functions_of(file: str) -> set[str]:
    """Return the names of the functions of a file."""
    parsed = ast.parse((TESTS / file).read_text())
    return {node.name for node in parsed.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_is_shown() -> None:
    """Each row names one to three tests that exist; those that are made here name this one."""
    assert len(ROWS) > 20
    assert FAILURES.keys() <= ROWS.keys()
    for name, cells in ROWS.items():
        assert len(cells) == 4, name
        named = SHOWN.findall(cells[-1])
        assert 1 <= len(set(named)) == len(named) == len(cells[-1].split(", ")) <= 3, name
        assert [f"{file}::{test}" for file, test in named if test not in functions_of(file)] == [], name
        here = ("telling/test_failures.py", test_what_is_said_of_a_failure_is_so.__name__)
        assert (here in named) == (name in FAILURES), name
