"""How long the demo takes from the start of the program to its first table.

Prints a table, and as its last line JSON: `{"figures": {...}}`. Needs no root, and no cluster.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bench.report import facts, last_line

ROUNDS = 7
DEMO = [sys.executable, "-m", "registrar", "demo"]


def first_table() -> float:
    """Return the seconds until the first table has been printed in full."""
    began = time.monotonic()
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "192.0.2.22:8080" in line and "│" in line:
                break
        seconds = time.monotonic() - began
        process.terminate()
    return seconds


def main() -> None:
    """Measure."""
    seconds = [first_table() for _ in range(ROUNDS)]
    median = statistics.median(seconds)
    print(f"first table of the demo: {min(seconds):.2f} / {median:.2f} / {max(seconds):.2f} s")
    print(facts())
    print(last_line({"demo_first_table_s": round(median, 3)}))


if __name__ == "__main__":
    main()
