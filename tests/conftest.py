"""Profiles of Hypothesis: how fast a machine is decides nothing in a test. And no stray loop."""

import asyncio
from datetime import timedelta

from hypothesis import HealthCheck, settings

# Else looptime's plugin makes an event loop for the first plain test, and nobody closes it.
asyncio.set_event_loop(None)

settings.register_profile("usual", deadline=None)
# The same examples in each run, for a tool that compares runs.
settings.register_profile(
    "mutants", derandomize=True, max_examples=60, deadline=None, database=None
)
# For `make fuzz`: other examples in each round, and what failed first.
settings.register_profile(
    "fuzz",
    max_examples=200,
    deadline=timedelta(seconds=10),  # a parser that takes so long for a few kilobytes is broken
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("usual")
