"""What every benchmark says the same way: the machine's facts, distributions, and the last line."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

MEGA = 1e6


def facts() -> str:
    """Return what a figure depends on: processor, cores, kernel, interpreter."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name"))
    model = next(models, platform.machine())
    return (
        f"{model}, {os.cpu_count()} cores, Linux {platform.release()},"
        f" Python {platform.python_version()}"
    )


def quantile(values: Sequence[float], percent: int) -> float:
    """Return a percentile (1 to 99) of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def head(what: str, unit: str) -> str:
    """Return the heading of a table of distributions."""
    columns = "".join(f"{column:>9}" for column in ("min", "p50", "p90", "p99", "max"))
    return f"{f'{what}, {unit}':44} {'count':>6}{columns}"


def distribution(what: str, values: Sequence[float], digits: int = 1) -> str:
    """Return a row of such a table."""
    shown = (min(values), *(quantile(values, p) for p in (50, 90, 99)), max(values))
    return f"{what:44} {len(values):6}" + "".join(f"{one:9.{digits}f}" for one in shown)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median of repeated runs, with the least and the most."""
    median, least, most = statistics.median(values), min(values), max(values)
    return f"{median:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process: of all its threads, those that have ended included."""
    return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes it on Linux


def percent_of_a_core(pid: int, seconds: float) -> float:
    """Return what a process takes from now on for so many seconds."""
    before, began = cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_s(pid) - before) / (time.monotonic() - began)


def resident(pid: int) -> int:
    """Return the bytes of a process that are in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def exponent(values: Mapping[int, float]) -> float:
    """Return the power by which values grow with a number: 0 if not at all, 1 if as the number."""
    numbers = [math.log(number) for number in values]
    return statistics.linear_regression(numbers, [math.log(one) for one in values.values()]).slope


def last_line(figures: Mapping[str, float]) -> str:
    """Return the line of JSON that ends a benchmark."""
    return json.dumps({"figures": figures})
