"""Requests end with their clients: nobody waits for the sake of one that has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send


async def departure(receive: Receive) -> None:
    """Wait until the client has closed its connection; what it still sends is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(receive: Receive, work: Callable[[], Awaitable[object]]) -> None:
    """Do something, and stop in the middle of it when the client goes."""
    # Not a task group: this is done for every request, and a task group costs a fifth of a millisecond.
    working = asyncio.current_task()
    is_gone = False

    def stop(_: object) -> None:
        nonlocal is_gone
        is_gone = True
        if working:
            working.cancel()

    watching = asyncio.create_task(departure(receive))
    watching.add_done_callback(stop)
    try:
        await work()
    except asyncio.CancelledError:
        # The server may have cancelled it as well.
        if not is_gone or (working and working.uncancel()):
            raise
    finally:
        watching.remove_done_callback(stop)
        watching.cancel()


class EndWithClient:
    """Ends requests that only ask, such as long polls; those that change something are always finished."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or stop answering it."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            await unless_gone(receive, lambda: self._app(scope, receive, send))
        else:
            await self._app(scope, receive, send)
