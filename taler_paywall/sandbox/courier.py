"""Sends what waits in the outbox to the shops' webhooks, again and again until it has arrived."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

import httpx

from taler_paywall.sandbox.state.outbox import Delivery, Outbox

#: How many requests are on their way at the same time.
WORKERS: Final = 4
#: How long a receiver may take for its answer, in seconds.
PATIENCE: Final = 30.0
#: The delays between attempts double from one second to this many.
LONGEST_DELAY: Final = 300.0
#: How old a delivery is when it is given up: a day.
LIFETIME: Final = 24 * 3600.0

_log = logging.getLogger("taler_paywall.sandbox")


@contextlib.asynccontextmanager
async def on_duty(outbox: Outbox) -> AsyncIterator[None]:
    """Send in the background; what is not sent in the end stays in the outbox."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_serve(outbox))
        yield
        task.cancel()


async def _serve(outbox: Outbox) -> None:
    headers = {"User-Agent": "taler-paywall-sandbox"}
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, headers=headers) as client:
        while True:
            courier = _Courier(outbox, client)
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(WORKERS):
                        group.create_task(courier.work())
            except* Exception:  # noqa: BLE001 - such as a full disk; it is logged, and nobody waits who could be told
                _log.exception("webhooks: trouble with the outbox, again in 1 s")
            await asyncio.sleep(1)


class _Courier:
    """Several workers, of which only one at a time sends to the same webhook, so that events arrive in their order.

    A delivery that fails is overtaken by the later ones.
    """

    def __init__(self, outbox: Outbox, client: httpx.AsyncClient) -> None:
        self._outbox = outbox
        self._client = client
        self._busy: set[int] = set()

    async def work(self) -> None:
        """Send whatever is due, for ever."""
        while True:
            # Cleared before the look into the outbox, and nothing can happen between that and the wait.
            self._outbox.filled.clear()
            delivery = self._outbox.next(self._busy)
            if delivery is None or delivery.due > time.time():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if delivery is None else delivery.due - time.time()):
                        await self._outbox.filled.wait()
                continue
            self._busy.add(delivery.webhook)
            try:
                self._settle(delivery, await self._send(delivery))
            finally:
                self._busy.discard(delivery.webhook)

    async def _send(self, delivery: Delivery) -> int | str:
        """Return the status of the answer, or what went wrong."""
        headers = [(name.encode(), value.encode()) for name, value in delivery.headers]
        request = self._client.build_request(
            delivery.method, delivery.url, headers=headers, content=delivery.body.encode()
        )
        try:
            async with asyncio.timeout(PATIENCE):
                # Streamed, because nobody needs the body of the answer.
                answer = await self._client.send(request, stream=True)
                await answer.aclose()
        except (httpx.HTTPError, TimeoutError) as error:
            return f"{type(error).__name__} {error}".strip()
        return answer.status_code

    def _settle(self, delivery: Delivery, outcome: int | str) -> None:
        arrived = isinstance(outcome, int) and httpx.codes.is_success(outcome)
        delay = min(2.0 ** min(delivery.attempts, 10), LONGEST_DELAY)
        # With 400 the receiver says that it will never want this request.
        given_up = outcome == httpx.codes.BAD_REQUEST or time.time() + delay > delivery.created + LIFETIME
        if arrived or given_up:
            self._outbox.finish(delivery)
        else:
            self._outbox.postpone(delivery, time.time() + delay)
        if not arrived:
            then = "given up" if given_up else f"again in {delay:g} s"
            _log.warning("webhook %s: %s, %s", delivery.webhook_id, outcome, then)
