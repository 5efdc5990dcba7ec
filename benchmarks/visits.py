"""How often the merchant backend is asked for each kind of visit, counted at a real sandbox over HTTP."""

from __future__ import annotations

import asyncio
import re

from benchmarks.shop import Cookies, Sandbox, buy, visit


def count_calls(sandbox: Sandbox) -> dict[str, list[str]]:
    """Count the requests of one reader's visits."""
    calls: dict[str, list[str]] = {}

    async def counted(name: str, path: str, cookies: Cookies, status: int) -> None:
        app = sandbox.paywalled({"/articles/{slug}/*": "KUDOS:0.5"})
        if name.startswith("paid, cached"):
            await visit(app, path, cookies)
        before = len(sandbox.requests)
        answer = await visit(app, path, cookies)
        if answer.status != status:
            msg = f"{name}: {answer.status} instead of {status}"
            raise RuntimeError(msg)
        calls[name] = [re.sub(r"(/orders/).+", r"\1ID", request) for request in sandbox.requests[before:]]
        print(f"{name:38} {len(calls[name]):8d} calls   {', '.join(calls[name])}")

    async def run() -> None:
        cookies: Cookies = {}
        await counted("free page", "/about", cookies, 200)
        await counted("new visitor", "/articles/one", cookies, 302)
        await counted("unpaid reload", "/articles/one", cookies, 302)
        await buy(sandbox.paywalled({"/articles/{slug}/*": "KUDOS:0.5"}), "/articles/one", cookies)
        await counted("paid, not cached", "/articles/one", cookies, 200)
        await counted("paid, cached", "/articles/one", cookies, 200)
        await counted("second article, same reader", "/articles/two", cookies, 302)

    asyncio.run(run())
    return calls
