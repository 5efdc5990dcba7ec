"""What is measured is what the row says: anything else gives no figure."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from benchmarks.fresh import asgi
from benchmarks.growth_cache import _looked_up
from benchmarks.inprocess import RULES, Recorded, asked_by, asking, insist_on_one_call
from benchmarks.shop import TOKEN, running_sandbox
from benchmarks.table import BenchmarkError
from taler_paywall.async_transport import AsyncHttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.cache import MemoryCache

NAME = "new visitor"


def test_only_one_call_for_each_new_visitor_counts() -> None:
    """The first costs two, for the backend's links are not known yet; later ones are answered from memory."""
    with running_sandbox() as sandbox, asyncio.Runner() as runner:
        transport = AsyncHttpBackend(sandbox.url, sandbox.url, TOKEN, Breaker(lambda: False))
        backend = Recorded(transport)
        visitors = asked_by({"/articles/one": {}, "/articles/two": {}}, pages=2)
        ways = {NAME: asgi(runner.get_loop(), asking(sandbox, backend), visitors, 302, b"set-cookie")}
        with pytest.raises(BenchmarkError, match=f"{NAME}: 5 calls for 4 requests"):
            insist_on_one_call(ways, {NAME: backend})
        assert len(sandbox.requests) == 2
        insist_on_one_call(ways, {NAME: backend})
        assert len(sandbox.requests) == 2
        runner.run(transport.aclose())


def test_every_new_visitor_has_an_order_of_its_own() -> None:
    """The answer from memory is about the order that was made, not about the one that was recorded."""
    with running_sandbox() as sandbox, asyncio.Runner() as runner:
        transport = AsyncHttpBackend(sandbox.url, sandbox.url, TOKEN, Breaker(lambda: False))
        way = asgi(
            runner.get_loop(), asking(sandbox, Recorded(transport)), asked_by({"/articles/one": {}}, pages=1), 302
        )
        locations = {way.ask(way.make(way.messages[0])).location.partition("?")[0] for _ in range(3)}
        assert len(locations) == 3
        runner.run(transport.aclose())


def test_what_asks_the_backend_over_the_network_gives_no_rows() -> None:
    """The time of a call would be in the figure."""
    with running_sandbox() as sandbox:
        with sandbox.unasked():
            pass
        with pytest.raises(BenchmarkError, match="GET /config"), sandbox.unasked():
            httpx.get(f"{sandbox.url}config", trust_env=False)


def test_another_status_or_a_missing_header_gives_no_figure() -> None:
    """What is let through for nothing is no paid answer, and a refusal is none either."""
    with running_sandbox() as sandbox, asyncio.Runner() as runner:
        loop, asked = runner.get_loop(), asked_by({"/about": {}}, pages=1)
        asgi(loop, sandbox.paywalled(RULES), asked).check("free")
        for status, mark in ((402, b""), (200, b"cache-control")):
            with pytest.raises(BenchmarkError, match="was answered with"):
                asgi(loop, sandbox.paywalled(RULES), asked, status, mark).check("paid")


def test_a_hit_that_misses_gives_no_figure() -> None:
    """What is looked up in vain would be faster."""
    with pytest.raises(BenchmarkError, match="does not hold"):
        _looked_up(MemoryCache(10).get, lambda key: (key,), range(10), found=True)
    with pytest.raises(BenchmarkError, match="does not hold"):
        _looked_up({"a key": 1}.get, lambda _: "a key", range(10), found=False)
