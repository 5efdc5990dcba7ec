"""The two drivers of the flows: the only code that exists twice.

A driver knows no operation by name. It gives each to ``perform``, sends the answer back, and throws a failure into the
flow, because a failure is an answer too; any other exception is a bug and surfaces.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from taler_paywall.cache import MemoryCache
from taler_paywall.errors import BackendError
from taler_paywall.flights import AsyncBackend, Backend, aask, abandon, ask
from taler_paywall.operations import Call, Forget, LearnLinks, Op, Recall, RecallKey, RecallLinks, Remember

T = TypeVar("T")


def run(flow: Generator[Op[Any], Any, T], perform: Callable[[Op[Any]], Any]) -> T:
    """Run a flow to its outcome, blocking."""
    resume: Callable[[Any], Op[Any]] = flow.send
    answer: Any = None
    try:
        while True:
            try:
                op = resume(answer)
            except StopIteration as stop:
                outcome: T = stop.value
                return outcome
            try:
                resume, answer = flow.send, perform(op)
            except BackendError as exc:
                resume, answer = flow.throw, exc
    finally:
        flow.close()


async def arun(flow: Generator[Op[Any], Any, T], perform: Callable[[Op[Any]], Awaitable[Any]]) -> T:
    """Run a flow to its outcome, awaiting."""
    resume: Callable[[Any], Op[Any]] = flow.send
    answer: Any = None
    try:
        while True:
            try:
                op = resume(answer)
            except StopIteration as stop:
                outcome: T = stop.value
                return outcome
            try:
                resume, answer = flow.send, await perform(op)
            except BackendError as exc:
                resume, answer = flow.throw, exc
    finally:
        flow.close()


def perform(op: Op[Any], backend: Backend, cache: MemoryCache, deadline: float | None = None) -> Any:
    """Perform one operation, blocking; no call to the backend goes on past the deadline on the monotonic clock."""
    if isinstance(op, Call):
        return ask(op, backend, deadline)
    return _perform_cached(op, backend, cache)


async def aperform(op: Op[Any], backend: AsyncBackend, cache: MemoryCache, deadline: float | None = None) -> Any:
    """Perform one operation, awaiting; the same otherwise."""
    if isinstance(op, Call):
        return await aask(op, backend, deadline)
    return _perform_cached(op, backend, cache)


def _perform_cached(op: Op[Any], backend: Backend | AsyncBackend, cache: MemoryCache) -> Any:
    match op:
        case Recall():
            return cache.get(op.keys)
        case Remember():
            return cache.put(op.key, op.payment, op.seconds, op.merchant_pub)
        case RecallKey():
            return cache.merchant_pub
        case RecallLinks():
            return cache.links_as_built
        case LearnLinks():
            return cache.learn_links(as_built=op.as_built)
        case Forget():
            abandon(backend, op.order_id)
            return cache.forget(op.order_id)
        case _:
            raise TypeError(f"no way to perform {op!r}")
