"""What the paywall costs, measured beside the bare application in the same run: ``make bench``.

``UPDATE_DOCS=1 make bench`` writes docs/performance.md anew.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from benchmarks.report import publish
from benchmarks.shop import running_sandbox
from benchmarks.table import GROUPS, Row, cells, printed


def main() -> None:
    """Measure the groups that were asked for, print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names = "; ".join(f"{group}: {title}" for group, (_, title) in GROUPS.items())
    parser.add_argument("rows", nargs="?", default=",".join(GROUPS), help=f"some groups, as in a,c ({names})")
    parser.add_argument("--json", type=Path, default=Path("artifacts/bench.json"))
    options = parser.parse_args()
    wanted = options.rows.split(",")
    if unknown := set(wanted) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    if os.environ.get("UPDATE_DOCS") and len(wanted) < len(GROUPS):
        parser.error("the document is made from all groups: UPDATE_DOCS=1 goes without ROWS")
    # So that servers end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    logging.getLogger("taler_paywall").setLevel(logging.CRITICAL)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    began, rows = time.monotonic(), list[Row]()
    try:
        rows.extend(measured(wanted))
    finally:
        # What was measured before an error is not lost.
        minutes = (time.monotonic() - began) / 60
        print(f"\n{printed(rows)}\n\n{len(rows)} rows in {minutes:.1f} minutes")
        content = {"about": about(minutes), "rows": [row.members() for row in rows]}
        options.json.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    if os.environ.get("UPDATE_DOCS"):
        publish(options.json)


def about(minutes: float) -> dict[str, object]:
    """Return what the figures depend on."""
    return {
        "version": version("taler_paywall"),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "system": f"{platform.system()} on {platform.machine()} with {os.cpu_count()} cores",
        "minutes": round(minutes, 1),
    }


def measured(groups: list[str]) -> Iterator[Row]:
    """Measure some groups, and tell on the way how far it is."""
    for group in groups:
        module, title = GROUPS[group]
        print(f"{group}: {title}", flush=True)
        with running_sandbox() as sandbox:
            for row in importlib.import_module(f"benchmarks.{module}").measure(sandbox):
                print("  " + "  ".join(filter(None, cells(row.members()))), flush=True)
                yield row


if __name__ == "__main__":
    main()
