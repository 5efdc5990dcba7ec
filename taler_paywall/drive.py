"""The two drivers of the flows: the only code that exists twice.

A driver knows no operation by name. It gives each to ``perform``, sends the answer back, and throws a failure into the
flow, because a failure is an answer too; any other exception is a bug and surfaces.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import closing
from functools import partial
from typing import Any, Protocol, TypeVar

from taler_paywall.cache import MemoryCache
from taler_paywall.errors import BackendError
from taler_paywall.operations import BackendRequest, BackendResponse, Call, Forget, Op, Recall, RecallKey, Remember

T = TypeVar("T")


class Backend(Protocol):
    """Sends requests to the merchant backend, blocking; raises `BackendError`."""

    def send(self, request: BackendRequest, deadline: float | None) -> BackendResponse: ...  # noqa: D102


class AsyncBackend(Protocol):
    """Sends requests to the merchant backend; raises `BackendError`."""

    async def send(self, request: BackendRequest, deadline: float | None) -> BackendResponse: ...  # noqa: D102


def run(flow: Generator[Op[Any], Any, T], perform: Callable[[Op[Any]], Any]) -> T:
    """Run a flow to its outcome, blocking."""
    resume: Callable[[], Op[Any]] = partial(next, flow)
    with closing(flow):
        while True:
            try:
                op = resume()
            except StopIteration as stop:
                outcome: T = stop.value
                return outcome
            try:
                resume = partial(flow.send, perform(op))
            except BackendError as exc:
                resume = partial(flow.throw, exc)


async def arun(flow: Generator[Op[Any], Any, T], perform: Callable[[Op[Any]], Awaitable[Any]]) -> T:
    """Run a flow to its outcome, awaiting."""
    resume: Callable[[], Op[Any]] = partial(next, flow)
    with closing(flow):
        while True:
            try:
                op = resume()
            except StopIteration as stop:
                outcome: T = stop.value
                return outcome
            try:
                resume = partial(flow.send, await perform(op))
            except BackendError as exc:
                resume = partial(flow.throw, exc)


def perform(op: Op[Any], backend: Backend, cache: MemoryCache, deadline: float | None = None) -> Any:
    """Perform one operation, blocking; no call to the backend goes on past the deadline on the monotonic clock."""
    if isinstance(op, Call):
        return op.parse(backend.send(op.request, deadline))
    return _perform_cached(op, cache)


async def aperform(op: Op[Any], backend: AsyncBackend, cache: MemoryCache, deadline: float | None = None) -> Any:
    """Perform one operation, awaiting; the same otherwise."""
    if isinstance(op, Call):
        return op.parse(await backend.send(op.request, deadline))
    return _perform_cached(op, cache)


def _perform_cached(op: Op[Any], cache: MemoryCache) -> Any:
    match op:
        case Recall():
            return cache.get(op.keys)
        case Remember():
            return cache.put(op.key, op.payment, op.seconds, op.merchant_pub)
        case RecallKey():
            return cache.merchant_pub
        case Forget():
            return cache.forget(op.order_id)
        case _:
            raise TypeError(f"no way to perform {op!r}")
