"""Runs every benchmark, one after the other, each as a process of its own and for so long at most.

Prints what they print and how long each took, and as its last line JSON: `{"figures": {...}}`, the
figures of all of them. The exit status is 1 where one has failed. Needs root.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from threading import Timer

from bench.report import facts, last_line

MOST_S = 1780
ALL = (
    ("decide",),
    ("start",),
    ("publish",),
    ("field",),
    ("footprint",),
    ("source_costs",),
    ("sources",),
    ("checks", "--rounds", "2", "--seconds", "2"),
    ("metrics",),
    ("demo",),
    ("page",),
    ("storm",),
    ("deployment",),
)
"""In this order: where time runs out, the last are missing."""


def run(name: str, *arguments: str, within: float) -> dict[str, float]:
    """Run one; return its figures, none where it failed or took too long."""
    argv = [sys.executable, "-m", f"bench.{name}", *arguments]
    began = time.monotonic()
    print(f"\n=== {' '.join((name, *arguments))}", flush=True)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        end = Timer(within, process.terminate)
        end.start()
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line
        status = process.wait()
        end.cancel()
    print(f"=== {name}: {time.monotonic() - began:.0f} s, exit status {status}", flush=True)
    if status != 0:
        return {}
    figures: dict[str, float] = json.loads(last)["figures"]
    return figures


def main() -> None:
    """Run all."""
    began = time.monotonic()
    figures: dict[str, float] = {}
    failed = []
    for name, *arguments in ALL:
        found = run(name, *arguments, within=began + MOST_S - time.monotonic())
        if not found:
            failed.append(name)
        figures |= found
    print(f"\n{facts()}; {(time.monotonic() - began) / 60:.1f} minutes")
    if failed:
        print(f"without figures: {', '.join(failed)}")
    print(last_line(figures))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
