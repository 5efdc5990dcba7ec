"""Judge any number of paths, cookies and answers, all made of one seed: ``make fuzz``."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import Any, Final

from fuzz.answers import AnswerRun
from fuzz.cookies import CookieRun
from fuzz.paths import PathRun
from fuzz.tally import Tally

RUNS: Final[dict[str, Any]] = {"paths": PathRun, "cookies": CookieRun, "answers": AnswerRun}
COUNTS: Final = {"paths": 1_000_000, "cookies": 100_000, "answers": 100_000}
#: So many cases have a seed of their own, so that a leak is found again without what came before.
CHUNK: Final = 1000


def run_chunk(kind: str, seed: str, cases: int) -> Tally:
    """Judge some cases in a process of their own; the log of refusals is not what is looked for."""
    logging.getLogger("taler_paywall").setLevel(logging.CRITICAL)
    tally: Tally = RUNS[kind](Random(seed)).run(cases)
    tally.leaks = [f"seed {seed}: {leak}" for leak in tally.leaks]
    return tally


def run(kind: str, seed: str, cases: int, processes: int) -> Tally:
    """Judge all cases of a kind, and print the figures and every leak."""
    began, total = time.monotonic(), Tally()
    sizes = [min(CHUNK, cases - start) for start in range(0, cases, CHUNK)]
    with ProcessPoolExecutor(processes) as pool:
        seeds = [f"{seed}/{kind}/{number}" for number in range(len(sizes))]
        for tally in pool.map(run_chunk, [kind] * len(sizes), seeds, sizes):
            total.add(tally)
    print(f"{kind}: {total} ({time.monotonic() - began:.0f} s)", flush=True)
    for leak in total.leaks[:20]:
        print(f"  {leak}", flush=True)
    return total


def main() -> None:
    """Run what was asked for; the exit status tells whether anything leaked."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--processes", type=int, default=2)
    for kind, count in COUNTS.items():
        parser.add_argument(f"--{kind}", type=int, default=count, metavar="COUNT")
    options = vars(parser.parse_args())
    print(f"seed {options['seed']}")
    totals = [run(kind, options["seed"], options[kind], options["processes"]) for kind in RUNS]
    sys.exit(any(total.leaks for total in totals))


if __name__ == "__main__":
    main()
