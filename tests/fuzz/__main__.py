"""Runs the fuzz tests round after round until the time is over: `make fuzz SECONDS=600`."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

import pytest

DEFAULT_S = 600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=DEFAULT_S)
    until = time.monotonic() + parser.parse_args().seconds
    rounds = 0
    while time.monotonic() < until:
        seed = secrets.randbelow(2**32)
        code = pytest.main(
            ["-q", "-x", "--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}", "tests/fuzz"]
        )
        if code != pytest.ExitCode.OK:
            print(f"round {rounds + 1} has failed, of seed {seed}")
            return int(code)
        rounds += 1
    print(f"{rounds} rounds without a failure")
    return 0


if __name__ == "__main__":
    sys.exit(main())
