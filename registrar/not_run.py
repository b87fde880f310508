"""Knows which targets' last check could not be run, and says so.

Our own lack of descriptors, say, hits many at once: there is one line for all of them.
"""

from __future__ import annotations

import structlog

from registrar.model import CheckResult, Outcome, Target

log = structlog.get_logger()


class NotRun:
    """The targets whose last check told nothing of them."""

    def __init__(self) -> None:
        self._targets: set[Target] = set()

    def __len__(self) -> int:
        return len(self._targets)

    def note(self, target: Target, result: CheckResult) -> None:
        """Take the outcome of a target's check."""
        if result.outcome is not Outcome.UNKNOWN:
            self.forget(target)
            return
        if not self._targets:
            backend = f"{target.address} port {target.port}"
            log.warning("checks-not-run", backend=backend, reason=result.reason)
        self._targets.add(target)

    def forget(self, target: Target) -> None:
        """Take note that a target's check was run, or that it is judged no more."""
        if target in self._targets:
            self._targets.remove(target)
            if not self._targets:
                log.info("checks-run-again")
