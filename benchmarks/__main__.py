"""What the paywall costs, measured beside the bare application in the same run: ``make bench``."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from benchmarks.gate import measure_gate
from benchmarks.inprocess import measure_requests
from benchmarks.sandbox import measure_sandbox
from benchmarks.shop import running_sandbox
from benchmarks.streams import measure_streams
from benchmarks.visits import count_calls

ROWS = ("requests", "gate", "calls", "streams", "sandbox")


def main() -> None:
    """Measure the rows that were asked for, print them, and write them as JSON."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("rows", nargs="?", default=",".join(ROWS), help=f"some of {','.join(ROWS)}")
    parser.add_argument("--json", type=Path, default=Path("artifacts/bench.json"))
    options = parser.parse_args()
    rows = options.rows.split(",")
    if unknown := set(rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    logging.getLogger("taler_paywall").setLevel(logging.ERROR)
    results: dict[str, object] = {}
    with running_sandbox() as sandbox:
        if "requests" in rows:
            results["requests"] = measure_requests(sandbox)
        if "gate" in rows:
            results["gate"] = measure_gate(sandbox)
        if "calls" in rows:
            results["calls"] = count_calls(sandbox)
        if "streams" in rows:
            results["streams"] = measure_streams(sandbox)
    if "sandbox" in rows:
        results["sandbox"] = measure_sandbox()
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
