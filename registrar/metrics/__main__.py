"""`python -m registrar.metrics` prints the page on metrics."""

from registrar.metrics.page import page

print(page(), end="")  # noqa: T201  that is what it is for
