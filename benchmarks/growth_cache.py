"""The session-payment-cache: its memory for each tuple, and its time, from a thousand tuples to a million."""

from __future__ import annotations

import gc
import hashlib
import itertools
import multiprocessing
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.table import Limit, Row, interleaved
from taler_paywall.cache import MemoryCache
from taler_paywall.operations import Payment, PaymentKey, SessionId

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
#: A round looks up, or puts, so many.
TIMES: Final = 10_000
#: Nothing expires during the measurement.
SECONDS: Final = 3600.0
#: Session-payment-cache, design section 11.
BUDGET: Final = Limit("value", 400.0)

T = TypeVar("T")
_fresh = itertools.count()


def measure() -> Iterator[Row]:
    """Measure memory in a fresh process for each size; in that of the largest, the times of all sizes in turns."""
    for size in SIZES[:-1]:
        yield _elsewhere(_memory, size)
    yield from _elsewhere(_largest)


def _memory(size: int) -> Row:
    """Measure a few caches together, for one of a thousand tuples fits into what the process has left over."""
    caches = max(1, SIZES[-2] // size)
    _, megabytes = _measured(lambda: [_filled(size) for _ in range(caches)])
    return _memory_row(size, megabytes / caches)


def _memory_row(size: int, megabytes: float) -> Row:
    name, limit = f"cache of {size:,} tuples, memory", BUDGET if size == SIZES[-1] else None
    return Row("e", name, "MB", megabytes, limit=limit, more={"count": size, "bytes": megabytes * 1e6 / size})


def _largest() -> list[Row]:
    """Measure the memory of the largest cache, and what one hit, one miss and one put take in caches of all sizes."""
    largest, megabytes = _measured(lambda: _filled(SIZES[-1]))
    caches = {size: _filled(size) for size in SIZES[:-1]} | {SIZES[-1]: largest}
    rows = [_memory_row(SIZES[-1], megabytes)]
    # What is put comes last: it takes the place of what is looked up.
    for what, measure in (("hit", _hits), ("miss", _misses), ("put", _puts)):
        rows += _rows(what, {size: partial(measure, cache, size) for size, cache in caches.items()})
    return rows


def _measured(fill: Callable[[], T]) -> tuple[T, float]:
    """Return what was made, and the resident memory that came with it, in millions of bytes."""
    _filled(1000)
    before = _resident()
    filled = fill()
    return filled, _resident() - before


def _rows(what: str, ways: dict[int, Callable[[], float]]) -> Iterator[Row]:
    names = {size: f"cache of {size:,} tuples, one {what}" for size in ways}
    rounds = interleaved("e", "µs", {names[size]: way for size, way in ways.items()})
    return (rounds.row(name, count=size) for size, name in names.items())


def _hits(cache: MemoryCache, size: int) -> float:
    return _looked_up(cache, range(size), found=True)


def _misses(cache: MemoryCache, size: int) -> float:
    return _looked_up(cache, range(size, 2 * size), found=False)


def _looked_up(cache: MemoryCache, numbers: range, *, found: bool) -> float:
    """Return microseconds for one of many look-ups, in no order, with texts that were made for them as by a request."""
    keys = [(_key(number),) for number in random.choices(numbers, k=TIMES)]
    gc.collect()
    began = time.perf_counter()
    payments = [cache.get(one) for one in keys]
    taken = time.perf_counter() - began
    if any((payment is not None) is not found for payment in payments):
        raise RuntimeError("the cache does not hold what it should")
    return taken / TIMES * 1e6


def _puts(cache: MemoryCache, size: int) -> float:
    """Return microseconds for one of many payments that are put into a full cache, so that others make room."""
    first = next(_fresh) * TIMES + 2 * size
    payments = [_tuple(number) for number in range(first, first + TIMES)]
    gc.collect()
    began = time.perf_counter()
    for key, payment in payments:
        cache.put(key, payment, SECONDS)
    return (time.perf_counter() - began) / TIMES * 1e6


def _filled(size: int) -> MemoryCache:
    cache = MemoryCache(size)
    for number in range(size):
        cache.put(*_tuple(number), SECONDS)
    return cache


def _tuple(number: int) -> tuple[PaymentKey, Payment]:
    """Return a payment with its key; as in the flow they share their texts, but the amount is one of its own."""
    key = _key(number)
    return key, Payment(key.order_id, key.resource, f"KUDOS:{number % 9 + 1}.5")


def _key(number: int) -> PaymentKey:
    """Return the key of a numbered payment, in texts of its own; both IDs have 32 characters, as in truth."""
    digits = hashlib.blake2b(b"%d" % number, digest_size=32).hexdigest()
    return PaymentKey(digits[:32], f"/articles/{{slug}}?slug=the-night-train-{number}", SessionId(digits[32:]))


def _resident() -> float:
    """Return the resident memory of this process, in millions of bytes."""
    gc.collect()
    return int(re.findall(r"^VmRSS:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)[0]) * 1024 / 1e6


def _elsewhere(work: Callable[..., T], *arguments: int) -> T:
    """Do a piece of work in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()
