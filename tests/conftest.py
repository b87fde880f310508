"""Profiles of Hypothesis: how fast a machine is decides nothing in a test."""

from hypothesis import settings

settings.register_profile("usual", deadline=None)
# The same examples in each run, for a tool that compares runs.
settings.register_profile(
    "mutants", derandomize=True, max_examples=60, deadline=None, database=None
)
settings.load_profile("usual")
