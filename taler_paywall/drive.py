"""The two drivers of the flows: the only code that exists twice.

A driver knows no operation by name. It gives each to ``perform``, sends the answer back, and throws a failure into the
flow, because a failure is an answer too; any other exception is a bug and surfaces.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from inspect import isawaitable
from typing import Any, TypeVar

from taler_paywall.errors import BackendError
from taler_paywall.flights import AsyncBackend, Backend, aask, abandon, ask
from taler_paywall.memory import Memory
from taler_paywall.operations import (
    Call,
    Forget,
    LearnLinks,
    MayOrder,
    Op,
    Recall,
    RecallKey,
    RecallKnown,
    RecallLinks,
    Remember,
)

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


def perform(op: Op[Any], backend: Backend, memory: Memory, deadline: float | None = None) -> Any:
    """Perform one operation, blocking; no call to the backend goes on past the deadline on the monotonic clock."""
    if isinstance(op, Call):
        return ask(op, backend, deadline)
    return _perform_here(op, backend, memory)


async def aperform(op: Op[Any], backend: AsyncBackend, memory: Memory, deadline: float | None = None) -> Any:
    """Perform one operation, awaiting; the same otherwise."""
    if isinstance(op, Call):
        return await aask(op, backend, deadline)
    answer = _perform_here(op, backend, memory)
    # A memory that other processes share has to be waited for.
    return await answer if isawaitable(answer) else answer


def _perform_here(op: Op[Any], backend: Backend | AsyncBackend, memory: Memory) -> Any:
    match op:
        case Recall():
            return memory.payments.get(op.keys)
        case RecallKnown():
            return memory.payments.known(op.keys)
        case Remember():
            memory.learnt.learn_key(op.merchant_pub)
            return memory.payments.put(op.key, op.payment, op.seconds)
        case Forget():
            abandon(backend, op.order_id)
            return memory.payments.forget(op.order_id, lasting=op.lasting)
        case MayOrder():
            return memory.limits.take(op.client, time.monotonic())
        case RecallKey():
            return memory.learnt.merchant_pub
        case RecallLinks():
            return memory.learnt.links_as_built
        case LearnLinks():
            return memory.learnt.learn_links(as_built=op.as_built)
        case _:
            raise TypeError(f"no way to perform {op!r}")
