"""Two machines' worth of workers, each at a loopback address of its own, that share one Redis and one backend."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Process

from .crowd import cookie_header
from .readers import Town
from .run import give_back
from .world import APP, WORKERS, World, opened, start_site

PAGE = "/articles/1"
#: A refund has to be in force after a second.
WITHDRAWN = 3.0
#: So often a page is asked for, to meet every worker.
OFTEN = 8 * WORKERS


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[World, Town, Town]]:
    """Start both; the first is where the site's public URL leads, so that webhooks come there alone."""
    with opened(tmp_path, shared=True) as world:
        # What is remembered is believed for longer than this takes.
        first = start_site(world, tmp_path / "first", "asgi", host="127.0.0.2", recheck_after=600)
        second = start_site(
            *(world, tmp_path / "second", "asgi"), host="127.0.0.3", public_url=first.url, recheck_after=600
        )
        install = Process(tmp_path, "taler_paywall", "webhooks", "--app", f"{APP}:asgi", "install", **first.settings)
        assert install.popen.wait(30) == 0, install.output
        yield world, Town(first.url), Town(second.url, first.url)


def test_pay_on_one_read_on_the_other(machines: tuple[World, Town, Town], runner: asyncio.Runner) -> None:
    """What is paid at one machine is open at all workers of both; a refund closes it at all of them within a second."""
    world, here, there = machines

    async def story() -> None:
        reader, stranger = here.reader(), there.reader()
        assert await reader.pay(await reader.visit("paying", PAGE))
        cookie = cookie_header(reader.cookies())

        async def statuses(times: int) -> set[int]:
            answers = [await each.visit("paid", PAGE, cookie) for each in (reader, stranger) for _ in range(times)]
            return {answer.status for answer in answers}

        assert await statuses(OFTEN) == {200}
        await reader.give_back(PAGE, lambda order: give_back(world, order))
        refunded = time.monotonic()
        while 200 in await statuses(1):
            assert time.monotonic() < refunded + WITHDRAWN
        print(f"closed at both {time.monotonic() - refunded:.2f} s after the refund")
        assert await statuses(OFTEN) == {402}
        await here.aclose()
        await there.aclose()

    runner.run(story())
