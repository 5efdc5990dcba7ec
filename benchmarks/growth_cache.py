"""The session-payment-cache: its memory for each tuple, and its time, from a thousand tuples to a million."""

from __future__ import annotations

import gc
import hashlib
import itertools
import multiprocessing
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks.table import ROUNDS, BenchmarkError, Limit, Row, interleaved
from taler_paywall.cache import MemoryCache
from taler_paywall.operations import Payment, PaymentKey, SessionId

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
#: A round looks up, or puts, so many.
TIMES: Final = 10_000
#: Nothing expires during the measurement.
SECONDS: Final = 3600.0
#: Megabytes of the largest cache, and how many times as long as in the smallest a look-up takes (design, section 11).
MEMORY_LIMIT: Final = Limit("value", 400.0)
TIME_LIMIT: Final = Limit("ratio", 4.0)

T = TypeVar("T")
#: By size: looks up a key, and returns None if it is not there.
Looks = Mapping[int, Callable[[Any], object]]
_fresh = itertools.count()


def measure() -> Iterator[Row]:
    """Measure the memory, then the times of the cache and those of a plain dictionary, in processes of their own."""
    yield from _memory()
    yield from _elsewhere(_cache)
    yield from _elsewhere(_dictionary)


def _memory() -> Iterator[Row]:
    """Fill caches of every size in turns, each in a fresh process."""
    # Two at a time, for no clock runs.
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(partial(_elsewhere, _megabytes), SIZES * ROUNDS))
    for first, size in enumerate(SIZES):
        rounds = taken[first :: len(SIZES)]
        median, limit = statistics.median(rounds), MEMORY_LIMIT if size == SIZES[-1] else None
        more = {"count": size, "bytes of each": median * 1e6 / size, "least MB": min(rounds), "most MB": max(rounds)}
        yield Row("e", f"cache of {size:,} tuples, memory", "MB", median, limit=limit, more=more)


def _megabytes(size: int) -> float:
    """Return what a cache takes: of some together, for one of a thousand tuples fits into what is left over."""
    caches = max(1, SIZES[-2] // size)
    _filled(1000)
    before = _resident()
    filled = [_filled(size) for _ in range(caches)]
    return (_resident() - before) / len(filled)


def _cache() -> list[Row]:
    """Measure what one hit, one miss and one put take in caches of all sizes."""
    caches = {size: _filled(size) for size in SIZES}
    looks: Looks = {size: cache.get for size, cache in caches.items()}
    rows = _look_ups("cache of {:,} tuples", looks, lambda key: (key,), {SIZES[-1]: TIME_LIMIT})
    # It comes last: what is put takes the place of what is looked up.
    puts = {size: partial(_put, cache, size) for size, cache in caches.items()}
    return [*rows, *_rows("cache of {:,} tuples, one put", puts)]


def _dictionary() -> list[Row]:
    """Measure what the machine's memory makes of the same sizes, where nothing is checked."""
    looks = {size: dict.fromkeys((_key(number).order_id for number in range(size)), 1).get for size in SIZES}
    return _look_ups("plain dictionary of {:,} order IDs", looks, attrgetter("order_id"), {})


def _look_ups(name: str, looks: Looks, asked: Callable[[PaymentKey], Any], limits: Mapping[int, Limit]) -> list[Row]:
    """Look up what is there, and what is not.

    Args:
        name: of what is looked into, without the size.
        looks: up what ``asked`` makes of a key.
        asked: what is looked up.
        limits: by size.
    """
    hits = {size: partial(_looked_up, look, asked, range(size), found=True) for size, look in looks.items()}
    misses = {
        size: partial(_looked_up, look, asked, range(size, 2 * size), found=False) for size, look in looks.items()
    }
    return [*_rows(f"{name}, one hit", hits, limits), *_rows(f"{name}, one miss", misses, limits)]


def _rows(
    name: str, ways: Mapping[int, Callable[[], float]], limits: Mapping[int, Limit] | None = None
) -> Iterator[Row]:
    rounds = interleaved("e", "µs", {name.format(size): way for size, way in ways.items()})
    return (rounds.row(name.format(size), (limits or {}).get(size), count=size) for size in ways)


def _looked_up(
    look: Callable[[Any], object], asked: Callable[[PaymentKey], Any], numbers: range, *, found: bool
) -> float:
    """Return microseconds for one of many look-ups, in no order, with texts that were made for them as by a request."""
    keys = [asked(_key(number)) for number in random.choices(numbers, k=TIMES)]
    gc.collect()
    began = time.thread_time()
    answers = [look(key) for key in keys]
    taken = time.thread_time() - began
    if any((answer is not None) is not found for answer in answers):
        raise BenchmarkError("what is looked into does not hold what it should")
    return taken / TIMES * 1e6


def _put(cache: MemoryCache, size: int) -> float:
    """Return microseconds for one of many payments that are put into a full cache, so that others make room."""
    first = next(_fresh) * TIMES + 2 * size
    payments = [_tuple(number) for number in range(first, first + TIMES)]
    gc.collect()
    began = time.thread_time()
    for key, payment in payments:
        cache.put(key, payment, SECONDS)
    return (time.thread_time() - began) / TIMES * 1e6


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
