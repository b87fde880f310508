"""A profile of Hypothesis with the same examples in each run, for a tool that compares runs."""

from hypothesis import settings

settings.register_profile(
    "mutants", derandomize=True, max_examples=60, deadline=None, database=None
)
